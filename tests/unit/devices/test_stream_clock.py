"""When PortAudio blocks were due, and what was lost before them."""

from __future__ import annotations

import numpy as np

from asmu_engine.devices.streamclock import StreamClock

RATE, BLOCK = 48000, 480
PERIOD = 10_000_000
OVERFLOW = 2


def clock(*, counts_losses: bool = True) -> StreamClock:
    return StreamClock(RATE, BLOCK, OVERFLOW, counts_losses=counts_losses)


def test_blocks_at_their_pace_are_never_late() -> None:
    tested = clock()
    for drift in (0.9995, 1.0, 1.0005):
        tested.restart()
        times = [1_000_000_000 + int(block * PERIOD * drift) for block in range(1000)]
        assert [tested.due(now) for now in times] == times


def test_a_late_block_is_late_by_what_it_is_and_the_next_is_not() -> None:
    tested = clock()
    times = [1_000_000_000 + block * PERIOD for block in range(50)]
    times[20] += 7_000_000
    late = [now - tested.due(now) for now in times]
    assert 6_900_000 < late[20] <= 7_000_000
    assert max(late[:20] + late[21:]) == 0


def test_a_device_that_stalls_begins_a_new_pace() -> None:
    tested = clock()
    times = [1_000_000_000 + block * PERIOD + (500_000_000 if block >= 20 else 0) for block in range(40)]
    late = [now - tested.due(now) for now in times]
    assert 499_000_000 < late[20] <= 500_000_000
    assert max(late[21:]) == 0


def test_blocks_that_come_several_at_once_are_not_late() -> None:
    tested = clock()
    late = []
    for burst in range(200):
        for within in range(4):
            now = 1_000_000_000 + 4 * burst * PERIOD + within * 50_000
            late.append(now - tested.due(now))
    # It takes a moment to learn how many come at once.
    assert max(late[200:]) == 0


def test_a_loss_needs_both_witnesses() -> None:
    def lost(tested: StreamClock, jump: float, flags: int) -> int:
        tested.restart()
        assert tested.lost(5.0, BLOCK, 0) == 0
        assert tested.lost(5.01, BLOCK, OVERFLOW) == 0
        return tested.lost(5.02 + jump, BLOCK, flags)

    tested = clock()
    assert np.isclose(lost(tested, 0.5, OVERFLOW), 24000, atol=1)
    assert lost(tested, 0.5, 0) == 0
    assert lost(tested, 0.5, 4) == 0
    assert lost(tested, 0.004, OVERFLOW) == 0
    assert lost(tested, -0.5, OVERFLOW) == 0
    assert lost(clock(counts_losses=False), 0.5, OVERFLOW) == 0


def test_a_device_without_a_clock_tells_no_loss() -> None:
    tested = clock()
    assert [tested.lost(0.0, BLOCK, OVERFLOW) for _ in range(3)] == [0, 0, 0]
    assert tested.lost(7.0, BLOCK, OVERFLOW) == 0
