"""The note beside a growing recording: what another process needs to go on with it.

One JSON value a line, only ever appended to: the form of the file, the position of its first frame, every gap, and
``{"sealed": true}`` once nothing more will be written. A line that its writer died over is dropped.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

from asmu_engine.protocol.errors import DiskError

try:
    import fcntl
except ImportError:  # Windows: two recordings to one path are told apart by the open sound file there
    fcntl = None  # type: ignore[assignment]


Gap = tuple[int, int, str]
"""Position of the first missing frame, how many, and the cause."""


@dataclass
class Notes:
    """What a journal says.

    Attributes
    ----------
    form
        Format, subtype, samplerate, channels and tags, as given to `file_form`.
    first
        Frame position of the file's first frame; None before there was one.
    gaps
        Every stretch that is zeros in the file.
    sealed
        True when the recording had ended and only the last steps may be missing.
    """

    form: dict[str, Any] = field(default_factory=dict)
    first: int | None = None
    gaps: list[Gap] = field(default_factory=list)
    sealed: bool = False


class Journal:
    """The journal of one recording, locked for as long as its process lives."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or make a journal, and lock it.

        Raises
        ------
        DiskError
            ``file_unwritable`` when another recording to the same file is running.
        OSError
            From the system.
        """
        while True:
            file = path.open("a+b")
            try:
                lock_file(file)
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return cls(path, file)
            except BlockingIOError:
                file.close()
                raise DiskError(
                    f"another recording to the same file is running: {path} is in use; stop it or choose another path",
                    code="file_unwritable",
                    where=str(path),
                    retry=True,
                ) from None
            except FileNotFoundError:
                pass
            file.close()  # its former owner removed it between our two calls: make a new one

    def read(self) -> Notes:
        """What it says; a form of nothing where it is empty or damaged."""
        notes = Notes()
        self._file.seek(0)
        whole = 0
        for line in self._file:
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            if "form" in entry:
                notes.form = entry["form"]
            elif "first" in entry:
                notes.first = entry["first"]
            elif "gap" in entry:
                position, frames, cause = entry["gap"]
                notes.gaps.append((position, frames, cause))
            elif "sealed" in entry:
                notes.sealed = True
        self._file.truncate(whole)
        return notes

    def note(self, **entry: Any) -> None:
        """Append one entry."""
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()

    def clear(self) -> None:
        """Begin anew."""
        self._file.truncate(0)

    def sync(self) -> None:
        """Wait until it is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of it; it stays."""
        self._file.close()

    def remove(self) -> None:
        """Remove it: the recording is whole. Removed before it is unlocked, so that nobody can take it over between."""
        try:
            self.path.unlink(missing_ok=True)
            self._file.close()
        except PermissionError:  # Windows removes no open file
            self._file.close()
            self.path.unlink(missing_ok=True)


def lock_file(file: BinaryIO | RawIOBase) -> None:
    """Hold the file until it is closed or this process is gone; BlockingIOError where someone else does."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
