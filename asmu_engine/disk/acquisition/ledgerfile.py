"""The ledger of a growing recording: only ever appended to, and locked by the process that writes the folder."""

from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path
from typing import Final

from asmu_engine.disk.durable import sync_data
from asmu_engine.disk.journal import lock_file
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.ledger import Entry, entry_line, parse_lines

_WRITABLE: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class LedgerFile:
    """A ledger, open for appending; nobody else can open it so until it is closed or its process is gone.

    Raises
    ------
    DiskError
        ``file_unwritable``: another process writes the folder.
    OSError
        From the system.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = io.FileIO(os.open(path, _WRITABLE | new * os.O_CREAT, 0o666), "r+")
        try:
            lock_file(self._file)
            self._size = os.fstat(self._file.fileno()).st_size
        except BlockingIOError:
            self._file.close()
            raise DiskError(
                f"another recording writes into {path.parent}; stop it or choose another folder",
                code="file_unwritable",
                where=str(path.parent),
                retry=True,
            ) from None
        except BaseException:
            self._file.close()
            raise

    def read(self) -> list[Entry]:
        """What it says so far. The beginning of a line that its writer died over is cut off.

        Raises
        ------
        DiskError
            ``file_unreadable``: it is damaged.
        OSError
            From the system.
        """
        with self._lock:
            self._file.seek(0)
            content = self._file.read()
            whole = content.rfind(b"\n") + 1
            entries = list(parse_lines(content[:whole].splitlines(keepends=True), self.path))
            if whole != len(content):
                self._file.truncate(whole)
            self._size = whole
        return entries

    def append(self, *entries: Entry) -> list[Entry]:
        """Write entries behind the others, with the time; from any thread. Returned as they were written.

        Raises
        ------
        OSError
            From the system; none of them is in the file then.
        """
        now = time.time_ns()
        noted = [entry.model_copy(update={"noted_ns": now}) if not entry.noted_ns else entry for entry in entries]
        content = b"".join(map(entry_line, noted))
        with self._lock:
            written = 0
            try:
                while written < len(content):
                    written += self._file.write(content[written:]) or 0
            except OSError:
                if written:
                    self._file.truncate(self._size)
                raise
            self._size += len(content)
        return noted

    def sync(self) -> None:
        """Wait until it is on the disk; OSError from the system."""
        sync_data(self._file.fileno())

    def close(self) -> None:
        """Let go of it; it stays."""
        self._file.close()
