"""Fault injection: a disk that is slow for a while, for rehearsals and tests of what a recording then does.

The environment variable `ASMU_DISK_THROTTLE` of the engine, ``"bytes_per_second,begin_s,seconds"``, lets the segments of each
recording folder grow no faster than that, from `begin_s` seconds after its writer began and for so many `seconds`. These are
seconds of the machine, whatever the speed of a simulated device. ``ASMU_DISK_THROTTLE=192000,5,20`` is a disk that takes
192 kB/s between the 5th and the 25th second.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Final

from asmu_engine.protocol.errors import DiskError

VARIABLE: Final = "ASMU_DISK_THROTTLE"


class Throttle:
    """Makes its caller wait as long as a slow disk would.

    Parameters
    ----------
    bytes_per_second
        What the disk takes meanwhile; more than 0.
    begin
        When it becomes slow, s from now.
    seconds
        For how long.
    clock, sleep
        `time.monotonic` and `time.sleep`, or a test's.
    """

    def __init__(
        self,
        bytes_per_second: float,
        begin: float,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._begin = clock() + begin
        self._end = self._begin + seconds
        self._due = self._begin
        """When all bytes so far are through."""

    def wait(self, size: int) -> None:
        """Return when `size` more bytes, which the caller writes next or just has written, are through."""
        now = self._clock()
        if not self._begin <= now < self._end:
            return
        # An idle disk saves up nothing: what was not written before does not make the next bytes faster.
        self._due = max(self._due, now) + size / self._rate
        if (rest := min(self._due, self._end) - now) > 0:
            self._sleep(rest)


def from_environment() -> Throttle | None:
    """The throttle that `ASMU_DISK_THROTTLE` asks for; None where it is not set.

    Raises
    ------
    DiskError
        ``disk_failed``: it is not of the form above.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    try:
        rate, begin, seconds = (float(part) for part in text.split(","))
        if not (0 < rate < math.inf and 0 <= begin < math.inf and seconds >= 0):
            raise ValueError
    except ValueError:
        raise DiskError(
            f"{VARIABLE} is {text!r}; it must be bytes_per_second,begin_s,seconds, such as 192000,5,20",
            code="disk_failed",
            where=VARIABLE,
        ) from None
    return Throttle(rate, begin, seconds)
