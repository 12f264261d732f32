"""The thread that makes ended segments whole while the next one grows: format, name, checksum, and what is written about them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import soundfile

from asmu_engine.disk import whole
from asmu_engine.disk.acquisition.segment import fit_rows, growing_path, system_error
from asmu_engine.disk.durable import sync_folder
from asmu_engine.disk.formats import HDF5, FileForm, system_text
from asmu_engine.recording.checksums import file_sha256

_NICENESS: Final = 10
"""Of this thread: what is being recorded comes first."""


class Ended:
    """A segment to be made whole.

    Parameters
    ----------
    index, path, first, frames
        Its number, its final path, frame position of its first row, and its rows.
    utc_ns
        UTC of its first row, for formats that hold it.
    info
        For `set_broadcast_info`, where the format has that and is encoded.
    exact
        True where the file is known to have so many rows; else it is given them.
    """

    def __init__(
        self, index: int, path: Path, first: int, frames: int, utc_ns: int, info: bytes | None, *, exact: bool = True
    ) -> None:
        self.index = index
        self.path = path
        self.first = first
        self.frames = frames
        self.utc_ns = utc_ns
        self.info = info
        self.exact = exact


class Finisher:
    """Makes segments whole, one after the other, in the order in which they ended.

    Parameters
    ----------
    form
        Of all of them.
    done
        Called in this thread for each that is whole, with its size in bytes and its SHA-256; its OSError is one of the disk.
    """

    def __init__(self, form: FileForm, done: Callable[[Ended, int, str], None]) -> None:
        self.error: OSError | None = None
        self._form = form
        self._done = done
        self._todo: deque[Ended] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self._thread.start()

    def add(self, segment: Ended) -> None:
        """Make a segment whole soon."""
        with self._change:
            self._todo.append(segment)
            self._change.notify_all()

    def retry(self) -> None:
        """Try again what failed with `error`."""
        with self._change:
            self.error = None
            self._change.notify_all()

    @property
    def failed(self) -> Ended | None:
        """The segment that `error` is about."""
        with self._change:
            return self._todo[0] if self.error is not None and self._todo else None

    def set_aside(self) -> None:
        """Leave that one as it is, for `asmu repair`, and go on with the next."""
        with self._change:
            if self.error is not None and self._todo:
                self._todo.popleft()
            self.error = None
            self._change.notify_all()

    @property
    def busy(self) -> bool:
        """True while it makes a segment whole, and has not failed in it."""
        with self._change:
            return bool(self._todo) and self.error is None

    @property
    def idle(self) -> bool:
        """True when all segments are whole."""
        with self._change:
            return not self._todo

    def wait(self, seconds: float) -> bool:
        """Wait until all segments are whole, or one cannot be made so (`error`); False when it takes longer."""
        with self._change:
            return self._change.wait_for(lambda: not self._todo or self.error is not None, seconds)

    def close(self) -> None:
        """End the thread, after the segment that it works on: what is left another process makes whole."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":  # where a thread has a niceness of its own
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closing or (self._todo and self.error is None))
                if self._closing:
                    return
                segment = self._todo[0]
            try:
                self._finish(segment)
                error = None
            except (soundfile.SoundFileError, OSError) as failure:
                error = system_error(failure, system_text(failure))
            with self._change:
                self.error = error
                if error is None:
                    self._todo.popleft()
                self._change.notify_all()

    def _finish(self, segment: Ended) -> None:
        part = growing_path(segment.path, self._form)
        if not segment.exact and part.exists():
            fit_rows(part, segment.frames)
        whole.make_whole(part, segment.path, self._form, self._encoder(segment))
        sync_folder(segment.path.parent)
        digest = file_sha256(segment.path)
        self._done(segment, segment.path.stat().st_size, digest)

    def _encoder(self, segment: Ended) -> whole.Encode | None:
        if self._form.format == HDF5:
            from asmu_engine.recording.hdf5 import write_hdf5  # only where the extra is installed

            utc = datetime.fromtimestamp(segment.utc_ns / 1e9, UTC).isoformat(timespec="milliseconds")
            return partial(write_hdf5, first=segment.first, utc=utc, tags=self._form.tags)
        if segment.info is not None:
            return partial(whole.encode_file, form=self._form, info=segment.info)
        return None
