"""A player: from a sound file to a feed's ring, which it keeps full."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from asmu_engine.disk.formats import system_text
from asmu_engine.disk.job import Job, Pace, Send
from asmu_engine.protocol.errors import AsmuError, DiskError
from asmu_engine.shm.feed import FeedWriter

_CHUNK_BYTES: Final = 1024 * 1024
_RESERVE: Final = 16
"""This part of the ring stays free, so that a seek finds room for what comes next before the engine drops the rest."""


def open_file(path: str, start: int, loop: bool, channels: int, samplerate: float) -> soundfile.SoundFile:
    """The file to play, at frame `start`.

    Raises
    ------
    DiskError
        ``file_unreadable``; ``file_format`` where it has other channels or another samplerate than the feed, or no frame
        to play at `start`.
    """
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise DiskError(f"cannot read {path}: {_why_unreadable(path, error)}", code="file_unreadable", where=path) from error
    try:
        if (file.channels, file.samplerate) != (channels, samplerate):
            raise DiskError(
                f"{path} has {file.channels} channels at {file.samplerate} Hz, the feed {channels} at {samplerate:g} Hz; "
                "make a player of the file's channels, or convert the file",
                code="file_format",
                where=path,
            )
        if start > file.frames or (loop and not file.frames):
            raise DiskError(
                f"{path} has {file.frames} frames: nothing to play from frame {start}{' in a loop' if loop else ''}",
                code="file_format",
                where=path,
            )
        if start:
            file.seek(start)
    except soundfile.SoundFileError as error:
        file.close()
        raise DiskError(f"cannot play {path} from frame {start}: {system_text(error)}", code="file_format", where=path) from error
    except DiskError:
        file.close()
        raise
    return file


class Player(Job):
    """Reads ahead by nearly as much as the ring holds. A loop is gapless: the file's first frame follows its last one.

    A seek is gapless too where the ring's reserve (a sixteenth) holds more than a block: what comes next is written
    before the engine is told to drop the rest.

    Parameters
    ----------
    number, send
        See `Job`.
    feed
        Writing end of the feed; what another player left in it is dropped.
    file
        From `open_file`.
    loop
        Go on at frame 0 after the last one, for ever.
    request
        Answered once the ring is primed: full but for its reserve, or with the rest of the file in it.
    """

    def __init__(self, number: int, send: Send, feed: FeedWriter, file: soundfile.SoundFile, *, loop: bool, request: int) -> None:
        super().__init__(number, send)
        self.ring = feed.name
        self._feed = feed
        self._file = file
        self._loop = loop
        self._prime_requests = [request]
        self._seeks: list[tuple[int, int]] = []
        self._start = file.tell()
        self._frames: int = file.frames
        self._base = feed.jump()
        self._read_all = False
        self._played = self._ahead = 0
        self._played_before = self._loops_before = 0
        self._reserve = feed.capacity // _RESERVE
        rows = max(1, min(feed.capacity, _CHUNK_BYTES // (4 * feed.channels)))
        self._buffer = np.empty((rows, feed.channels), np.float32)
        self._say_loop()

    def seek(self, position: int, request: int) -> None:
        """Go on at frame `position` of the file; answered once the ring is primed from there.

        Raises
        ------
        DiskError
            ``file_format`` for a position behind the file's end, ``disk_job_unknown`` where the player has ended.
        """
        if position > self._frames:
            name = str(self._file.name)
            raise DiskError(
                f"{name} has {self._frames} frames: there is no frame {position} to go to", code="file_format", where=name
            )
        with self._lock:
            running = self.state == "running" and not self._stop_asked
            if running:
                self._seeks.append((position, request))
        if not running:
            raise self._over()
        self._wake.set()

    def status(self) -> dict[str, Any]:
        """Frames ``played`` since the start, the frame ``position`` in the file that comes next, and finished ``loops``.

        ``ahead``: frames in the ring that are yet to be played.
        """
        reached = self._start + self._played
        looped = self._loop and self._frames > 0
        played = self._played_before + self._played
        return {
            "job": self.number,
            "kind": "play",
            "state": self.state,
            "path": str(self._file.name),
            "samplerate": self._file.samplerate,
            "channels": self._file.channels,
            "frames": self._frames,
            "played": played,
            "ahead": self._ahead,
            "seconds": played / self._file.samplerate,
            "position": reached % self._frames if looped else reached,
            "loops": self._loops_before + (reached // self._frames if looped else 0),
        }

    def _work(self) -> None:
        try:
            self._fill()
        finally:
            self._file.close()
            self._feed.close()

    def _fill(self) -> None:
        feed = self._feed
        pace = Pace(feed.capacity)
        try:
            while not self._stop_asked and not feed.closed:
                if self._seeks:
                    self._jump()
                if self._read_all:
                    self._note_played()
                    if feed.consumed >= feed.position and self._over_and_done():
                        return
                    moved = 0
                else:
                    moved = self._feed_some()
                self._note_played()
                if self._read_all or feed.space <= self._reserve:
                    self._answer_primed()
                self._progress()
                pace.rest(moved, self._wake)
            # What was read ahead is not to be heard any more.
            self._note_played()
            feed.jump(last=True)
        finally:
            feed.finish()

    def _over_and_done(self) -> bool:
        """The end has been played; from now on a seek is too late, unless one came in just before."""
        with self._lock:
            self._stop_asked = not self._seeks
            return self._stop_asked

    def _jump(self) -> None:
        """Go on at the position of the newest seek, of which the first frames are there before the rest is dropped."""
        with self._lock:
            seeks, self._seeks = self._seeks, []
        position = seeks[-1][0]
        if self._loop:
            position %= self._frames  # the end of a loop is its beginning
        self._prime_requests += [request for _, request in seeks]
        feed = self._feed
        try:
            self._file.seek(position)
        except soundfile.SoundFileError as error:
            name = str(self._file.name)
            raise DiskError(
                f"cannot play {name} from frame {position}: {system_text(error)}", code="file_format", where=name
            ) from error
        self._read_all = False
        begin = feed.position
        self._feed_some(reserve=0)
        self._say_loop(begin - position)
        feed.jump(begin, last=self._read_all)
        self._note_played()
        done = self.status()
        self._played_before, self._loops_before = done["played"], done["loops"]
        self._start, self._base, self._played = position, begin, 0
        self._note_played()

    def _say_loop(self, origin: int | None = None) -> None:
        """Where the file's first frame lies in the feed, or would lie. A seek leads behind all that the former origin told of."""
        if self._loop:
            self._feed.loop(self._base - self._start if origin is None else origin, self._frames)

    def _feed_some(self, reserve: int | None = None) -> int:
        rows = min(self._feed.space - (self._reserve if reserve is None else reserve), len(self._buffer))
        if rows <= 0:
            return 0
        filled = 0
        try:
            while filled < rows:
                got = len(self._file.read(out=self._buffer[filled:rows]))
                filled += got
                if filled == rows:
                    break
                if not self._loop:
                    self._read_all = True
                    break
                if not got and not self._file.tell():
                    raise OSError("it holds no frame after all")
                self._file.seek(0)
        except (soundfile.SoundFileError, OSError) as error:
            self._feed.write(self._buffer[:filled], last=True)
            name = str(self._file.name)
            raise DiskError(
                f"{name} is damaged or was cut short: {system_text(error)}; it was played up to frame {self._file.tell()}",
                code="file_unreadable",
                where=name,
            ) from error
        if not self._loop and self._file.tell() >= self._frames:
            self._read_all = True
        self._feed.write(self._buffer[:filled], last=self._read_all)
        if self._read_all and not filled:
            self._feed.finish()
        return filled

    def _note_played(self) -> None:
        """Kept here, because a status may be asked for when the feed has been let go of."""
        # Between a seek and the engine's next block what was there before may still be played.
        consumed = self._feed.consumed
        self._played = max(self._played, consumed - self._base)
        self._ahead = self._feed.position - max(consumed, self._base)

    def _answer_primed(self) -> None:
        requests, self._prime_requests = self._prime_requests, []
        for request in requests:
            self._answer(request)

    def _end(self, state: str, error: AsmuError | None) -> None:
        super()._end(state, error)
        self._answer_primed()
        with self._lock:
            seeks, self._seeks = self._seeks, []
        for _, request in seeks:
            self._send({"id": request, "error": self._over().to_wire()})

    def _over(self) -> DiskError:
        return DiskError(
            f"player {self.number} has ended; play the file again, from where it should go on",
            code="disk_job_unknown",
            where=f"job {self.number}",
        )


def _why_unreadable(path: str, error: Exception) -> str:
    """The system's reason where it has one: libsndfile only says "System error"."""
    try:
        with Path(path).open("rb"):
            return system_text(error)
    except OSError as reason:
        return str(reason.strerror)
