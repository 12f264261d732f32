"""Positions to UTC and back: along fits, across steps of UTC and gaps of uncertain length, with exact expected times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from handmade import fit
from hypothesis import given, settings
from hypothesis import strategies as st

from asmu_control.recording.times import Anchor, Times, to_utc_ns

RATE = 48000
SECOND = 1_000_000_000
DAY = 86400 * SECOND
EPOCH = 1_767_225_600 * SECOND


def anchor(position: int, utc_ns: int, **more: float) -> Anchor:
    facts: dict = {"samplerate": float(RATE), "uncertainty_ns": 300.0, "ppm_uncertainty": 0.0} | more
    return Anchor(position, utc_ns, **facts)


def utc(times: Times, position: int) -> int:
    return int(times.utc(np.array([position]))[0][0])


def sure(times: Times, position: int) -> float:
    return float(times.utc(np.array([position]))[1][0])


def test_one_fit_is_followed_both_ways_as_it_says_itself() -> None:
    one = fit(RATE, EPOCH, samplerate=48001.776, ppm=37.0, uncertainty_ns=200.0, ppm_uncertainty=0.1)
    times = Times([Anchor(RATE, EPOCH, 48001.776, 200.0, 0.1)], [], "")
    for position in (0, RATE, 10 * RATE, 30 * 86400 * RATE, 2**40):
        expected, uncertainty = one.utc_at(position)
        assert abs(utc(times, position) - expected) <= 1
        assert sure(times, position) == pytest.approx(uncertainty)
        assert times.position(utc(times, position)) == position
    assert times.position(EPOCH - SECOND // 2) == one.position_at(EPOCH - SECOND // 2)


def test_between_two_fits_both_count_by_their_distance() -> None:
    # By the first, frame 1000 is at 1000 frames; the second found it 8 µs later.
    times = Times([anchor(0, EPOCH), anchor(48000, EPOCH + SECOND + 8000)], [], "")
    assert [utc(times, position) for position in (0, 48000)] == [EPOCH, EPOCH + SECOND + 8000]
    assert utc(times, 24000) == EPOCH + SECOND // 2 + 4000
    assert utc(times, 12000) == EPOCH + SECOND // 4 + 2000
    assert utc(times, 96000) == EPOCH + 2 * SECOND + 8000
    # The uncertainty of a mixture: of each, and of their disagreement.
    assert sure(times, 24000) == pytest.approx((300**2 + 0.25 * 8000**2) ** 0.5)
    assert sure(times, 0) == sure(times, 48000) == 300.0


def test_a_step_of_utc_is_one_from_its_frame_on() -> None:
    """NTP puts the clock forward by 2 s at frame 30000, between two fits; before it nothing changes."""
    later = Anchor(48000, EPOCH + 3 * SECOND, float(RATE), 300.0, 0.0, 2 * SECOND, 30000)
    times = Times([anchor(0, EPOCH), later], [], "")
    assert utc(times, 24000) == EPOCH + SECOND // 2
    assert utc(times, 29999) == EPOCH + round(29999 * SECOND / RATE)
    assert utc(times, 30000) == EPOCH + 2 * SECOND + 625_000_000
    assert utc(times, 96000) == EPOCH + 4 * SECOND
    assert sure(times, 29999) == sure(times, 30000) == 300.0
    assert times.position(EPOCH + SECOND // 2) == 24000
    assert times.position(EPOCH + SECOND) == 30000  # a time that never was
    assert times.position(EPOCH + 3 * SECOND) == 48000


def test_of_a_time_that_was_twice_the_earlier_frame_counts() -> None:
    later = Anchor(96000, EPOCH + SECOND, float(RATE), 300.0, 0.0, -SECOND, 72000)
    times = Times([anchor(0, EPOCH), later], [], "")
    assert [utc(times, position) for position in (71999, 72000)] == [EPOCH + 1499979167, EPOCH + SECOND // 2]
    assert times.position(EPOCH + SECOND) == 48000
    assert times.position(EPOCH + 1_400_000_000) == 67200
    assert times.position(EPOCH + 1_600_000_000) == 72000 + 52800


def test_a_step_whose_frame_nobody_knows_is_at_its_fit() -> None:
    times = Times([anchor(0, EPOCH), Anchor(48000, EPOCH + 2 * SECOND, float(RATE), 1.0, 0.0, SECOND)], [], "")
    assert utc(times, 47999) == EPOCH + round(47999 * SECOND / RATE)
    assert utc(times, 48000) == EPOCH + 2 * SECOND


def test_at_a_gap_of_uncertain_length_each_fit_counts_on_its_side() -> None:
    """The gap that ends at frame 480 was 480 frames longer in truth than the axis says."""
    times = Times([anchor(0, EPOCH), anchor(48000, EPOCH + SECOND + 10_000_000)], [(480, 500)], "")
    assert utc(times, 479) == EPOCH + round(479 * SECOND / RATE)
    assert utc(times, 480) == EPOCH + 10_000_000 + 10_000_000
    assert sure(times, 479) == sure(times, 480) == 300.0
    assert times.position(utc(times, 479)) == 479
    assert times.position(utc(times, 480)) == 480


def test_beyond_a_gap_of_uncertain_length_without_a_fit_the_time_is_as_uncertain() -> None:
    times = Times([anchor(0, EPOCH)], [(4800, 48)], "")
    assert sure(times, 4799) == 300.0
    assert sure(times, 4800) == pytest.approx((300**2 + 1_000_000**2) ** 0.5)
    two = Times([anchor(48000, EPOCH)], [(4800, 36), (2400, 48)], "")
    assert sure(two, 0) == pytest.approx((300**2 + 750_000**2 + 1_000_000**2) ** 0.5)
    # Between two such gaps neither fit knows; the one behind the less uncertain gap counts.
    between = Times([anchor(0, EPOCH), anchor(48000, EPOCH)], [(100, 48), (200, 36)], "")
    assert utc(between, 150) == EPOCH - SECOND + round(150 * SECOND / RATE)
    assert sure(between, 150) == pytest.approx((300**2 + 750_000**2) ** 0.5)


def test_months_from_the_epoch_times_keep_their_nanoseconds() -> None:
    first = 90 * 86400 * RATE
    times = Times([anchor(first, EPOCH + 90 * DAY + 7), anchor(first + RATE, EPOCH + 90 * DAY + 7 + SECOND)], [], "")
    assert utc(times, first + 24) == EPOCH + 90 * DAY + 7 + 500_000
    assert utc(times, first + 2**33) == EPOCH + 90 * DAY + 7 + round(2**33 * SECOND / RATE)


def test_of_fits_at_one_position_the_last_counts() -> None:
    times = Times([anchor(0, 1), anchor(0, 2)], [], "")
    assert utc(times, 0) == 2


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 10**7), st.integers(-50_000, 50_000)), min_size=1, max_size=6),
    st.lists(st.integers(0, 6 * 10**7), max_size=5),
)
def test_back_and_forth_is_the_same_frame(moves: list[tuple[int, int]], positions: list[int]) -> None:
    at, off, anchors = 0, 0, []
    for frames, ns in moves:
        at, off = at + RATE + frames, off + ns
        anchors.append(anchor(at, EPOCH + round(at * SECOND / RATE) + off))
    times = Times(anchors, [], "")
    for position in positions:
        assert times.position(utc(times, position)) == position


def test_times_in_their_many_forms() -> None:
    expected = EPOCH + 3723 * SECOND + 250_000_000
    naive = datetime(2026, 1, 1, 1, 2, 3, 250_000)
    for time in (
        "2026-01-01T01:02:03.25",
        "2026-01-01 01:02:03.250Z",
        "2026-01-01T03:02:03,25+02:00",
        "2026-01-01T03:02:03.250000000999 +0200",
        naive,
        naive.replace(tzinfo=UTC),
        naive.replace(tzinfo=timezone(timedelta(hours=-5))) - timedelta(hours=5),
        np.datetime64("2026-01-01T01:02:03.250"),
    ):
        assert to_utc_ns(time) == expected, time
    assert to_utc_ns("2026-01-01T00:00:00.000000001") == EPOCH + 1
    assert to_utc_ns("2026-01-01") == to_utc_ns("2026-01-01T00:00") == EPOCH
    pandas = pytest.importorskip("pandas")
    assert to_utc_ns(pandas.Timestamp(EPOCH + 1_234_567_891, tz="UTC")) == EPOCH + 1_234_567_891
    for wrong in ("yesterday", "2026-01-01T25:00", "12:30", np.datetime64("NaT", "ns")):
        with pytest.raises(ValueError):  # noqa: PT011
            to_utc_ns(wrong)
