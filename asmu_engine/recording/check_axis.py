"""Continuity: is every frame position in exactly one place?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

from asmu_engine.recording.check_files import FileCheck
from asmu_engine.recording.check_ledger import LedgerRead
from asmu_engine.recording.ledger import SegmentBegun, SegmentDropped

What = Literal["rows", "absent", "dropped", "gap", "zeros"]
"""``rows`` of a segment, rows that are ``absent`` from its file, rows that were ``dropped`` with it; frames of a ``gap`` between
segments, or of one that stands as ``zeros`` in them."""


class Stretch(NamedTuple):
    """Frames `first` to `stop`, and what is said of them; `name` says by whom, to people."""

    first: int
    stop: int
    what: What
    name: str
    cause: str = ""


class Fault(NamedTuple):
    """A stretch that is in no place (``hole``), in two segments or in one and a gap between segments (``overlap``), in two gaps
    (``twice``), or zeros of no segment (``stray``); `names` are those concerned, the neighbours of a hole."""

    first: int
    stop: int
    kind: Literal["hole", "overlap", "twice", "stray"]
    names: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """How many frames are what. One that several say something of counts once: lost over dropped over delivered over absent."""

    delivered: int = 0
    dropped: int = 0
    missing: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)


def stretches(read: LedgerRead, checks: Iterable[FileCheck]) -> Iterator[Stretch]:
    """What segments and ledger say of which frames."""
    promised = max((gap.position + gap.frames for gap in read.gaps if gap.filled), default=0)
    for check in checks:
        entry = check.entry
        name = f"segment {entry.index}"
        if isinstance(entry, SegmentDropped):
            yield Stretch(entry.first, entry.first + entry.frames, "dropped", name)
            continue
        rows, end = entry.first + check.rows, entry.first + check.frames
        yield Stretch(entry.first, rows, "rows", name)
        yield Stretch(rows, end, "absent", name)
        if isinstance(entry, SegmentBegun):  # zeros that are still to be written
            yield Stretch(end, max(end, promised), "absent", name)
    for gap in read.gaps:
        what = f"the gap at frame {gap.position} ({gap.cause})"
        yield Stretch(gap.position, gap.position + gap.frames, "zeros" if gap.filled else "gap", what, gap.cause)


def check_axis(first: int, stop: int, stretches: Iterable[Stretch]) -> Tally:
    """Go through the frames from `first` to `stop`; what lies outside does not count."""
    inside = [
        stretch._replace(first=max(first, stretch.first), stop=min(stop, stretch.stop))
        for stretch in stretches
        if stretch.first < stop and stretch.stop > first and stretch.first < stretch.stop
    ]
    begins = sorted(inside, key=lambda stretch: stretch.first)
    edges = sorted({first, stop, *(s.first for s in inside), *(s.stop for s in inside)})
    tally = Tally()
    active: list[Stretch] = []
    place = 0
    before = "the beginning"
    for begin, end in pairwise(edges):
        ended = [stretch for stretch in active if stretch.stop <= begin and stretch.what != "zeros"]
        before = ended[-1].name if ended else before
        active = [stretch for stretch in active if stretch.stop > begin]
        while place < len(begins) and begins[place].first <= begin:
            active.append(begins[place])
            place += 1
        _count(tally, begin, end, active)
        if tally.faults and tally.faults[-1][1:] == (end, "hole", ()):
            after = next((begins[n].name for n in range(place, len(begins)) if begins[n].what != "zeros"), "the end")
            tally.faults[-1] = tally.faults[-1]._replace(names=(before, after))
    return tally


def _count(tally: Tally, begin: int, end: int, active: Sequence[Stretch]) -> None:
    frames = end - begin
    gaps = [stretch for stretch in active if stretch.what in ("gap", "zeros")]
    holders = [stretch for stretch in active if stretch.what != "zeros"]
    if gaps:
        tally.lost[gaps[0].cause] += frames
    elif any(stretch.what == "dropped" for stretch in holders):
        tally.dropped += frames
    elif any(stretch.what == "rows" for stretch in holders):
        tally.delivered += frames
    else:
        tally.missing += frames
    if not holders and not gaps:
        _fault(tally, Fault(begin, end, "hole", ()))
    elif not holders:
        _fault(tally, Fault(begin, end, "stray", (gaps[0].name,)))
    elif len(gaps) > 1:
        _fault(tally, Fault(begin, end, "twice", tuple(gap.name for gap in gaps)))
    elif len(holders) > 1:
        _fault(tally, Fault(begin, end, "overlap", tuple(stretch.name for stretch in holders)))


def _fault(tally: Tally, fault: Fault) -> None:
    last = tally.faults[-1] if tally.faults else None
    if last is not None and last.stop == fault.first and last[2:] == fault[2:]:
        tally.faults[-1] = last._replace(stop=fault.stop)
    else:
        tally.faults.append(fault)
