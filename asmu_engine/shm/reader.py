"""The reading end of a ring."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.block import RingBlock, Stamp
from asmu_engine.shm.cursor import Cursor, Start
from asmu_engine.shm.end import Frames
from asmu_engine.shm.gaps import Gap
from asmu_engine.shm.ring import (
    GAP_SLOTS,
    WORD_FIRST_POSITION,
    WORD_GAP_BEGIN,
    WORD_STAMP_MONOTONIC_NS,
    WORD_STAMP_POSITION,
    WORD_STAMP_SEQUENCE,
    WORD_STAMP_UTC_NS,
    WORD_WRITE_BEGIN,
    WORD_WRITE_END,
)
from asmu_engine.shm.waiting import Waiter

__all__ = ["Gap", "RingBlock", "RingReader", "Stamp"]


class RingReader(Cursor):
    """Reads a tap at its own pace; any number of readers in any processes do not notice each other.

    A reader belongs to one thread. It can be pickled, and named by a text, to be attached elsewhere at the same
    position: that makes a second, independent reader.

    Parameters
    ----------
    name
        Name of the ring's segment.
    start
        Where to begin: ``"newest"``, with what is written from now on; ``"oldest"``, with the oldest frame that
        the ring still holds; ``"first"``, with the first that was ever written; or a frame position. What is gone
        from a ``"first"`` or a position on counts as skipped.

    Raises
    ------
    RingError
        ``ring_unknown``, ``ring_layout``, ``ring_access``.
    """

    def __init__(self, name: str, start: Start = "newest") -> None:
        super().__init__(name, start)
        self._waiter = Waiter(self)

    def read(self, frames: int, copy: bool = False) -> RingBlock | None:
        """The next `frames` frames of the frame axis, or None if they are not all there yet. Never waits.

        Frames that the device lost are zeros in the block, counted in its `lost`. A reader that was overtaken goes
        on a whole number of blocks later, counted in `skipped`.

        Parameters
        ----------
        frames
            1 to `capacity`.
        copy
            False: a view of the ring where the block lies in it in one piece, to be used at once and asked for
            `RingBlock.intact` afterwards. True: always a copy, which is whole.
        """
        if not 0 < frames <= self.capacity:
            raise self._bad_size(frames)
        words = self._words
        fence = self._fence
        while self._pending is None or self._begin():
            position = self._position
            end = position + frames
            if words[WORD_WRITE_END] < end:
                return None
            sequence = words[WORD_STAMP_SEQUENCE]
            fence.release()
            fence.acquire()
            start = position % self.capacity
            gap = None
            lost = 0
            viewed = None
            if self._gaps.touch(position, end):
                data, lost, gap = self._assemble(position, frames)
            elif start + frames > self.capacity:
                data = self._copy(position, np.empty((frames, self.channels), np.float32))
            else:
                data = self._data[start : start + frames]
                if copy:
                    data = data.copy()
                else:
                    viewed = self
            stamp = Stamp(words[WORD_STAMP_POSITION], words[WORD_STAMP_MONOTONIC_NS], words[WORD_STAMP_UTC_NS])
            fence.release()
            fence.acquire()
            # A forgotten gap is rare, so the whole question is asked only where it may have another answer.
            if (
                words[WORD_WRITE_BEGIN] - self.capacity > position
                or words[WORD_FIRST_POSITION] > position
                or words[WORD_GAP_BEGIN] > GAP_SLOTS
            ) and self._overtaken(position):
                self._skip(-((position - self._oldest()) // frames) * frames)
                continue
            if words[WORD_STAMP_SEQUENCE] == sequence and not sequence % 2:
                self._stamp = stamp if stamp.monotonic_ns else None
            else:
                self._stamp = self.stamp
            return self._hand_out(data, position, end, lost, viewed, gap)
        return None

    def read_chunk(self, max_frames: int, copy: bool = True) -> RingBlock | None:
        """The next frames that were delivered, up to `max_frames` and up to the next gap; None if there are none yet.

        Gaps are passed over: the block's `lost` says how many frames were lost right before it. So a sum of lengths,
        `lost` and `skipped` reconciles with the frame axis.

        Parameters
        ----------
        max_frames
            At least 1.
        copy
            False: a view, which also ends at the ring's edge.
        """
        if max_frames < 1:
            raise self._bad_size(max_frames)
        words = self._words
        while self._pending is None or self._begin():
            position = self._position
            newest: int = words[WORD_WRITE_END]
            if newest <= position:
                return None
            self._fence()
            begin, end = self._gaps.run(position, min(newest, position + self.capacity))
            gap = self._gaps.current() if begin > position else None
            end = min(end, begin + max_frames)
            start = begin % self.capacity
            if copy:
                data = self._copy(begin, np.empty((end - begin, self.channels), np.float32))
            else:
                end = min(end, begin + self.capacity - start)
                data = self._data[start : start + end - begin]
            self._fence()
            if self._overtaken(position):
                self._skip(self._oldest() - position)
                continue
            self._stamp = self.stamp
            return self._hand_out(data, begin, end, begin - position, None if copy else self, gap)
        return None

    def wait(self, frames: int, timeout: float | None = None) -> bool:
        """Wait until `frames` more frames are there.

        Returns
        -------
        bool
            True when they are. False after `timeout` seconds (None: no limit), or at once when they will never come,
            because the ring is closed, was removed, or lost its writer 10 s ago.
        """
        return self._waiter.wait(frames, timeout)

    def blocks(self, frames: int, timeout: float | None = None, copy: bool = True) -> Iterator[RingBlock]:
        """Blocks of `frames` frames without end or gap, waiting for each; the rest of a ring that was closed is shorter.

        Parameters
        ----------
        frames
            1 to `capacity`.
        timeout
            Longest wait for one block, seconds; None: as long as it takes.
        copy
            See `read`.

        Raises
        ------
        RingError
            ``ring_timeout`` when a block did not come in time; the reader can go on.
        """
        while True:
            block = self.read(frames, copy)
            if block is None and not self.wait(frames, timeout):
                # What was written before the ring ended is there once that is known, so this order misses nothing.
                ended = self._waiter.ended()
                block = self.read(frames, copy)
                if block is None and not ended:
                    raise self._late(frames, timeout)
                if block is None and (rest := self.fill) > 0:
                    block = self.read(min(rest, frames), copy)
                if block is None:
                    return
            if block is not None:
                yield block

    @property
    def handle(self) -> str:
        """Text that names the ring and this reader's position, for `from_handle` in another process."""
        self._begin()
        return f"{self.name}@{self._pending or self._position}"

    @classmethod
    def from_handle(cls, text: str) -> RingReader:
        """Attach a new reader where another one was when it gave its `handle`.

        Raises
        ------
        RingError
            ``ring_unknown`` for a text that is no handle, and what the constructor raises.
        """
        name, _, start = text.rpartition("@")
        if name and start == "first":
            return cls(name, "first")
        if not name or not start.isdecimal():
            raise RingError(f"{text!r} is not the handle of a ring; it looks like NAME@POSITION", code="ring_unknown", where=text)
        return cls(name, int(start))

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return RingReader.from_handle, (self.handle,)

    def _hand_out(
        self, data: Frames, position: int, end: int, lost: int, viewed: RingReader | None, gap: Gap | None
    ) -> RingBlock:
        skipped, self._skipped = self._skipped, 0
        self.total_lost += lost
        self._position = end
        if self._slot is not None:
            self._publish()
        if gap is None:
            return RingBlock(data, position, lost, skipped, self._stamp, self.samplerate, viewed)
        return RingBlock(data, position, lost, skipped, self._stamp, self.samplerate, viewed, gap.cause, gap.uncertainty)

    def _copy(self, position: int, out: Frames) -> Frames:
        """Fill `out` with the frames from `position` on."""
        frames = len(out)
        start = position % self.capacity
        room = self.capacity - start
        out[:room] = self._data[start : start + frames]
        if frames > room:
            out[room:] = self._data[: frames - room]
        return out

    def _assemble(self, position: int, frames: int) -> tuple[Frames, int, Gap | None]:
        """A copy of a stretch of the axis with zeros for what was lost, how much that is, and the newest gap of it."""
        out = np.zeros((frames, self.channels), np.float32)
        cursor, end, lost, gap = position, position + frames, 0, None
        while cursor < end:
            begin, stop = self._gaps.run(cursor, end)
            if begin > cursor:
                lost += begin - cursor
                gap = self._gaps.current()
            self._copy(begin, out[begin - position : stop - position])
            cursor = stop
        return out, lost, gap

    def _bad_size(self, frames: int) -> RingError:
        return RingError(
            f"ring {self.name} holds {self.capacity} frames; {frames} were asked for", code="ring_shape", where=self.name
        )

    def _late(self, frames: int, timeout: float | None) -> RingError:
        return RingError(
            f"ring {self.name}: no block of {frames} frames within {timeout} s", code="ring_timeout", where=self.name, retry=True
        )
