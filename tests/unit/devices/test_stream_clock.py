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


def test_a_device_that_does_not_catch_up_has_a_new_pace_after_a_quarter_of_a_second() -> None:
    tested = clock()
    shift = 50_000_000
    times = [1_000_000_000 + block * PERIOD + (shift if block >= 20 else 0) for block in range(100)]
    late = [now - tested.due(now) for now in times]
    told = 1 + 2 * 25  # the quarter in which it begins to be late does not tell yet
    assert min(late[20:told]) > 49_000_000
    assert max(late[told:]) == 0


def test_a_device_that_catches_up_keeps_its_pace() -> None:
    tested = clock()
    times = [1_000_000_000 + block * PERIOD for block in range(100)]
    for block in range(20, 28):
        times[block] = times[27] + 10_000 * (block - 20)  # held up, then block by block as fast as they are taken
    late = [now - tested.due(now) for now in times]
    assert max(late[29:]) == 0
    assert late[20] > 69_000_000


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
        assert tested.lost(5.0, BLOCK, 0, 0) == 0
        assert tested.lost(5.01, BLOCK, OVERFLOW, PERIOD) == 0
        tested.due(PERIOD)
        return tested.lost(5.02 + jump, BLOCK, flags, 2 * PERIOD + int(max(0.0, jump) * 1e9))

    tested = clock()
    assert np.isclose(lost(tested, 0.5, OVERFLOW), 24000, atol=1)
    assert lost(tested, 0.5, 0) == 0
    assert lost(tested, 0.5, 4) == 0
    assert lost(tested, 0.004, OVERFLOW) == 0
    assert lost(tested, -0.5, OVERFLOW) == 0
    assert lost(clock(counts_losses=False), 0.5, OVERFLOW) == 0


def test_no_more_is_lost_than_time_has_passed() -> None:
    tested = clock()

    def jumped(seconds: float, passed: float) -> int:
        tested.restart()
        tested.due(1_000_000_000)
        tested.lost(5.0, BLOCK, 0, 1_000_000_000)
        return tested.lost(5.01 + seconds, BLOCK, OVERFLOW, 1_000_000_000 + int(passed * 1e9))

    assert np.isclose(jumped(1.0, passed=1.0), 48000, atol=1)
    assert np.isclose(jumped(1.2, passed=1.0), 57600, atol=1), "some of it lay in buffers"
    assert jumped(3.7, passed=1.0) == 0
    assert jumped(1000.0, passed=0.01) == 0


def test_a_device_without_a_clock_tells_no_loss() -> None:
    tested = clock()
    assert [tested.lost(0.0, BLOCK, OVERFLOW, n * PERIOD) for n in range(3)] == [0, 0, 0]
    assert tested.lost(7.0, BLOCK, OVERFLOW, 3 * PERIOD) == 0


def test_a_loss_is_as_sure_as_the_device_clock_is_steady() -> None:
    tested = clock()
    assert tested.loss_uncertainty == 1
    for block in range(1000):
        assert tested.lost(5.0 + block * 0.01, BLOCK, 0, block * PERIOD) == 0
    assert tested.loss_uncertainty == 1
    scatter = np.random.default_rng(7).normal(0.0, 1e-3, 3000)
    for block in range(1000, 4000):
        tested.lost(5.0 + block * 0.01 + scatter[block - 1000], BLOCK, 0, block * PERIOD)
    # Each step has the errors of two readings of 48 frames each.
    assert 50 < tested.loss_uncertainty < 90
    before = tested.loss_uncertainty
    tested.due(4000 * PERIOD)
    assert tested.lost(46.0, BLOCK, OVERFLOW, 4100 * PERIOD) > 0
    assert tested.loss_uncertainty == before, "a loss is no jitter"
