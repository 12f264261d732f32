"""Received: the newest frames of a relayed tap at its subscriber, and the account of what is missing among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from asmu_control.relay.packing import Frames
from asmu_control.relay.wire import Header
from asmu_engine.protocol.errors import RingError


class Hole(NamedTuple):
    """A stretch of the frame axis without frames.

    `missed`: they were there, but did not come here. Else the device lost them, for that `cause`; `uncertainty`: of how many.
    """

    position: int
    frames: int
    missed: bool
    cause: int = 0
    uncertainty: int = 0

    @property
    def end(self) -> int:
        """Position behind the last of them."""
        return self.position + self.frames


class Received:
    """Takes messages as they come, whatever is missing between them, and keeps the newest `capacity` frames.

    Parameters
    ----------
    header
        The first message of the stream that was heard of; `add` takes its samples, if it has some.

    Raises
    ------
    RingError
        ``ring_shape`` for a tap without channels, ``ring_space`` where there is no memory for it.

    Attributes
    ----------
    settled
        False while the tap is empty, so that nobody knows where it will begin.
    begin, end
        Frame positions of the oldest frame here and behind the newest; 0 until it is settled.
    clipped
        Samples that the relay clipped.
    """

    def __init__(self, header: Header) -> None:
        if not header.channels or not header.capacity or not header.samplerate:
            raise RingError(f"the relay told no shape of tap {header.node}", code="ring_shape", where=header.node)
        self.channels = header.channels
        self.samplerate = header.samplerate
        self.capacity = header.capacity
        self.begin = self.end = 0
        self.settled = False
        self.clipped = 0
        self._holes: deque[Hole] = deque()
        try:
            self._data: Frames = np.empty((self.capacity, self.channels), np.float32)
        except (MemoryError, ValueError):
            raise RingError(
                f"tap {header.node} keeps {4e-6 * self.capacity * self.channels:.0f} MB, which this process cannot get",
                code="ring_space",
                where=header.node,
            ) from None
        if header.position is not None:
            self._settle(header.position)

    def add(self, header: Header, data: Frames) -> None:
        """Take a message with `data` of shape (frames, channels)."""
        position = header.position
        if position is None:
            return
        if not self.settled:
            # Who was there before the first frame learns how many it missed.
            self._settle(position if header.first is None else min(header.first, position))
        if position < self.end:
            data = data[self.end - position :]  # known already
            position = self.end
        if not len(data):
            return
        self.clipped += header.clipped
        lost = min(header.lost, position - self.end)
        if position - lost > self.end:
            self._holes.append(Hole(self.end, position - lost - self.end, True))
        self._note_lost(position - lost, position, header)
        if len(data) > self.capacity:
            position += len(data) - self.capacity
            data = data[-self.capacity :]
        start = position % self.capacity
        room = self.capacity - start
        self._data[start : start + len(data)] = data[:room]
        self._data[: max(0, len(data) - room)] = data[room:]
        self.end = position + len(data)
        self.begin = max(self.begin, self.end - self.capacity)
        while self._holes and self._holes[0].end <= self.begin:
            self._holes.popleft()

    def holes(self, begin: int, end: int) -> Iterator[Hole]:
        """What is missing in ``[begin, end)``, oldest first; what is no longer here counts as missed."""
        if begin < self.begin:
            yield Hole(begin, min(end, self.begin) - begin, True)
        for hole in self._holes:
            if hole.position < end and hole.end > max(begin, self.begin):
                yield hole

    def view(self, position: int, frames: int) -> Frames | None:
        """The frames from `position` on where they lie in one piece, read-only, to be used at once; else None."""
        start = position % self.capacity
        if start + frames > self.capacity:
            return None
        view = self._data[start : start + frames]
        view.flags.writeable = False
        return view

    def copy(self, position: int, out: Frames) -> Frames:
        """Fill `out` with the frames from `position` on."""
        start = position % self.capacity
        room = self.capacity - start
        out[:room] = self._data[start : start + len(out)]
        out[room:] = self._data[: max(0, len(out) - room)]
        return out

    def _settle(self, position: int) -> None:
        self.begin = self.end = position
        self.settled = True

    def _note_lost(self, begin: int, end: int, header: Header) -> None:
        """The frames that the device lost, with the causes that the relay told."""
        uncertainties = header.uncertainties or [0] * len(header.gaps)
        for (position, frames, cause), uncertainty in zip(header.gaps, uncertainties, strict=False):
            first, last = max(position, begin), min(position + frames, end)
            if first < last:
                if first > begin:
                    self._holes.append(Hole(begin, first - begin, False))
                self._holes.append(Hole(first, last - first, False, cause, uncertainty))
                begin = last
        if begin < end:
            self._holes.append(Hole(begin, end - begin, False))
