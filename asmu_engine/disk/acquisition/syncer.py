"""The thread that brings what has been written to the disk, so that a power cut costs at most a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_SHARE: Final = 0.4
"""Of the longest time that data may be away from the disk, how much passes between two turns; the rest is for the turn."""
_SHORTEST_PAUSE_S: Final = 0.01


class SyncTarget:
    """Something that is brought to the disk: `sync` does it, and `where` says in which folder it is now."""

    def __init__(self, sync: Callable[[], None], where: Callable[[], Path]) -> None:
        self._sync = sync
        self._where = where
        self._failed: tuple[Path, OSError] | None = None

    def turn(self) -> bool:
        """Bring it to the disk; False where that failed."""
        where = self._where()
        try:
            self._sync()
        except OSError as error:
            self._failed = where, error
            return False
        return True

    def take_error(self) -> OSError | None:
        """What its disk said since this was asked last; not what one said that it has left meanwhile, however late that was."""
        failed, self._failed = self._failed, None
        return failed[1] if failed is not None and failed[0] == self._where() else None


class Syncer:
    """Calls `turn` again and again.

    Parameters
    ----------
    seconds
        At most so old is what is not on the disk yet, where the disk is quick enough.
    turn
        Brings everything to the disk; an OSError of it is kept in `error`, and the next turn tries again.
    """

    def __init__(self, seconds: float, turn: Callable[[], object]) -> None:
        self.error: OSError | None = None
        self._pause = seconds * _SHARE
        self._turn = turn
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="syncer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after the turn that it is in."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        took = 0.0
        while not self._ending.wait(max(_SHORTEST_PAUSE_S, self._pause - took)):
            begun = time.monotonic()
            try:
                self._turn()
            except OSError as error:
                self.error = error
            took = time.monotonic() - begun
