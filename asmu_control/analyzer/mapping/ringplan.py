"""Which block of a ring is next: seen from the process that maps, and from the worker that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asmu_engine.shm.reader import RingReader

if TYPE_CHECKING:
    from asmu_engine.shm.block import RingBlock

_LEAP: Final = 1 / 8
_LONGEST_LEAP: Final = 3 / 4


@dataclass(frozen=True)
class RingPlace:
    """Where a worker finds the blocks: a ring, the frame that they are counted from (in the handle), and their length."""

    handle: str
    frames: int

    def open(self) -> RingTaker:
        """Attach the ring."""
        return RingTaker(RingReader.from_handle(self.handle), self.frames)


class RingTaker:
    """Reads blocks in the ring itself, for one thread of a worker."""

    def __init__(self, reader: RingReader, frames: int) -> None:
        self._reader = reader
        self._frames = frames
        self._origin: int | None = None

    def take(self, offset: int) -> RingBlock | int | None:
        """The block there, as a view where it lies in the ring in one piece, waiting for it.

        Returns
        -------
        RingBlock | int | None
            Its position where it was overwritten, or was before the first frame; None where the ring ended before its end.
        """
        reader = self._reader
        if self._origin is None:
            # Of a ring that was empty when the map began only its first frame is known.
            reader.wait(1)
            if not reader.writer_position:
                return None
            self._origin = reader.position
        position = self._origin + offset
        reader.seek(position)
        block = next(reader.blocks(self._frames, None, copy=False), None)
        if block is None or (block.position == position and len(block) < self._frames):
            return None
        return block if block.position == position else position


class RingPlan:
    """Hands out blocks of a ring one after another; a lock of its user keeps its calls apart.

    Parameters
    ----------
    reader
        At the first frame of all. It is the plan's from here on.
    frames, hop
        Length of a block, and from the begin of one to that of the next.
    paced
        Have an engine that runs without a clock wait for the oldest block that is not done.
    """

    def __init__(self, reader: RingReader, frames: int, hop: int, *, paced: bool = False) -> None:
        self._reader = reader
        self._frames, self._hop = frames, hop
        self._offset = 0
        self._paced = paced
        self._place = RingPlace(reader.handle, frames)
        self.samplerate = reader.samplerate
        self.capacity = reader.capacity
        origin = self._place.handle.rpartition("@")[2]
        self._known: int | None = int(origin) if origin.isdecimal() else None
        if paced:
            reader.register_paced()

    @property
    def place(self) -> RingPlace:
        """Where the workers find the blocks."""
        return self._place

    @property
    def origin(self) -> int | None:
        """Frame position of the first frame of all; None while an empty ring has not had it."""
        if self._known is None and self._reader.writer_position:
            self._known = self._reader.position
        return self._known

    def next(self, needed: float) -> int:
        """The next block, as frames from the origin. Where that is gone already, a later one that will last.

        Parameters
        ----------
        needed
            For how long a block must still last when it is handed out, seconds.
        """
        origin = self.origin
        if origin is not None:
            position = origin + self._offset
            first = self._reader.first_position if self._reader.writer_position else position
            if position < first:
                self._pass(first - position)
            elif not self._reader.holds(position):
                # To the oldest frame would be too little: it is overwritten before it has been looked at, and each after it.
                leap = min(max(_LEAP * self.capacity, needed * self.samplerate), _LONGEST_LEAP * self.capacity)
                self._pass(self._reader.writer_position - self.capacity + round(leap) - position)
        offset = self._offset
        self._offset += self._hop
        return offset

    def done_before(self, offset: int | None) -> None:
        """No worker needs what is before; None: of what was handed out."""
        if self._paced and self.origin is not None:
            self._reader.seek(self.origin + (self._offset if offset is None else offset))

    def behind(self, position: int | None) -> int:
        """Frames in the ring from `position` on (None: from the first of all), and perhaps some that are gone."""
        if position is None:
            position = self.origin
        return 0 if position is None else max(0, self._reader.writer_position - position)

    def close(self) -> None:
        """Let go of the ring."""
        self._reader.close()

    def _pass(self, frames: int) -> None:
        self._offset += -(-frames // self._hop) * self._hop
