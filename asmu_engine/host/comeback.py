"""A device that was lost and is to come back: when it is looked for."""

from __future__ import annotations

import time
from typing import Final

RETRY_SECONDS: Final = 0.5
MAX_RETRY_SECONDS: Final = 4.0


class Comeback:
    """Counts the pauses between the attempts to open it."""

    def __init__(self) -> None:
        self._pause = RETRY_SECONDS
        self._next = 0.0

    def begin(self) -> None:
        """It was lost just now."""
        self._pause = RETRY_SECONDS
        self._next = time.monotonic() + self._pause

    def later(self, *, costly: bool) -> None:
        """It is not there yet. `costly`: to look for it takes a fresh process, which is done less and less often."""
        self._pause = min(2 * self._pause, MAX_RETRY_SECONDS) if costly else RETRY_SECONDS
        self._next = time.monotonic() + self._pause

    @property
    def due(self) -> bool:
        """Whether it is time to look for it."""
        return time.monotonic() >= self._next
