"""Brings growing files to the disk about once a second, so that a power cut costs no more than that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from asmu_engine.disk.acquisition.syncer import Syncer
from asmu_engine.disk.durable import sync_data

_SECONDS: Final = 1.0
_READ_WRITE: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class SyncedFiles:
    """A thread that does so until `close`, in the order of `paths`, while others write them and do not wait for the disk.

    It has descriptors of its own, for a duplicate of the writer's would share its lock. OSError where a file cannot be opened.
    """

    def __init__(self, *paths: Path) -> None:
        self._descriptors: list[int] = []
        try:
            for path in paths:
                self._descriptors.append(os.open(path, _READ_WRITE))
        except OSError:
            self._let_go()
            raise
        self._syncer = Syncer(_SECONDS, self._turn)

    @property
    def error(self) -> OSError | None:
        """What the disk said when it did not keep what it had taken before: that may be lost."""
        return self._syncer.error

    def close(self) -> None:
        """End the thread."""
        self._syncer.close()
        self._let_go()

    def _turn(self) -> None:
        for descriptor in self._descriptors:
            sync_data(descriptor)

    def _let_go(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())
