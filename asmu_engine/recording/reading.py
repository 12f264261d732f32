"""Rows of a segment, whatever it is stored as: any stretch and any columns, without loading the file.

Uncompressed files are read by plain reads at the place where the rows lie (`soundheader`), float32 straight into the caller's
array. A memory map would be no faster for that, and kills its process where the file gets shorter beneath it, as one that
grows may. All else goes through libsndfile or HDF5.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.soundheader import Layout, read_layout

Audio = npt.NDArray[np.floating[Any]]
Columns = Sequence[int] | None
"""Indices from 0; None for all."""

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_SHORTEST: Final = 24
"""Bytes of the shortest header, that of AU."""
_SCRATCH_BYTES: Final = 1 << 18
"""Converted at a time: what the second-level cache holds."""


class SegmentReader(Protocol):
    """Reads the rows of one file; any thread may.

    Attributes
    ----------
    path
        The file.
    frames, channels
        Shape of what is in it. Of a file that grows: when it was opened.
    """

    path: Path
    frames: int
    channels: int

    def read_into(self, out: Audio, row: int, columns: Columns = None) -> None:
        """Fill `out`, float32 or float64 (frames, columns), with the rows from `row` on, 1.0 being full scale.

        DiskError ``file_unreadable`` where the file has fewer, or cannot be read.
        """

    def close(self) -> None:
        """Let go of the file."""


def open_segment(path: Path, *, growing: bool = False) -> SegmentReader:
    """A reader for a file; `growing` where it may not be whole yet: then its size says how many rows it has, not its header.

    Raises
    ------
    FileNotFoundError
        There is no such file (any more).
    DiskError
        ``file_unreadable``: it is no sound file, or damaged; or it takes h5py, which is not there.
    """
    try:
        with path.open("rb") as file:
            hdf5 = file.read(len(_HDF5)) == _HDF5
        if hdf5:
            from asmu_engine.recording.hdf5reader import Hdf5Reader  # only where one is read: it takes h5py

            return Hdf5Reader(path)
        layout = read_layout(path)
        if growing and layout is None and path.stat().st_size < _SHORTEST:
            raise unreadable(path, "it is too short for a header")  # of which libsndfile makes what it likes
        return SoundReader(path) if layout is None else RawReader(path, layout, growing=growing)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from error


class RawReader:
    """Reads an uncompressed file, see `SegmentReader`."""

    def __init__(self, path: Path, layout: Layout, *, growing: bool = False) -> None:
        self.path = path
        self.layout = layout
        self.channels = layout.channels
        self._growing = growing
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        self.frames = self._rows()

    def refresh(self) -> int:
        """Look how many rows there are by now; gives that number."""
        self.frames = self._rows()
        return self.frames

    def read_into(self, out: Audio, row: int, columns: Columns = None) -> None:
        """See `SegmentReader`."""
        if len(out) == 0:
            return
        layout = self.layout
        position = layout.offset + row * layout.frame_bytes
        stored = stored_type(layout)
        if columns is None and stored is not None and stored == out.dtype and out.flags.c_contiguous:
            self._fill(out.data.cast("B"), position)
            return
        rows = max(1, _SCRATCH_BYTES // layout.frame_bytes)
        scratch = _Scratch(layout, min(rows, len(out)))
        for start in range(0, len(out), rows):
            block = out[start : start + rows]
            self._fill(scratch.bytes(len(block)), position + start * layout.frame_bytes)
            scratch.convert(block, columns)

    def memmap(self) -> npt.NDArray[Any]:
        """All rows as they are stored, mapped read-only: shape (frames, channels), of the type of the file.

        Raises
        ------
        DiskError
            ``file_format``: numpy has no type for its samples (24 bit).
        """
        stored = stored_type(self.layout)
        if stored is None:
            raise DiskError(
                f"{self.path} cannot be mapped: numpy has no type of 24 bit; read it", code="file_format", where=str(self.path)
            )
        shape = (self.frames, self.channels)
        if not self.frames:
            return np.zeros(shape, stored)
        return np.memmap(self.path, stored, "r", self.layout.offset, shape)

    def close(self) -> None:
        """See `SegmentReader`."""
        self._file.close()

    def _rows(self) -> int:
        return self.layout.rows(os.fstat(self._file.fileno()).st_size, growing=self._growing)

    def _fill(self, target: memoryview, position: int) -> None:
        done = 0
        while done < len(target):
            try:
                got = self._read_at(target[done:], position + done)
            except OSError as error:
                raise unreadable(self.path, error.strerror or str(error)) from error
            if not got:
                raise unreadable(self.path, f"it ends after {self._rows()} frames, sooner than it was said to")
            done += got

    def _read_at(self, target: memoryview, position: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [target], position)
        with self._lock:
            self._file.seek(position)
            return self._file.readinto(target) or 0


class _Scratch:
    """One stretch of a file as it is stored, and its way to floats: exactly libsndfile's values."""

    def __init__(self, layout: Layout, rows: int) -> None:
        self._layout = layout
        self._rows = rows
        # One byte more on each side: samples of 24 bit are looked at as 32, with a byte of their neighbour.
        self._memory = np.zeros(rows * layout.frame_bytes + 2, np.uint8)

    def bytes(self, rows: int) -> memoryview:
        """Room for so many rows."""
        self._rows = rows
        return self._memory.data[1 : 1 + rows * self._layout.frame_bytes]

    def convert(self, out: Audio, columns: Columns) -> None:
        """To floats; `out` has as many rows as `bytes` was asked for."""
        values = self._view()
        if columns is not None:
            values = values[:, columns]
        if self._layout.width == 3:
            values = values & np.int32(-256)  # without the neighbour's byte
        out[...] = values
        bits = 32 if self._layout.width == 3 else 8 * self._layout.width
        if self._layout.encoding == "uint":
            out -= 2 ** (bits - 1)
        if self._layout.encoding != "float":
            out *= out.dtype.type(2.0 ** (1 - bits))

    def _view(self) -> npt.NDArray[Any]:
        layout, shape = self._layout, (self._rows, self._layout.channels)
        stored = stored_type(layout)
        if stored is not None:
            return np.ndarray(shape, stored, self._memory, offset=1)
        # The three bytes are the upper ones of the four.
        kind, offset = (">i4", 1) if layout.big else ("<i4", 0)
        return np.ndarray(shape, kind, self._memory, offset, (layout.frame_bytes, 3))


class SoundReader:
    """Reads whatever libsndfile knows, see `SegmentReader`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = soundfile.SoundFile(path)
        except soundfile.SoundFileError as error:
            raise unreadable(path, _text(error)) from error
        self.frames: int = self._file.frames
        self.channels: int = self._file.channels
        self._lock = threading.Lock()

    def read_into(self, out: Audio, row: int, columns: Columns = None) -> None:
        """See `SegmentReader`."""
        with self._lock:
            try:
                if len(out) and self._file.tell() != row:
                    self._file.seek(row)
                whole = columns is None and out.flags.c_contiguous and out.dtype in (np.float32, np.float64)
                rows = len(out) if whole else max(1, _SCRATCH_BYTES // (out.itemsize * self.channels))
                for start in range(0, len(out), max(1, rows)):
                    self._read_block(out[start : start + rows], columns, whole)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise unreadable(self.path, _text(error)) from error

    def close(self) -> None:
        """See `SegmentReader`."""
        with self._lock:
            self._file.close()

    def _read_block(self, out: Audio, columns: Columns, whole: bool) -> None:
        target = out if whole else np.empty((len(out), self.channels), out.dtype)
        if len(self._file.read(out=target)) < len(out):
            raise unreadable(self.path, "it is damaged: it ends sooner than its header says")
        if not whole:
            out[...] = target if columns is None else target[:, columns]


def stored_type(layout: Layout) -> np.dtype[Any] | None:
    """The numpy type of the samples of a file; None for 24 bit, for which there is none."""
    if layout.width == 3:
        return None
    kind = {"uint": "u", "int": "i", "float": "f"}[layout.encoding]
    return np.dtype(f"{'>' if layout.big else '<'}{kind}{layout.width}")


def unreadable(path: Path, why: str) -> DiskError:
    """The error of a file that cannot be read."""
    return DiskError(f"cannot read {path}: {why}", code="file_unreadable", where=str(path))


def _text(error: Exception) -> str:
    return str(getattr(error, "error_string", None) or error).strip()
