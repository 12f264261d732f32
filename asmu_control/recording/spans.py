"""What is where on the frame axis of a recording: every frame of it is a row of a segment, or one of the missing ones."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

DROPPED = "dropped"
UNACCOUNTED = "unaccounted"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of frames that are missing.

    Attributes
    ----------
    position, frames
        The first of them, and how many.
    cause
        As in the ledger: ``device``, ``stopped``, ``device_lost``, ``restart``, ``host``, ``overrun``, ``disk``, ``absent``,
        ``crash``, ``unknown``. Beside these ``dropped``: the segment made room for newer ones; and ``unaccounted``: no line of
        the ledger explains it, such as a file that somebody deleted or cut (``asmu verify`` says more).
    uncertainty
        Standard uncertainty of `frames`, frames: 0 where they were counted.
    filled
        True where zeros stand for them in the segment.
    """

    position: int
    frames: int
    cause: str
    uncertainty: int = 0
    filled: bool = False

    @property
    def stop(self) -> int:
        """The frame position behind it."""
        return self.position + self.frames


class Extent(NamedTuple):
    """Frames `first` to `stop` were to be in segment `number`; the first `rows` of them are."""

    number: int
    first: int
    stop: int
    rows: int
    dropped: bool = False


class Span(NamedTuple):
    """Frames `start` to `stop`: rows of segment `number` from `row` on, or missing (`gap`)."""

    start: int
    stop: int
    number: int = 0
    row: int = 0
    gap: Gap | None = None


class Timeline:
    """All spans from `first` to `stop`, without a hole and without an overlap.

    Where lines of a damaged ledger contradict each other, missing wins over there, and the earlier segment over the later.

    Parameters
    ----------
    first
        Frame position of the first frame, None for the earliest known.
    extents, gaps
        What the ledger and the files say, in any order.
    ended
        Frame position behind the last frame, where the ledger says so.
    """

    def __init__(self, first: int | None, extents: Iterable[Extent], gaps: Iterable[Gap], ended: int | None = None) -> None:
        ordered = sorted(extents, key=lambda extent: (extent.first, extent.number))
        lost = merged(gaps)
        begins = [extent.first for extent in ordered[:1]] + [gap.position for gap in lost[:1]]
        self.first = first if first is not None else min(begins, default=0)
        self.stop = _end(self.first, ordered, lost, ended)
        self.spans = list(_spans(self.first, self.stop, ordered, _disjoint(self.first, self.stop, lost)))
        self.gaps = merged(span.gap for span in self.spans if span.gap is not None)
        self._starts = [span.start for span in self.spans]

    def between(self, start: int, stop: int) -> Iterator[Span]:
        """The spans of frames `start` to `stop`, cut to these."""
        place = max(0, bisect_right(self._starts, start) - 1)
        while start < stop and place < len(self.spans):
            span = self.spans[place]
            first, last = max(span.start, start), min(span.stop, stop)
            if first >= stop:
                return
            if first < last:
                yield span._replace(start=first, stop=last, row=span.row + first - span.start)
            place += 1

    def delivered(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Runs of frames that are there, as (start, stop), across segments."""
        run: tuple[int, int] | None = None
        for span in self.between(start, stop):
            if span.gap is not None:
                if run is not None:
                    yield run
                run = None
            else:
                run = (span.start if run is None else run[0], span.stop)
        if run is not None:
            yield run


def merged(gaps: Iterable[Gap]) -> list[Gap]:
    """In their order, those that continue each other with the same cause as one; their uncertainties add as squares."""
    result: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: gap.position):
        last = result[-1] if result else None
        if last is not None and last.stop == gap.position and (last.cause, last.filled) == (gap.cause, gap.filled):
            uncertainty = math.ceil(math.hypot(last.uncertainty, gap.uncertainty))
            result[-1] = replace(last, frames=last.frames + gap.frames, uncertainty=uncertainty)
        elif gap.frames:
            result.append(gap)
    return result


def _end(first: int, extents: Sequence[Extent], gaps: Sequence[Gap], ended: int | None) -> int:
    """Behind the last frame of which it is known whether it is there.

    A gap counts where it continues that: its line is written before the rows that are to come before it may be seen.
    """
    end = max([first, ended or 0, *(extent.stop for extent in extents)])
    for gap in gaps:
        if gap.position <= end:
            end = max(end, gap.stop)
    return end


def _disjoint(first: int, stop: int, gaps: Iterable[Gap]) -> Iterator[Gap]:
    """Cut to `first` … `stop`, and where they overlap to the earlier one."""
    behind = first
    for gap in gaps:
        start, last = max(gap.position, behind), min(gap.stop, stop)
        if start < last:
            yield gap if (start, last) == (gap.position, gap.stop) else replace(gap, position=start, frames=last - start)
            behind = last


def _spans(first: int, stop: int, extents: Sequence[Extent], gaps: Iterator[Gap]) -> Iterator[Span]:
    position = first
    place = 0
    for gap in (*gaps, Gap(stop, 0, "")):
        while position < gap.position:
            while place < len(extents) and extents[place].stop <= position:
                place += 1
            extent = extents[place] if place < len(extents) else None
            if extent is None or extent.first >= gap.position:
                last, found = gap.position, None
            elif extent.first > position:
                last, found = extent.first, None
            else:
                last, found = min(extent.stop, gap.position), extent
            yield from _part(position, last, found)
            position = last
        if gap.frames:
            yield Span(gap.position, gap.stop, gap=gap)
            position = gap.stop


def _part(start: int, stop: int, extent: Extent | None) -> Iterator[Span]:
    """A stretch that one segment was to hold, or none."""
    if extent is not None and extent.dropped:
        yield Span(start, stop, gap=Gap(start, stop - start, DROPPED))
        return
    there = start if extent is None else max(start, min(stop, extent.first + extent.rows))
    if extent is not None and start < there:
        yield Span(start, there, extent.number, start - extent.first)
    if there < stop:
        yield Span(there, stop, gap=Gap(there, stop - there, UNACCOUNTED))
