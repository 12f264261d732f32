"""A place on a ring's frame axis, and what can be known about the frames from there on."""

from __future__ import annotations

import time
from typing import Literal, get_args

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.block import Stamp
from asmu_engine.shm.end import RingEnd
from asmu_engine.shm.gaps import Gap, GapTable
from asmu_engine.shm.paced import PacedSlot
from asmu_engine.shm.ring import (
    WORD_BLOCK_FRAMES,
    WORD_CLOSED,
    WORD_FIRST_POSITION,
    WORD_PUBLISHED_NS,
    WORD_STAMP_MONOTONIC_NS,
    WORD_STAMP_POSITION,
    WORD_STAMP_SEQUENCE,
    WORD_STAMP_UTC_NS,
    WORD_WRITE_BEGIN,
    WORD_WRITE_END,
    RingKind,
)

Place = Literal["newest", "oldest", "first"]
Start = int | Place

_PLACES: tuple[Place, ...] = get_args(Place)

_STAMP_TRIES = 3
_FIRST_STAMP_TRIES = 50
_STAMP_PAUSE_S = 0.0005


class Cursor(RingEnd):
    """The part of a reader that knows where it is; `RingReader` adds the reading.

    Attributes
    ----------
    total_lost, total_skipped
        Sums of what the blocks said.
    """

    def __init__(self, name: str, start: Start) -> None:
        super().__init__(name, RingKind.TAP, writable=False)
        self._gaps = GapTable(self._words, self._fence)
        self._slot: PacedSlot | None = None
        self._stamp: Stamp | None = None
        self.total_lost = 0
        self.total_skipped = 0
        self.seek(start)

    @property
    def position(self) -> int:
        """Frame position of the next frame to read. Of a ring that is still empty: 0, or the `start` asked for."""
        self._begin()
        return self._position

    @property
    def writer_position(self) -> int:
        """Frame position behind the newest frame, 0 in an empty ring."""
        return int(self._words[WORD_WRITE_END])

    @property
    def first_position(self) -> int:
        """Frame position of the first frame that was ever written, 0 in an empty ring."""
        return int(self._words[WORD_FIRST_POSITION])

    @property
    def fill(self) -> int:
        """Frames between this reader and the writer: more than `capacity` after an overrun, negative before the start."""
        self._begin()
        return int(self._words[WORD_WRITE_END]) - self._position

    @property
    def marked_closed(self) -> bool:
        """`closed` as far as the header says it, which is cheaper to ask."""
        return bool(self._words[WORD_CLOSED])

    @property
    def latest_write(self) -> tuple[int, int, int]:
        """Position behind the latest write, its frames, and the monotonic time it was published at, ns."""
        words = self._words
        return words[WORD_WRITE_END], words[WORD_BLOCK_FRAMES], words[WORD_PUBLISHED_NS]

    @property
    def stamp(self) -> Stamp | None:
        """The newest time stamp; None where the writer gives no times."""
        words = self._words
        fence = self._fence
        for _ in range(_STAMP_TRIES if self._stamp is not None else _FIRST_STAMP_TRIES):
            sequence = words[WORD_STAMP_SEQUENCE]
            if sequence % 2:
                if self._stamp is None:
                    time.sleep(_STAMP_PAUSE_S)  # its writer lost its processor in the middle, and there is no other to go by
                continue
            fence.release()
            fence.acquire()
            stamp = Stamp(words[WORD_STAMP_POSITION], words[WORD_STAMP_MONOTONIC_NS], words[WORD_STAMP_UTC_NS])
            fence.release()
            fence.acquire()
            if words[WORD_STAMP_SEQUENCE] == sequence:
                self._stamp = stamp if stamp.monotonic_ns else None
                break
        # Else a write is going on, or died half way: the stamp before it is as good.
        return self._stamp

    def gaps(self) -> list[Gap]:
        """Every gap that the ring still knows of, oldest first, with the writer's cause."""
        return self._gaps.known(self.writer_position)

    def seek(self, start: Start) -> None:
        """Go on from another place; see `RingReader`'s `start`. What is passed over counts as neither lost nor skipped."""
        if isinstance(start, str) and start not in _PLACES:
            raise RingError(
                f"start {start!r}; use {', '.join(_PLACES)} or a frame position", code="ring_position", where=self.name
            )
        self._skipped = 0
        self._gaps.rewind()
        self._pending: Place | None = None
        if isinstance(start, str):
            self._position = 0
            self._pending = start
            self._begin()
        else:
            self._position = int(start)
        self._publish()

    def holds(self, position: int) -> bool:
        """True while no frame from `position` on has been overwritten."""
        self._fence()
        return bool(self._words[WORD_WRITE_BEGIN] - self.capacity <= position)

    def register_paced(self) -> None:
        """Have an engine that runs without a clock wait for this reader.

        Raises
        ------
        RingError
            ``ring_full`` when the ring has 16 such readers.
        """
        if self._slot is None:
            self._begin()
            self._slot = PacedSlot(self._segment, self._position)

    def release(self) -> None:
        """The engine no longer waits for this reader; it may go on reading."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def close(self) -> None:
        """Let go of the ring. Arrays that were handed out stay valid, views only until they are overwritten."""
        self.release()
        super().close()

    def _begin(self) -> bool:
        """Find the start in a ring that was empty so far; False while it still is."""
        if self._pending is None:
            return True
        end: int = self._words[WORD_WRITE_END]
        if not end:
            # A reader that was there before the first frame gets it, or learns that it was too slow for it.
            self._pending = "first"
            return False
        self._fence()
        if self._pending == "first":
            self._position = self._words[WORD_FIRST_POSITION]
        else:
            self._position = end if self._pending == "newest" else self._oldest()
        self._pending = None
        return True

    def _oldest(self) -> int:
        """The oldest frame position that is certainly whole."""
        words = self._words
        oldest: int = max(words[WORD_WRITE_BEGIN] - self.capacity, words[WORD_FIRST_POSITION], self._gaps.oldest_known())
        end: int = words[WORD_WRITE_END]
        return min(oldest, end)

    def _overtaken(self, position: int) -> bool:
        """True when frames from `position` on were overwritten, were never there, or can no longer be told from lost ones."""
        words = self._words
        return bool(
            words[WORD_WRITE_BEGIN] - self.capacity > position
            or position < words[WORD_FIRST_POSITION]
            or position < self._gaps.oldest_known()
        )

    def _skip(self, frames: int) -> None:
        self._position += frames
        self._skipped += frames
        self.total_skipped += frames

    def _publish(self) -> None:
        if self._slot is not None:
            self._slot.publish(self._position)
