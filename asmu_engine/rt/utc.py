"""What UTC is ahead of the monotonic clock: measured outside the callback, read in it."""

from __future__ import annotations

import time
from typing import Final

_TRIES: Final = 3


class UtcOffset:
    """`ns`: nanoseconds to add to the monotonic clock for UTC, as `refresh` found it last.

    Both clocks of a machine are steered alike, so the offset stays what it is until somebody sets UTC, or the machine sleeps.
    """

    def __init__(self) -> None:
        self._simulated_ns = 0
        self.ns = 0
        self.refresh()

    def refresh(self) -> None:
        """Measure; for the control thread, every now and then."""
        self.ns = measured_offset() + self._simulated_ns

    def step(self, nanoseconds: int) -> None:
        """Simulate that UTC was set, so much later than it is; for the control thread."""
        self._simulated_ns += nanoseconds
        self.refresh()


def measured_offset() -> int:
    """UTC minus the monotonic clock, ns, from the quickest of three looks at both: one that was interrupted is off."""
    best = offset = 0
    for attempt in range(_TRIES):
        before = time.monotonic_ns()
        utc = time.time_ns()
        after = time.monotonic_ns()
        if attempt == 0 or after - before < best:
            best, offset = after - before, utc - (before + after) // 2
    return offset
