"""Moments between two callbacks, for threads that must not meet them."""

from __future__ import annotations

import pytest

from asmu_engine.rt.calm import calm_moment

PERIOD = 333_333


@pytest.mark.parametrize("took", [0, 30_000, 333_333, 5_000_000])
def test_it_lies_between_two_callbacks_and_no_period_later_than_asked(took: int) -> None:
    began = 1_000_000_007
    for after in range(began - 3 * PERIOD, began + 60 * PERIOD, 77_777):
        moment = calm_moment(began, took, PERIOD, after)
        assert after <= moment < after + PERIOD
        assert (moment - began) % PERIOD == (min(took, PERIOD) + PERIOD) // 2 % PERIOD
