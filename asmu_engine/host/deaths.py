"""How often a child died lately: one that dies again and again is not started again."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

MAX_RESTARTS: Final = 3
WINDOW_SECONDS: Final = 60.0


class Deaths:
    """The deaths within the last minute."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def add(self) -> bool:
        """Count one; True when there were too many to start another process."""
        now = time.monotonic()
        self._times.append(now)
        while now - self._times[0] > WINDOW_SECONDS:
            self._times.popleft()
        return len(self._times) > MAX_RESTARTS


def too_many(name: str) -> str:
    """What happened, for people."""
    return f"the {name} process ended more than {MAX_RESTARTS} times within {WINDOW_SECONDS:g} s"
