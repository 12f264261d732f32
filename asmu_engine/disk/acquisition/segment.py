"""One segment while it grows: rows go in at its end, and stay readable whatever becomes of this process."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import soundfile

from asmu_engine.disk.bext import set_broadcast_info
from asmu_engine.disk.durable import sync_data
from asmu_engine.disk.formats import FileForm, file_text, system_text
from asmu_engine.disk.headers import keep_header_right
from asmu_engine.disk.paths import part_path, raw_path

if TYPE_CHECKING:
    from asmu_engine.disk.acquisition.throttle import Throttle

Frames = npt.NDArray[np.float32]

_ZEROS_BYTES: Final = 1024 * 1024
_NO_AUDIO_BYTES: Final = 4096
"""A file that is smaller than this and cannot be opened died before its first row."""
_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT, errno.ESTALE)
_READ_WRITE: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def growing_path(path: Path, form: FileForm) -> Path:
    """Where a segment grows that will stand at `path`."""
    return part_path(path) if form.direct else raw_path(path)


def rows_in(path: Path) -> int:
    """Rows of a segment that nobody writes any more; OSError where it cannot be read."""
    try:
        return int(soundfile.info(path).frames)
    except soundfile.SoundFileError as error:
        raise system_error(error, disk_text(path, error)) from error


class SegmentFile:
    """The growing file; `create` or `reopen` makes one.

    Attributes
    ----------
    path
        Under its temporary name.
    first
        Frame position of the first row.
    frames
        Rows so far.
    synced
        How many of them are certainly on the disk.
    sound
        False where more than these rows may be in the file, which the disk did not let be taken back.
    """

    def __init__(self, path: Path, first: int, file: soundfile.SoundFile, throttle: Throttle | None) -> None:
        self.path = path
        self.first = first
        self.frames = int(file.frames)
        self.synced = 0
        self._lost_some = False
        self.sound = True
        self._file = file
        self._throttle = throttle
        self._zeros = np.zeros((max(1, _ZEROS_BYTES // (4 * file.channels)), file.channels), np.float32)
        self._lock = threading.Lock()
        keep_header_right(file)
        self._descriptor = os.open(path, _READ_WRITE)

    @classmethod
    def create(
        cls, path: Path, form: FileForm, first: int, info: bytes | None = None, throttle: Throttle | None = None
    ) -> SegmentFile:
        """Make the file, empty; soundfile.SoundFileError or OSError from the disk.

        Parameters
        ----------
        path
            Its temporary name; a file there is overwritten.
        form
            What it will be.
        first
            Frame position of its first row.
        info
            For `set_broadcast_info`, where the file is to have that.
        throttle
            Slows the writing, to see what a slow disk does.
        """
        file = soundfile.SoundFile(path, "w", form.samplerate, form.channels, form.part_subtype, format=form.part_format)
        try:
            if info is not None:
                set_broadcast_info(file, info)
            return cls(path, first, file, throttle)
        except BaseException:
            file.close()
            raise

    @classmethod
    def reopen(cls, path: Path, first: int, throttle: Throttle | None = None) -> SegmentFile | None:
        """Go on with a file whose writer died, at its last whole row; None where it died before it had written one."""
        try:
            file = soundfile.SoundFile(path, "r+")
        except (soundfile.SoundFileError, OSError):
            if not path.exists() or path.stat().st_size < _NO_AUDIO_BYTES:
                return None
            raise
        try:
            file.seek(file.frames)
            return cls(path, first, file, throttle)
        except BaseException:
            file.close()
            raise

    @property
    def position(self) -> int:
        """Frame position of the next row."""
        return self.first + self.frames

    def write(self, data: Frames) -> None:
        """Append rows, float32 (frames, channels), all or none of them.

        Raises
        ------
        OSError
            The disk did not take them; the text is the system's.
        """
        if self._throttle is not None:
            self._throttle.wait(data.nbytes)
        try:
            self._file.write(data)
        except (soundfile.SoundFileError, AssertionError, OSError) as error:
            failure = system_error(error, file_text(self._file, error))
            try:
                self._cut(self.frames)
            except (soundfile.SoundFileError, OSError):
                self.sound = False
            raise failure from error
        self.frames += len(data)

    def write_zeros(self, frames: int) -> None:
        """Append rows of zeros; OSError as `write`, with some of them in the file: `frames` tells."""
        while frames:
            rows = min(frames, len(self._zeros))
            self.write(self._zeros[:rows])
            frames -= rows

    def forget(self, frames: int) -> None:
        """Count only the first `frames` rows, on a disk that can no more be made to drop the others."""
        if frames < self.frames:
            self.frames = frames
            self.sound = False

    def truncate(self, frames: int) -> None:
        """Drop every row from row `frames` on; soundfile.SoundFileError or OSError from the disk."""
        if frames < self.frames:
            self._cut(frames)
            self.frames = frames

    def sync(self) -> None:
        """Wait until what has been written is on the disk, while more may be written; from any thread; OSError."""
        frames = self.frames
        if frames == self.synced:
            return
        with self._lock:
            if self._descriptor < 0:
                return
            descriptor = os.dup(self._descriptor)  # so that a close does not wait for the disk
        try:
            sync_data(descriptor)
        except OSError:
            # The system says so once, and then counts what it could not write as written.
            self._lost_some = True
            raise
        finally:
            os.close(descriptor)
        if not self._lost_some:
            self.synced = max(self.synced, frames)

    def close(self) -> None:
        """Let go of the file, which stays under its temporary name; harmless when done before."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)
        self._file.close()

    def _cut(self, frames: int) -> None:
        self._file.truncate(frames)
        self._file.seek(frames)


def system_error(error: Exception, text: str) -> OSError:
    """What the system said, of which libsndfile keeps only the text."""
    if isinstance(error, OSError):
        return error
    number = next((number for number in _DISK_ERRORS if os.strerror(number) in text), errno.EIO)
    return OSError(number, text)


def disk_text(path: Path, error: Exception) -> str:
    """Why a file could not be opened, in the system's words where it has some: libsndfile only says "System error"."""
    try:
        with path.open("r+b"):
            return system_text(error)
    except OSError as reason:
        return str(reason.strerror)


def fit_rows(path: Path, frames: int) -> int:
    """Make a file that nobody writes have exactly `frames` rows, by zeros or a cut; how many it had.

    Raises
    ------
    soundfile.SoundFileError, OSError
        From the disk.
    """
    with soundfile.SoundFile(path, "r+") as file:
        had = int(file.frames)
        if had > frames:
            file.truncate(frames)
        elif had < frames:
            file.seek(had)
            rows = max(1, _ZEROS_BYTES // (4 * file.channels))
            zeros = np.zeros((rows, file.channels), np.float32)
            for done in range(had, frames, rows):
                file.write(zeros[: min(rows, frames - done)])
    return had
