"""What UTC is ahead of the monotonic clock, and when somebody set it."""

from __future__ import annotations

import time
from collections import deque
from statistics import median, median_low
from typing import Final, NamedTuple

_KEPT: Final = 9
_CONFIRMED: Final = 2
"""Samples that must agree on a step."""
_LEAST_STEP_NS: Final = 1_000_000
_SLEW: Final = 500e-6
"""How fast systems slew UTC at the most (adjtime, RFC 1589); only where the monotonic clock is not slewed alike."""
_MOST_SLEW_NS: Final = 20_000_000
_SLEPT_NS: Final = 10_000_000


class Step(NamedTuple):
    """UTC was set, or the machine slept: from `position` on frames are `ns` later in UTC than was expected."""

    position: int
    ns: int
    suspended: bool


class OffsetTracker:
    """Told of what UTC is ahead at frame positions, it tells a step from a slew.

    Attributes
    ----------
    ns
        The present offset; None before the first sample.
    scatter
        Median absolute deviation of the newest samples, ns.
    """

    def __init__(self) -> None:
        self.ns: int | None = None
        self.scatter = 0.0
        self._offsets: deque[int] = deque(maxlen=_KEPT)
        self._last_ns = 0
        self._slept = 0
        self._suspects: list[tuple[int, int]] = []

    def add(self, position: int, monotonic_ns: int, offset_ns: int, slept_ns: int = 0) -> Step | None:
        """A sample; the step that it confirms.

        Parameters
        ----------
        position
            A frame position.
        monotonic_ns
            Its monotonic time, ns.
        offset_ns
            UTC minus that, ns.
        slept_ns
            How long the machine has slept since it was started, ns; see `slept`.
        """
        if self.ns is None:
            self._slept = slept_ns
            self._take(monotonic_ns, offset_ns)
            return None
        slew = min(_MOST_SLEW_NS, _SLEW * abs(monotonic_ns - self._last_ns))
        if abs(offset_ns - self.ns) <= _LEAST_STEP_NS + slew:
            self._suspects.clear()
            self._take(monotonic_ns, offset_ns)
            return None
        if self._suspects and abs(offset_ns - self._suspects[-1][1]) > _LEAST_STEP_NS:
            self._suspects.clear()
        self._suspects.append((position, offset_ns))
        if len(self._suspects) < _CONFIRMED:
            return None
        before = self.ns
        self._offsets.clear()
        for _, suspect in self._suspects:
            self._take(monotonic_ns, suspect)
        step = Step(self._suspects[0][0], self.ns - before, slept_ns - self._slept > _SLEPT_NS)
        self._slept = slept_ns
        self._suspects.clear()
        return step

    def _take(self, monotonic_ns: int, offset_ns: int) -> None:
        self._offsets.append(offset_ns)
        self._last_ns = monotonic_ns
        self.ns = median_low(self._offsets)
        self.scatter = median(abs(offset - self.ns) for offset in self._offsets)


def slept() -> int:
    """How long the machine has slept since it was started, ns; 0 where the system does not say (it does under Linux)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0 if clock is None else time.clock_gettime_ns(clock) - time.monotonic_ns()
