"""The reading end of a tap on another machine, by way of the relay there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from asmu_control.relay.cursor import RemoteCursor
from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.block import RingBlock

if TYPE_CHECKING:
    from asmu_control.relay.packing import Frames
    from asmu_control.relay.received import Hole
    from asmu_engine.shm.reader import RingReader

_SLICE: Final = 0.1  # between looks at whether the tap has ended, seconds


class RemoteReader(RemoteCursor):
    """Reads a tap on another machine as `asmu_engine.shm.reader.RingReader` reads one on this; belongs to one thread.

    It begins with what comes from now on: of what was before the relay keeps nothing. Frames that came are kept here, as many as
    the engine's ring holds, so that one can go back to them. Those that did not come, because this reader, its network or the
    relay was too slow, count as `skipped`, like those that a local reader finds overwritten.

    Parameters
    ----------
    endpoint
        ``tcp://HOST:PORT`` of the relay.
    key
        With which it lets this client in.
    node
        Name of the tap.
    start
        ``"newest"``, ``"oldest"`` and ``"first"`` are the same here; or a frame position: what came before counts as skipped.
    timeout
        Longest wait for the relay's answer, seconds.

    Raises
    ------
    RingError
        ``ring_unknown``: the relay has no such tap; ``ring_timeout``: it did not answer.
    AccessError
        ``key_refused``.

    Attributes
    ----------
    node, name
        Name of the tap; the same with where it is.
    channels, samplerate, capacity
        Columns of the data; Hz; frames that are kept.
    total_lost, total_skipped
        Sums of what the blocks said, and what was still missing when the tap ended.
    """

    def read(self, frames: int, copy: bool = False) -> RingBlock | None:
        """The next `frames` frames of the frame axis, or None if they are not all there yet; see `RingReader.read`."""
        self._check(1 <= frames <= self.capacity, frames)
        while self._begin():
            position = self._at
            end = position + frames
            self._fetch(end)
            if self._received.end < end:
                return None
            holes = list(self._received.holes(position, end))
            barrier = max((hole.end for hole in holes if hole.missed), default=position)
            if barrier > position:
                self._skip(-((position - barrier) // frames) * frames)
                continue
            data = None if copy or holes else self._received.view(position, frames)
            if data is not None:
                return self._hand_out(data, position, 0, view=True)
            data = self._received.copy(position, np.empty((frames, self.channels), np.float32))
            lost, newest = 0, None
            for hole in holes:
                newest = hole
                begin, stop = max(hole.position, position) - position, min(hole.end, end) - position
                data[begin:stop] = 0
                lost += stop - begin
            return self._hand_out(data, position, lost, hole=newest)
        return None

    def read_chunk(self, max_frames: int, copy: bool = True) -> RingBlock | None:
        """The next frames that were delivered, up to the next gap; None if there are none yet. See `RingReader.read_chunk`."""
        self._check(max_frames >= 1, max_frames)
        while self._begin():
            position = self._at
            self._fetch(position + max_frames)
            begin, lost, hole = self._next_run()
            stop = min(self._received.end, begin + max_frames)
            stop = min((hole.position for hole in self._received.holes(begin, stop)), default=stop)
            if stop > begin:
                view = None if copy else self._received.view(begin, stop - begin)
                data = self._received.copy(begin, np.empty((stop - begin, self.channels), np.float32)) if view is None else view
                return self._hand_out(data, begin, lost, view is not None, hole)
            if self._at == position:
                break
        return None

    def wait(self, frames: int, timeout: float | None = None) -> bool:
        """Wait until `frames` more frames are there; see `RingReader.wait`.

        Returns
        -------
        bool
            True when they are; False after `timeout` seconds (None: no limit), or when they will never come.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._begin() and self._received.end >= self._at + frames:
                return True
            left = _SLICE if deadline is None else min(_SLICE, max(0.0, deadline - time.monotonic()))
            message = None if self._ended else self._subscriber.receive(left)
            if message is not None:
                self._take(message)
            elif self._is_over() or (deadline is not None and time.monotonic() >= deadline):
                return False

    def blocks(self, frames: int, timeout: float | None = None, copy: bool = True) -> Iterator[RingBlock]:
        """Blocks of `frames` frames without end or gap, waiting for each; see `RingReader.blocks`.

        Raises
        ------
        RingError
            ``ring_timeout`` when a block did not come in time; the reader can go on.
        """
        while True:
            block = self.read(frames, copy)
            if block is None and not self.wait(frames, timeout):
                if not self._is_over():
                    raise RingError(
                        f"tap {self.name}: no block of {frames} frames within {timeout} s",
                        code="ring_timeout",
                        where=self.name,
                        retry=True,
                    )
                rest = self._received.end - self.position
                block = self.read(min(rest, frames), copy) if rest > 0 else None
                if block is None:
                    return
            if block is not None:
                yield block

    @property
    def handle(self) -> str:
        """Text that names the tap and this reader's position, for ``Tap.attach(handle, key=…)`` in another process."""
        return f"{self.name}@{self.position}"

    def _next_run(self) -> tuple[int, int, Hole | None]:
        """Where the next delivered frames are, how many were lost right before them, and the newest hole that tells of those.

        Skips those that did not come.
        """
        begin, lost, newest = self._at, 0, None
        for hole in self._received.holes(begin, self._received.end):
            if hole.position > begin:
                break
            if hole.missed:
                self._skip(hole.end - self._at)
                lost, newest = 0, None
            else:
                lost += hole.end - begin
                newest = hole
            begin = hole.end
        return begin, lost, newest

    def _skip(self, frames: int) -> None:
        self._position = self._at + frames
        self._skipped += frames
        self.total_skipped += frames

    def _hand_out(self, data: Frames, position: int, lost: int, view: bool = False, hole: Hole | None = None) -> RingBlock:
        skipped, self._skipped = self._skipped, 0
        self.total_lost += lost
        self._position = position + len(data)
        viewed = cast("RingReader", self) if view else None
        cause, uncertainty = (0, 0) if hole is None else (hole.cause, hole.uncertainty)
        return RingBlock(data, position, lost, skipped, self._stamp, self.samplerate, viewed, cause, uncertainty)

    def _check(self, good: bool, frames: int) -> None:
        if not good:
            raise RingError(
                f"tap {self.name} holds {self.capacity} frames; {frames} were asked for", code="ring_shape", where=self.name
            )
        if not self._finalizer.alive:
            raise RingError(f"this end of tap {self.name} has been closed", code="ring_closed", where=self.name)
