"""What cores share: histories of rows, samples that are no numbers, scales."""

import numpy as np
import pytest

from asmu_engine.rt.finite import all_finite, zero_unless_finite
from asmu_engine.rt.history import History
from asmu_engine.rt.scale import LOG_LIMIT, to_factors


@pytest.mark.parametrize("past", [0, 1, 5, 64, 300])
def test_a_history_holds_the_newest_rows_and_those_before(past):
    random = np.random.default_rng(past)
    history = History(past, 64, 2, np.float32, first=-1)
    rows = np.full((past, 2), -1, dtype=np.float32)
    for _ in range(200):
        new = random.standard_normal((int(random.integers(1, 65)), 2)).astype(np.float32)
        history.extend(len(new))[...] = new
        rows = np.concatenate([rows, new])
        assert np.array_equal(history.window(len(new)), rows[-len(new) - past :])
    history.reset()
    history.extend(3)
    assert (history.window(3)[:past] == -1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_history_of_other_channels_goes_on(channels):
    old, new = History(4, 8, 2, np.int64), History(4, 8, channels, np.int64, first=7)
    for block in range(5):
        old.extend(3)[...] = block
    new.adopt(old)
    new.extend(1)[...] = 9
    expected = np.full((5, channels), 7)
    expected[:4, :2] = np.array([3, 4, 4, 4])[:, None]
    expected[4] = 9
    assert np.array_equal(new.window(1), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_seen_and_zeroed(bad):
    block = np.full((10, 2), 3e38, dtype=np.float32)
    assert all_finite(block)
    block[7, 1] = bad
    assert not all_finite(block)
    zero_unless_finite(block, np.empty((10, 2), dtype=bool))
    assert block[7, 1] == 0
    assert np.count_nonzero(block) == 19


def test_scales():
    points = np.array([0.0, 0.5, 1.0, 2.0, 1e6])
    lin, log = points.copy(), points.copy()
    to_factors(lin, "lin")
    to_factors(log, "log")
    assert np.array_equal(lin, points)
    assert log == pytest.approx([0, (10**0.5 - 1) / 9, 1, 11, (10**LOG_LIMIT - 1) / 9], rel=1e-12)
    assert (log[0], np.float32(log[2])) == (0, 1)
