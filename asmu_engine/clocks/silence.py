"""How long something has not let itself be heard, as far as somebody can say who may stand still himself."""

from __future__ import annotations

import time
from typing import Final

LOOK_SECONDS: Final = 0.5
"""Who looks less often stood still, and perhaps the whole machine did: what is more says nothing about the other."""
DEVICE_SECONDS: Final = 1.0
DEVICE_BLOCKS: Final = 8
"""A device that runs and has not called for so long, whichever of the two is longer, and its latency besides, is lost."""
BEGIN_SECONDS: Final = 2.0
"""So much longer may its first call take: a server has to connect, a headset to wake up."""


def patience(block_seconds: float, input_latency: float, output_latency: float) -> float:
    """For how long a device that runs may be silent, s: while its buffers last, a server may be kept waiting without harm."""
    return max(DEVICE_SECONDS, DEVICE_BLOCKS * block_seconds) + max(input_latency, output_latency)


class Silence:
    """Of one thing, from now on.

    Parameters
    ----------
    sign
        A number that changes whenever the thing does something.
    grace
        Seconds that it may take to begin.
    """

    def __init__(self, sign: int, grace: float = 0.0) -> None:
        self._sign = sign
        self._looked = time.monotonic()
        self._since = self._looked + grace

    def seconds(self, sign: int) -> float:
        """For how long its sign has not changed. To be asked every now and then."""
        now = time.monotonic()
        stood_still = max(0.0, now - self._looked - LOOK_SECONDS)
        self._looked = now
        if sign != self._sign:
            self._sign, self._since = sign, now
        else:
            self._since += stood_still
        return max(0.0, now - self._since)
