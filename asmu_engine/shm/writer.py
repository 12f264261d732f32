"""The writing end of a ring."""

from __future__ import annotations

import os
import time

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.end import Closed, Frames, RingEnd
from asmu_engine.shm.paced import slowest_paced
from asmu_engine.shm.ring import (
    GAP_SLOTS,
    GAP_STRIDE,
    WORD_BLOCK_FRAMES,
    WORD_CLOSED,
    WORD_FIRST_POSITION,
    WORD_GAP_BEGIN,
    WORD_GAP_COUNT,
    WORD_GAPS,
    WORD_GENERATION,
    WORD_PUBLISHED_NS,
    WORD_STAMP_MONOTONIC_NS,
    WORD_STAMP_POSITION,
    WORD_STAMP_SEQUENCE,
    WORD_STAMP_UTC_NS,
    WORD_WRITE_BEGIN,
    WORD_WRITE_END,
    WORD_WRITER_PID,
    RingKind,
)


class RingWriter(RingEnd):
    """Takes over the writing end of an existing ring; a ring has one writer at a time.

    Parameters
    ----------
    name
        Name of the ring's segment.
    kind
        Tap or feed; the ring must be of that kind.

    Raises
    ------
    RingError
        ``ring_unknown``, ``ring_layout``, ``ring_access``.
    """

    def __init__(self, name: str, kind: RingKind = RingKind.TAP) -> None:
        super().__init__(name, kind, writable=True)
        words = self._words
        self._position: int = words[WORD_WRITE_END]
        self._started: bool = words[WORD_FIRST_POSITION] >= 0 and self._position > 0
        self._touched: int = words[WORD_WRITE_BEGIN]
        self._repair()
        words[WORD_WRITER_PID] = os.getpid()
        words[WORD_CLOSED] = 0
        self._fence()
        words[WORD_GENERATION] += 1
        self.touch()

    @property
    def position(self) -> int:
        """Frame position behind the last frame written: where the next block goes if it names no position."""
        return self._position

    def write(
        self,
        block: Frames,
        position: int | None = None,
        monotonic_ns: int = 0,
        utc_ns: int = 0,
        cause: int = 0,
        uncertainty: int = 0,
    ) -> None:
        """Write one block and publish it. Never waits and allocates no memory for data.

        Parameters
        ----------
        block
            float32 (frames, channels), at most `capacity` frames; with none nothing happens.
        position
            Frame position of the first frame. One beyond `position` leaves a gap of lost frames. The very first
            write may begin anywhere. None: go on where the last block ended, 0 at first.
        monotonic_ns, utc_ns
            Time of the first frame on both clocks, ns; 0 for unknown.
        cause
            Why frames were lost, a number of `asmu_engine.shm.causes`, noted with the gap.
        uncertainty
            Standard uncertainty of how many were lost, frames, noted with the gap.

        Raises
        ------
        RingError
            ``ring_shape`` for a block of other channels or longer than the ring, ``ring_position`` for a position
            that has been written. The ring is as before.
        """
        frames, channels = block.shape
        if channels != self.channels or frames > self.capacity:
            raise self._misfit(block)
        if not frames:
            return
        words = self._words
        expected = self._position
        if position is None:
            position = expected
        gap = position != expected or not self._started
        if gap and position < expected:
            raise RingError(
                f"ring {self.name}: frame {position} has been written, the next is {expected}",
                code="ring_position",
                where=self.name,
            )
        fence = self._fence
        end = position + frames
        words[WORD_WRITE_BEGIN] = end if end > self._touched else self._touched
        if monotonic_ns:
            sequence = words[WORD_STAMP_SEQUENCE]
            words[WORD_STAMP_SEQUENCE] = sequence + 1
        fence.release()
        fence.acquire()
        if gap:
            self._note_gap(expected, position - expected, cause, uncertainty)
        start = position % self.capacity
        room = self.capacity - start
        if frames <= room:
            self._data[start : start + frames] = block
        else:
            self._data[start:] = block[:room]
            self._data[: frames - room] = block[room:]
        if monotonic_ns:
            words[WORD_STAMP_POSITION] = position
            words[WORD_STAMP_MONOTONIC_NS] = monotonic_ns
            words[WORD_STAMP_UTC_NS] = utc_ns
        words[WORD_BLOCK_FRAMES] = frames
        words[WORD_PUBLISHED_NS] = time.monotonic_ns()
        fence.release()
        fence.acquire()
        if monotonic_ns:
            words[WORD_STAMP_SEQUENCE] = sequence + 2
        words[WORD_WRITE_END] = end
        self._position = end

    def slowest_paced(self) -> int | None:
        """Position of the slowest living paced reader; None without one. Costs a system call for each."""
        return slowest_paced(self._words)

    def room(self) -> int:
        """Frames that can be written without overtaking a paced reader; `capacity` without one."""
        slowest = self.slowest_paced()
        return self.capacity if slowest is None else self.capacity - max(0, self._position - slowest)

    def close(self, final: bool = True) -> None:
        """Let go of the ring. `final` tells the readers that nothing more comes; without, another writer will follow."""
        if final and not isinstance(self._words, Closed):
            self._fence()
            self._words[WORD_CLOSED] = 1
        super().close()

    def _note_gap(self, position: int, lost: int, cause: int, uncertainty: int) -> None:
        """Between the fences of a write that does not begin where the last one ended."""
        words = self._words
        if not self._started:
            self._started = True
            words[WORD_FIRST_POSITION] = position + lost
            return
        count = words[WORD_GAP_COUNT]
        words[WORD_GAP_BEGIN] = count + 1
        self._fence()
        word = WORD_GAPS + count % GAP_SLOTS * GAP_STRIDE
        words[word] = position
        words[word + 1] = lost
        words[word + 2] = cause
        words[word + 3] = uncertainty
        self._fence()
        words[WORD_GAP_COUNT] = count + 1

    def _repair(self) -> None:
        """Finish or undo what a writer that died between two steps left half done."""
        words = self._words
        if not self._started:
            words[WORD_FIRST_POSITION] = -1
        count = words[WORD_GAP_COUNT]
        if count and words[WORD_GAPS + (count - 1) % GAP_SLOTS * GAP_STRIDE] >= self._position:
            # A gap was noted, but the block behind it never published: the next write will note its own. The
            # entry that it overwrote is lost, which gap_begin, left as it is, goes on saying.
            words[WORD_GAP_COUNT] = count - 1
        if words[WORD_STAMP_SEQUENCE] % 2:
            words[WORD_STAMP_POSITION] = words[WORD_STAMP_MONOTONIC_NS] = words[WORD_STAMP_UTC_NS] = 0
            self._fence()
            words[WORD_STAMP_SEQUENCE] += 1

    def _misfit(self, block: Frames) -> RingError:
        return RingError(
            f"ring {self.name} takes blocks of {self.channels} channels and at most {self.capacity} frames, not {block.shape}",
            code="ring_shape",
            where=self.name,
        )
