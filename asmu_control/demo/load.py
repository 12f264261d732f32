"""Python code at its worst: endless loops on every core, one of them in the client's own interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import TracebackType
from typing import Final, Self

_LOOP: Final = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


class HotLoops:
    """While entered, a pure-Python loop in a thread of this process, and one in a process of its own for each core."""

    def __init__(self) -> None:
        self.cores = os.cpu_count() or 1
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="hot loop", daemon=True)
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in range(self.cores):
            # A child watches its parent, so that none outlives a demo that is killed.
            self._children.append(subprocess.Popen([sys.executable, "-S", "-c", _LOOP]))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
        self._thread.join()

    def _spin(self) -> None:
        while not self._over.is_set():
            for _ in range(100_000):
                pass
