"""From an input to an output through the virtual device's loopback: one block, and the delays asked for, to the frame."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._roundtrip import SEED, hear

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("blocksize", "system"), [(32, 0), (256, 100), (1000, 2467)])
def test_a_path_is_late_by_one_block_and_the_delays_asked_for(blocksize: int, system: int) -> None:
    delays = (0, 1, blocksize - 1, 2 * blocksize + 3)
    heard = hear(blocksize, system, delays)
    assert (heard.position, heard.lost, heard.skipped) == (0, 0, 0)
    frames = len(heard.data)
    played = 2 * np.random.Generator(np.random.PCG64(SEED)).random(frames, dtype=np.float32) - 1
    assert np.array_equal(heard.data[:, 0], played)
    late = 0
    for ch, delay in enumerate((0, *delays), 1):
        late += blocksize + system + delay
        assert np.array_equal(heard.data[late:, ch], played[: frames - late])
        assert not heard.data[:late, ch].any()
