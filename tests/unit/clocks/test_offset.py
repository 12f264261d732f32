"""What UTC is ahead of the monotonic clock, and when somebody set it."""

from __future__ import annotations

from collections.abc import Iterable

from asmu_engine.clocks.offset import OffsetTracker, Step, slept

AHEAD = 1_767_225_600 * 10**9
TENTH = 100_000_000


def feed(tracker: OffsetTracker, offsets: Iterable[int], begin: int = 0, slept_ns: int = 0) -> list[Step]:
    """Samples a tenth of a second apart, at position 4800 n; the steps that came of them."""
    steps = (tracker.add(4800 * n, n * TENTH, offset, slept_ns) for n, offset in enumerate(offsets, begin))
    return [step for step in steps if step is not None]


def test_an_offset_that_stays_is_known_at_once() -> None:
    tracker = OffsetTracker()
    assert tracker.ns is None
    assert feed(tracker, [AHEAD]) == []
    assert (tracker.ns, tracker.scatter) == (AHEAD, 0.0)
    assert feed(tracker, [AHEAD + error for error in (40, -10, 0, 10, -40, 25)], begin=1) == []
    assert tracker.ns == AHEAD
    assert tracker.scatter == 10.0


def test_a_step_is_told_once_with_the_first_position_behind_it() -> None:
    for ns in (1_000_000_000, -1_500_000_000, 5_000_000, 3600 * 10**9):
        tracker = OffsetTracker()
        assert feed(tracker, [AHEAD] * 20) == []
        assert feed(tracker, [AHEAD + ns] * 20, begin=20) == [Step(20 * 4800, ns, False)]
        assert tracker.ns == AHEAD + ns


def test_one_sample_that_is_off_is_no_step() -> None:
    tracker = OffsetTracker()
    offsets = [AHEAD] * 5 + [AHEAD + 10**9] + [AHEAD] * 5 + [AHEAD - 10**9, AHEAD + 2 * 10**9] + [AHEAD] * 5
    assert feed(tracker, offsets) == []
    assert tracker.ns == AHEAD


def test_a_slew_is_followed() -> None:
    tracker = OffsetTracker()
    offsets = [AHEAD + 50_000 * n for n in range(100)]  # 500 ppm
    assert feed(tracker, offsets) == []
    assert tracker.ns is not None
    assert 0 <= offsets[-1] - tracker.ns <= 250_000


def test_a_step_while_nothing_ran_is_told_when_something_does() -> None:
    tracker = OffsetTracker()
    assert feed(tracker, [AHEAD] * 5) == []
    assert feed(tracker, [AHEAD + 10**9] * 3, begin=36_000) == [Step(36_000 * 4800, 10**9, False)]


def test_a_machine_that_slept_is_told_from_a_clock_that_was_set() -> None:
    tracker = OffsetTracker()
    assert feed(tracker, [AHEAD] * 5, slept_ns=7 * 10**9) == []
    # The machine's own account of its sleep comes before that of the audio process.
    assert feed(tracker, [AHEAD] * 2, begin=5, slept_ns=37 * 10**9) == []
    assert feed(tracker, [AHEAD + 30 * 10**9] * 3, begin=7, slept_ns=37 * 10**9) == [Step(7 * 4800, 30 * 10**9, True)]
    assert feed(tracker, [AHEAD + 31 * 10**9] * 3, begin=10, slept_ns=37 * 10**9) == [Step(10 * 4800, 10**9, False)]


def test_what_the_machine_slept_does_not_change_while_it_is_awake() -> None:
    assert slept() >= -1_000_000
    assert abs(slept() - slept()) < 5_000_000
