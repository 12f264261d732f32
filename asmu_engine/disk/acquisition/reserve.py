"""Room that a recording holds back from itself, so that it can still say what happened when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from asmu_engine.recording.names import RESERVE

SIZE: Final = 1024 * 1024
"""Bytes: the last lines of a ledger, and a manifest of thousands of segments."""


class Reserve:
    """A file of random bytes (zeros would take no room where the file system compresses), deleted when its room is needed."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._path: Path | None = None

    @property
    def taken(self) -> bool:
        """True while room is held back."""
        return self._path is not None

    def take(self, folder: Path) -> bool:
        """Hold room back on the disk of `folder`, instead of where it was before; False where it has none. Never raises."""
        path = folder / RESERVE
        if self._path != path:
            self.give_back()
        try:
            # A writer that died leaves its own.
            if not (path.is_file() and path.stat().st_size == self._size):
                with path.open("wb") as file:
                    file.write(os.urandom(self._size))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError:
            _remove(path)
            self._path = None
            return False
        self._path = path
        return True

    def give_back(self) -> None:
        """Let the room go; nothing happens where there is none, or where it cannot be had any more. Never raises."""
        path, self._path = self._path, None
        if path is not None:
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # on a disk that is read-only or gone no room is to be had anyway
        path.unlink(missing_ok=True)
