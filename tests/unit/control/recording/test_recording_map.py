"""Functions over a recording in worker processes."""

from __future__ import annotations

import numpy as np
import pytest

from asmu_control.exceptions import FramesMissing, PatchError
from asmu_control.recording import Recording


def test_a_function_over_the_blocks_of_a_span(rec: Recording) -> None:
    def double(block):
        block *= 2
        return block

    with rec.map(double, 2, blocksize=1000, hop=500, channels=[1], gaps="zero") as results:
        found = list(results)
    assert [result.position for result in found] == list(range(rec.first, rec.position - 999, 500))
    for result in found:
        np.testing.assert_array_equal(
            result.value, 2 * rec.read(result.position, result.position + 1000, channels=[1], gaps="zero")
        )
        assert result.utc == rec.time_of(result.position)[0]
        assert result.skipped == 0
    assert [result.lost for result in found[:3]] == [100, 0, 0]
    assert results.total_skipped == 0


def test_a_span_that_is_shorter_than_a_block_has_none(rec: Recording) -> None:
    with pytest.raises(PatchError, match="blocksize 200: use a whole number from 1 to 100"):
        rec.map(len, 1, blocksize=200, start=rec.first, stop=rec.first + 100)


def test_what_cannot_be_read_is_an_error_at_its_block(rec: Recording) -> None:
    with rec.map(len, 1, blocksize=50, gaps="raise") as results:
        assert [next(results).value for _ in range(2)] == [50, 50]
        with pytest.raises(FramesMissing) as caught:
            next(results)
    assert f"the block of 50 frames at position {rec.first + 100} of friday" in caught.value.__notes__[0]
