"""A sound file read ahead by a thread of its own, so that who plays it never touches the file."""

from __future__ import annotations

import threading

import numpy as np

from asmu_engine.devices.base import Block
from asmu_engine.devices.soundfile_io import open_soundfile

_CHUNK_FRAMES = 4096
_AHEAD_S = 2.0


class ReadAhead:
    """The frames of a file in order, float32, held about two seconds ahead of `take`.

    Positions count frames from the start of the stream, over all rounds of a looped file. One thread takes.
    """

    def __init__(self, path: str, blocksize: int, *, loop: bool) -> None:
        self._file = open_soundfile(path)
        self.channels = int(self._file.channels)
        self.samplerate = float(self._file.samplerate)
        self.frames = int(self._file.frames)
        self.error = ""
        """Why reading ended before the end of the file; empty when it did not."""
        self._loop = loop
        capacity = max(int(_AHEAD_S * self.samplerate), 8 * blocksize, 2 * _CHUNK_FRAMES)
        self._ring = np.zeros((capacity, self.channels), dtype=np.float32)
        self._written = 0
        self._taken = 0
        self._ended = False
        self._quit = threading.Event()
        self._room = threading.Event()
        self._thread = threading.Thread(target=self._read, name="asmu-readahead", daemon=True)
        self._thread.start()

    def ready(self, frames: int) -> int:
        """How many of `frames` frames can be taken, 0 while they are still being read; fewer only at the end."""
        ended = self._ended  # read before the count: what is there at the end is all there is
        available = self._written - self._taken
        if available >= frames:
            return frames
        return available if ended else 0

    @property
    def at_end(self) -> bool:
        """True when nothing is left to take."""
        return self._ended and self._written == self._taken

    def take(self, indata: Block, columns: slice | np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        """Fill `indata`, shape (frames, columns), with the next frames; no more than `ready` said."""
        frames, capacity, done = len(indata), len(self._ring), 0
        while done < frames:
            start = (self._taken + done) % capacity
            count = min(frames - done, capacity - start)
            source, target = self._ring[start : start + count], indata[done : done + count]
            if isinstance(columns, slice):
                np.copyto(target, source[:, columns])
            else:
                np.take(source, columns, axis=1, out=target, mode="clip")
            done += count
        self._taken += frames
        self._room.set()

    def close(self) -> None:
        """End the thread and close the file."""
        self._quit.set()
        self._room.set()
        self._thread.join()
        self._file.close()

    def _read(self) -> None:
        try:
            while not self._quit.is_set() and not self._ended:
                self._room.clear()
                if not self._read_chunk():
                    self._room.wait()
        except Exception as error:  # noqa: BLE001 - libsndfile's and the system's; the stream ends with its text
            self.error = f"{type(error).__name__}: {error}"
            self._ended = True

    def _read_chunk(self) -> bool:
        """Read as much as there is room for in one piece; False when there is none."""
        capacity = len(self._ring)
        start = self._written % capacity
        count = min(_CHUNK_FRAMES, capacity - start, capacity - (self._written - self._taken))
        if count == 0:
            return False
        got = len(self._file.read(out=self._ring[start : start + count]))
        self._written += got
        if got < count:
            if not self._loop or self._written == 0:
                self._ended = True
            else:
                self._file.seek(0)
        return True
