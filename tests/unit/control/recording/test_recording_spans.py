"""The frame axis of a recording, against a plain account of every single frame."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asmu_control.recording.spans import DROPPED, UNACCOUNTED, Extent, Gap, Timeline, merged


def test_the_first_frame_and_the_last_of_each_span() -> None:
    line = Timeline(
        None,
        [Extent(1, 100, 200, 100), Extent(2, 300, 400, 100), Extent(3, 400, 500, 100, dropped=True)],
        [Gap(150, 10, "device", 0, True), Gap(200, 100, "host", 7)],
        ended=500,
    )
    assert (line.first, line.stop) == (100, 500)
    assert [(span.start, span.stop, span.number, span.row, span.gap and span.gap.cause) for span in line.spans] == [
        (100, 150, 1, 0, None),
        (150, 160, 0, 0, "device"),
        (160, 200, 1, 60, None),
        (200, 300, 0, 0, "host"),
        (300, 400, 2, 0, None),
        (400, 500, 0, 0, DROPPED),
    ]
    assert line.gaps == [Gap(150, 10, "device", 0, True), Gap(200, 100, "host", 7), Gap(400, 100, DROPPED)]
    cut = list(line.between(155, 301))
    assert [(span.start, span.stop, span.row) for span in cut] == [(155, 160, 5), (160, 200, 60), (200, 300, 0), (300, 301, 0)]
    assert list(line.between(300, 300)) == []
    assert list(line.delivered(100, 500)) == [(100, 150), (160, 200), (300, 400)]


def test_a_run_goes_on_across_segments() -> None:
    line = Timeline(0, [Extent(1, 0, 10, 10), Extent(2, 10, 20, 10)], [])
    assert list(line.delivered(3, 17)) == [(3, 17)]


def test_what_nothing_accounts_for_is_told_apart() -> None:
    line = Timeline(0, [Extent(1, 0, 10, 4), Extent(2, 15, 20, 5), Extent(3, 20, 30, 0)], [], ended=32)
    assert line.gaps == [
        Gap(4, 11, UNACCOUNTED),
        Gap(20, 12, UNACCOUNTED),
    ]


def test_a_gap_counts_at_the_end_where_it_continues_what_is_there() -> None:
    """Its line may be read before the rows that come before it are seen: then it waits."""
    assert Timeline(0, [Extent(1, 0, 10, 10)], [Gap(10, 5, "device", 0, True)]).stop == 15
    assert Timeline(0, [Extent(1, 0, 10, 10)], [Gap(11, 5, "device", 0, True)]).stop == 10
    assert Timeline(None, [], [Gap(7, 5, "absent")]).first == 7
    assert Timeline(None, [], []).spans == []


def test_gaps_that_continue_each_other() -> None:
    gaps = [Gap(20, 10, "device", 4, True), Gap(10, 10, "device", 3, True), Gap(30, 5, "overrun", 0, True), Gap(35, 0, "disk")]
    assert merged(gaps) == [Gap(10, 20, "device", 5, True), Gap(30, 5, "overrun", 0, True)]


POSITIONS = st.integers(0, 40)
EXTENTS = st.lists(st.tuples(POSITIONS, st.integers(1, 12), st.integers(0, 12), st.booleans()), max_size=5)
GAPS = st.lists(st.tuples(POSITIONS, st.integers(0, 12), st.sampled_from(["device", "host"]), st.booleans()), max_size=5)


@settings(max_examples=300, deadline=None)
@given(EXTENTS, GAPS, st.one_of(st.none(), st.integers(0, 60)))
def test_every_frame_is_in_one_span_and_of_the_right_kind(
    parts: list[tuple[int, int, int, bool]], lost: list[tuple[int, int, str, bool]], ended: int | None
) -> None:
    extents = [
        Extent(number, first, first + frames, min(rows, frames), dropped)
        for number, (first, frames, rows, dropped) in enumerate(parts, 1)
    ]
    gaps = [Gap(position, frames, cause, 0, filled) for position, frames, cause, filled in lost]
    line = Timeline(0, extents, gaps, ended)
    assert [span.start for span in line.spans[1:]] == [span.stop for span in line.spans[:-1]]
    if line.spans:
        assert (line.spans[0].start, line.spans[-1].stop) == (line.first, line.stop)
    for span in line.spans:
        assert span.start < span.stop
        for position in range(span.start, span.stop):
            covering = [gap.cause for gap in gaps if gap.position <= position < gap.stop]
            here = [one for one in sorted(extents, key=lambda one: (one.first, one.number)) if one.first <= position < one.stop]
            if covering:
                assert span.gap is not None
                assert span.gap.cause in covering
            elif span.gap is None:
                extent = next(one for one in here if one.number == span.number)
                assert not extent.dropped
                assert span.row + position - span.start == position - extent.first < extent.rows
            elif span.gap.cause == DROPPED:
                assert any(one.dropped for one in here)
            else:
                assert span.gap.cause == UNACCOUNTED
                # The earliest segment that was to have it has not.
                assert not here or here[0].dropped or position >= here[0].first + here[0].rows or len(here) > 1
    missing = sum(gap.frames for gap in line.gaps)
    assert missing + sum(stop - start for start, stop in line.delivered(line.first, line.stop)) == line.stop - line.first
