"""What the entries of a ledger add up to: the state of a recording, for its status, its manifest, and whoever goes on with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Literal

from asmu_engine.protocol.clock import ClockFit
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import Segment

GAPS_KEPT: Final = 100

_STATES: Final[dict[str, Literal["growing", "ended", "whole", "dropped"]]] = {
    "segment_begun": "growing",
    "segment_ended": "ended",
    "segment_whole": "whole",
    "segment_dropped": "dropped",
}


class Account:
    """Takes entries in their order, from a file as well as while they are being written.

    Attributes
    ----------
    first
        Frame position of the first frame; None before there is one.
    position
        Frame position behind the last frame of which an entry tells; the segment that grows may be longer.
    segments
        By index. The frames of a growing one are not known here.
    lost
        Frames that are missing, by cause.
    gaps
        The latest 100 gaps, and `gap_count`, how many there were.
    filled_end
        Position behind the last frame that is to be zeros in a segment.
    bytes
        Size of the finished segments, dropped ones included.
    xruns
        How often the device said that something went wrong.
    clock
        The newest fit.
    end
        The last entry that ended the recording; None where it was not ended, or went on afterwards.
    """

    def __init__(self, entries: Iterable[ledger.Entry] = ()) -> None:
        self.first: int | None = None
        self.position: int | None = None
        self.segments: dict[int, Segment] = {}
        self.lost: dict[str, int] = {}
        self.gaps: deque[ledger.Gap] = deque(maxlen=GAPS_KEPT)
        self.gap_count = 0
        self.filled_end = 0
        self.bytes = 0
        self.xruns = 0
        self.clock: ClockFit | None = None
        self.end: ledger.Ended | None = None
        for entry in entries:
            self.take(entry)

    @property
    def growing(self) -> Segment | None:
        """The segment to which rows are appended."""
        last = self.segments.get(len(self.segments))
        return last if last is not None and last.state == "growing" else None

    @property
    def lost_frames(self) -> int:
        """Frames that are missing."""
        return sum(self.lost.values())

    def latest_gaps(self) -> list[ledger.Gap]:
        """A copy of `gaps`; also while another thread takes entries."""
        while True:
            try:
                return list(self.gaps)
            except RuntimeError:  # one came meanwhile
                continue

    def take(self, entry: ledger.Entry) -> None:
        """One entry more."""
        match entry:
            case ledger.Begun():
                self.end = None
                if entry.position is not None:
                    self._reach(entry.position, entry.position)
            case ledger.Gap():
                self.lost[entry.cause] = self.lost.get(entry.cause, 0) + entry.frames
                self.gaps.append(entry)
                self.gap_count += 1
                self._reach(entry.position, entry.position + entry.frames)
                if entry.filled:
                    self.filled_end = max(self.filled_end, entry.position + entry.frames)
            case ledger.Xrun():
                self.xruns += 1
            case ledger.Clock():
                self.clock = entry.fit
            case ledger.Ended():
                self.end = entry
            case ledger.Event():
                pass
            case _:
                self._take_segment(entry)

    def _take_segment(
        self, entry: ledger.SegmentBegun | ledger.SegmentEnded | ledger.SegmentWhole | ledger.SegmentDropped
    ) -> None:
        former = self.segments.get(entry.index)
        size, digest = (0, "") if former is None else (former.bytes, former.sha256)
        frames = 0 if isinstance(entry, ledger.SegmentBegun) else entry.frames
        if isinstance(entry, ledger.SegmentWhole):
            self.bytes += entry.bytes - size
            size, digest = entry.bytes, entry.sha256
        self.segments[entry.index] = Segment(
            index=entry.index,
            file=entry.file,
            first=entry.first,
            frames=frames,
            bytes=size,
            sha256=digest,
            state=_STATES[entry.entry],
        )
        self._reach(entry.first, entry.first + frames)

    def _reach(self, begin: int, end: int) -> None:
        self.first = begin if self.first is None else min(self.first, begin)
        self.position = end if self.position is None else max(self.position, end)


def dropped(segment: Segment, frames: int, reason: str) -> ledger.SegmentDropped:
    """That a segment is deleted, which had so many frames."""
    return ledger.SegmentDropped(index=segment.index, file=segment.file, first=segment.first, frames=frames, reason=reason)
