"""Who holds a recording folder: its writer locks the ledger for as long as it lives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.names import LEDGER

try:
    import fcntl
except ImportError:  # Windows: nobody can tell there
    fcntl = None  # type: ignore[assignment]


def is_written(folder: Path, pid: int) -> bool:
    """True while a writer holds the folder; `pid` is the one that its ledger names last, 0 where it names none.

    The process is looked for first, for to try the lock is to hold it for a moment, in which another writer may want it.
    """
    if fcntl is None or not _runs(pid):
        return False
    try:
        with (folder / LEDGER).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, so that nobody begins to write it.

    Raises
    ------
    DiskError
        ``file_unwritable``: its writer, or another repair, holds it.
    """
    try:
        file = (folder / LEDGER).open("rb")
    except OSError:  # no ledger, hence no writer
        yield
        return
    with file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DiskError(
                f"{folder} is being written: stop the recording, or the other repair, first",
                code="file_unwritable",
                where=str(folder),
                retry=True,
            ) from None
        yield


def _runs(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
