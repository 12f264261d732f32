"""The blocks of a recording: seen from the process that maps, and from the worker that reads them from the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from asmu_control.recording.recording import Recording
    from asmu_engine.shm.end import Frames


@dataclass(frozen=True)
class RecordingPlace:
    """Where a worker finds the blocks: the recording, the frame that they are counted from, and how they are read."""

    recording: Recording
    first: int
    frames: int
    options: dict[str, Any]

    def open(self) -> RecordingTaker:
        """For a worker; the recording was opened there when this was unpickled."""
        return RecordingTaker(self)


@dataclass(slots=True)
class RecordingBlock:
    """A block in a worker; see `asmu_control.analyzer.mapping.report.Taken`."""

    data: Frames
    position: int
    lost: int
    utc_ns: int
    monotonic_ns: int = 0

    def intact(self) -> bool:
        """It is a copy."""
        return True


class RecordingTaker:
    """Reads blocks of a recording."""

    def __init__(self, place: RecordingPlace) -> None:
        self._place = place

    def take(self, offset: int) -> RecordingBlock:
        """The block there.

        Raises
        ------
        DiskError, CalibrationError
            As of `Recording.read`.
        """
        place = self._place
        begin = place.first + offset
        end = begin + place.frames
        (block,) = place.recording.blocks(place.frames, 0, begin, end, **place.options)
        utc, _ = place.recording.time_of(begin)
        return RecordingBlock(block.data, begin, block.lost, int(utc.astype(np.int64)))


class RecordingPlan:
    """Hands out the whole blocks of a span.

    Parameters
    ----------
    place
        Where they are.
    last
        Frame position behind the span.
    hop
        From the begin of one block to that of the next, frames.
    """

    def __init__(self, place: RecordingPlace, last: int, hop: int) -> None:
        self.place = place
        self.samplerate = place.recording.samplerate
        self.capacity = last - place.first
        self._hop = hop
        self._offset = 0

    @property
    def origin(self) -> int:
        """Frame position of the first frame of all."""
        return self.place.first

    def next(self, needed: float) -> int | None:
        """The next block, as frames from the origin; None where the span has no more."""
        offset = self._offset
        if offset + self.place.frames > self.capacity:
            return None
        self._offset += self._hop
        return offset

    def done_before(self, offset: int | None) -> None:
        """Nobody waits for that."""

    def behind(self, position: int | None) -> int:
        """Frames of the span from there on."""
        return self.origin + self.capacity - (self.origin if position is None else position)

    def close(self) -> None:
        """Nothing is open here."""
