"""Feeds: rings into the engine, whose one reader tells the writer how far it has read."""

from __future__ import annotations

import os
import time

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.end import Frames, RingEnd
from asmu_engine.shm.ring import (
    WORD_CONSUMER_PID,
    WORD_END_POSITION,
    WORD_JUMP_TO,
    WORD_LOOP_FRAMES,
    WORD_LOOP_ORIGIN,
    WORD_READ_POSITION,
    WORD_UNDERFLOW_FRAMES,
    WORD_WRITE_END,
    RingKind,
)
from asmu_engine.shm.writer import RingWriter

_LONGEST_SLEEP = 0.01


class FeedWriter:
    """The writing end of a feed: never overtakes the engine, never waits by itself.

    Parameters
    ----------
    name
        Name of the feed's segment. A new writer goes on where the last one stopped.
    """

    def __init__(self, name: str) -> None:
        self._ring = RingWriter(name, RingKind.FEED)
        self.name = name
        self.channels = self._ring.channels
        self.samplerate = self._ring.samplerate
        self.capacity = self._ring.capacity
        self.loop(0, 0)

    @property
    def position(self) -> int:
        """Frames written since the feed was made: the position of the next one."""
        return self._ring.position

    @property
    def consumed(self) -> int:
        """Position of the next frame that the engine will read."""
        return int(self._ring._words[WORD_READ_POSITION])

    @property
    def underflow(self) -> int:
        """Frames that the engine wanted and did not find."""
        return int(self._ring._words[WORD_UNDERFLOW_FRAMES])

    @property
    def space(self) -> int:
        """Frames that can be written now."""
        return self.capacity - (self._ring.position - self.consumed)

    @property
    def closed(self) -> bool:
        """True once the engine has ended or removed the feed."""
        return self._ring.closed

    def write(self, block: Frames, *, last: bool = False) -> int:
        """Write as much of a block, float32 (frames, channels), as there is space for; takes back `finish`.

        Parameters
        ----------
        last
            Nothing follows this block: as `finish` once all of it is written, but the engine knows as soon as it finds the
            rows, however late this process comes to say so.

        Returns
        -------
        int
            Frames written.
        """
        frames = min(len(block), self.space)
        words = self._ring._words
        if frames:
            end = self._ring.position + frames if last and frames == len(block) else -1
            if words[WORD_END_POSITION] != end:
                words[WORD_END_POSITION] = end
        # The consumer has read these rows (its position says so) before they are written again.
        self._ring._fence()
        self._ring.write(block[:frames])
        return frames

    def wait(self, frames: int, timeout: float | None = None) -> bool:
        """Wait until `frames` (at most `capacity`) can be written; False after `timeout` seconds or when the feed is closed."""
        frames = min(frames, self.capacity)
        deadline = None if timeout is None else time.monotonic() + timeout
        while (missing := frames - self.space) > 0:
            now = time.monotonic()
            if self.closed or (deadline is not None and now >= deadline):
                return False
            pause = min(missing / self.samplerate + 0.0005, _LONGEST_SLEEP)
            time.sleep(pause if deadline is None else min(pause, deadline - now))
        return True

    def finish(self) -> None:
        """Nothing follows what has been written: the engine plays to there and no underflow is counted."""
        self._ring._fence()
        self._ring._words[WORD_END_POSITION] = self._ring.position

    def jump(self, position: int | None = None, *, last: bool = False) -> int:
        """Have the engine drop what it has not played yet; takes back `finish`. For seeking.

        Parameters
        ----------
        position
            Where to go on: a position up to which the engine has not played yet, with frames behind it already there, so
            that the engine finds them at once. None: behind all that was written.
        last
            Nothing follows what has been written: as `finish`, at the same time.

        Returns
        -------
        int
            Position at which the engine goes on.
        """
        words = self._ring._words
        target = self._ring.position if position is None else position
        words[WORD_END_POSITION] = self._ring.position if last else -1
        self._ring._fence()
        words[WORD_JUMP_TO] = target
        return target

    def loop(self, origin: int, frames: int) -> None:
        """Say that what is written from here on is a loop, so that the engine notices when it begins anew.

        Parameters
        ----------
        origin
            Position of its first frame; negative where that would lie before the feed's beginning.
        frames
            Its length; 0: what follows is no loop.
        """
        words = self._ring._words
        words[WORD_LOOP_FRAMES] = 0
        self._ring._fence()
        words[WORD_LOOP_ORIGIN] = origin
        self._ring._fence()
        words[WORD_LOOP_FRAMES] = frames

    def close(self) -> None:
        """Let go of the feed; what was written stays for the engine, and another writer may go on."""
        self._ring.close(final=False)

    def __enter__(self) -> FeedWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class FeedReader(RingEnd):
    """The engine's end of a feed; nothing in it waits or allocates memory for data.

    Parameters
    ----------
    name
        Name of the feed's segment. A new reader goes on where the last one stopped.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, RingKind.FEED, writable=True)
        self._position: int = self._words[WORD_READ_POSITION]
        self._underflow: int = self._words[WORD_UNDERFLOW_FRAMES]
        self._words[WORD_CONSUMER_PID] = os.getpid()
        self.touch()

    @property
    def position(self) -> int:
        """Position of the next frame to read."""
        return self._position

    @property
    def underflow(self) -> int:
        """Frames that were wanted and not there."""
        return self._underflow

    @property
    def fill(self) -> int:
        """Frames ready to be read."""
        return max(0, int(self._words[WORD_WRITE_END]) - self._skip_dropped())

    @property
    def finished(self) -> bool:
        """True once the last frame of a feed that was finished has been read."""
        end = self._words[WORD_END_POSITION]
        return bool(0 <= end <= self._position)

    def loop_row(self, frames: int) -> int:
        """Which of the last `frames` frames that were read is the first of a loop that begins anew; -1 for none of them."""
        words = self._words
        length = words[WORD_LOOP_FRAMES]
        if length <= 0:
            return -1
        first, origin = self._position - frames, words[WORD_LOOP_ORIGIN]
        # The loop's number, rounded up; its number 0 is no beginning anew.
        row = int(origin + max(1, -((origin - first) // length)) * length - first)
        return row if row < frames else -1

    def primed(self, frames: int) -> bool:
        """True when `frames` can be read without underflow: they are there, or all that will ever come is."""
        words = self._words
        written = words[WORD_WRITE_END]
        return bool(written - self._skip_dropped() >= frames or 0 <= words[WORD_END_POSITION] <= written)

    def read_into(self, out: Frames) -> int:
        """Fill `out`, float32 (frames, channels); what is missing is zeros, counted as underflow before the feed's end.

        Returns
        -------
        int
            Frames that were there.

        Raises
        ------
        RingError
            ``ring_shape`` for an array of other channels.
        """
        words = self._words
        fence = self._fence
        frames, channels = out.shape
        if channels != self.channels:
            # numpy would spread one channel over several without a word.
            raise self._misfit(out)
        position = self._skip_dropped()
        ready = words[WORD_WRITE_END] - position
        fence.release()
        fence.acquire()
        end = words[WORD_END_POSITION]  # behind the fence: who finds the last rows finds that they are the last
        got = frames if ready >= frames else ready if ready > 0 else 0
        start = position % self.capacity
        room = self.capacity - start
        if got <= room:
            out[:got] = self._data[start : start + got]
        else:
            out[:room] = self._data[start:]
            out[room:got] = self._data[: got - room]
        if got < frames:
            out[got:] = 0.0
            if not 0 <= end <= position + got:
                self._underflow += frames - got
                words[WORD_UNDERFLOW_FRAMES] = self._underflow
        fence.release()
        fence.acquire()
        self._position = words[WORD_READ_POSITION] = position + got
        return got

    def _misfit(self, out: Frames) -> RingError:
        return RingError(
            f"feed {self.name} fills blocks of {self.channels} channels, not {out.shape}", code="ring_shape", where=self.name
        )

    def _skip_dropped(self) -> int:
        """The read position after the writer's latest jump."""
        jump: int = self._words[WORD_JUMP_TO]
        if jump > self._position:
            self._position = self._words[WORD_READ_POSITION] = jump
        return self._position
