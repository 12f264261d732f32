"""Rows of a segment that is stored as HDF5. Needs the package h5py."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import numpy as np

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.reading import Audio, Columns, unreadable

DATASET: Final = "audio"
"""Its name in the file: float32, shape (frames, channels)."""

_BLOCK_BYTES: Final = 1 << 21
"""Read at a time where only some columns are wanted: a chunk of the file, or several."""


class Hdf5Reader:
    """Reads the dataset ``audio`` of an HDF5 file, see `SegmentReader`."""

    def __init__(self, path: Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise DiskError(
                f"{path} is an HDF5 file; reading it takes h5py: pip install 'asmu-control[hdf5]'",
                code="file_unreadable",
                where=str(path),
            ) from error
        self.path = path
        self._lock = threading.Lock()
        try:
            # Locks of HDF5 fail on file systems that are read-only or know none; a segment under its name is whole anyway.
            self._file = h5py.File(path, "r", locking="best-effort")
        except (OSError, ValueError) as error:
            raise unreadable(path, str(error)) from error
        data = self._file.get(DATASET)
        if not isinstance(data, h5py.Dataset) or data.ndim != 2:
            self._file.close()
            raise unreadable(path, f"it has no dataset {DATASET} of two dimensions")
        self._data = data
        self.frames, self.channels = data.shape

    def read_into(self, out: Audio, row: int, columns: Columns = None) -> None:
        """See `SegmentReader`."""
        if row + len(out) > self.frames:
            raise unreadable(self.path, f"it ends after {self.frames} frames, sooner than it was said to")
        with self._lock:
            try:
                if columns is None and out.flags.c_contiguous and len(out):
                    self._data.read_direct(out, np.s_[row : row + len(out)])
                    return
                rows = max(1, _BLOCK_BYTES // (4 * self.channels))
                for start in range(0, len(out), rows):
                    stop = min(start + rows, len(out))
                    block = self._data[row + start : row + stop]
                    out[start:stop] = block if columns is None else block[:, columns]
            except OSError as error:
                raise unreadable(self.path, str(error)) from error

    def close(self) -> None:
        """See `SegmentReader`."""
        with self._lock:
            self._file.close()
