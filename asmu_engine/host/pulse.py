"""The pulse of a running device, read from the counters page: whether callbacks come, and where the frame axis stands."""

from __future__ import annotations

import time
from typing import Final

from asmu_engine.shm.status import StatusPage

CEASED_SECONDS: Final = 1.0
CEASED_BLOCKS: Final = 8
"""Callbacks have ceased when none came for so long, whichever of the two is longer."""


class Pulse:
    """Of one engine; `begin` when its device starts.

    `position` is that of the newest frame. Only a `paced` device keeps time: its axis runs on while it does not call
    back, and silence of it means that it is gone.
    """

    def __init__(self, page: StatusPage, samplerate: float, blocksize: int) -> None:
        self._page = page
        self._samplerate = samplerate
        self._blocksize = blocksize
        self._paced = False
        self._speed = 1.0
        self._patience = CEASED_SECONDS
        self._blocks = (0, 0.0)
        self._running_since = 0
        self._lost_at: tuple[int, int] | None = None

    @property
    def position(self) -> int:
        """Frame position behind the last processed block."""
        return self._page.counter("frame_position")

    def begin(self, *, paced: bool, speed: float) -> None:
        """A device runs from now on, `speed` times as fast as the samplerate says."""
        self._paced = paced
        self._speed = speed
        self._patience = max(CEASED_SECONDS, CEASED_BLOCKS * self._blocksize / self._samplerate / speed)
        self._running_since = time.monotonic_ns()
        self._lost_at = None
        self._seen()

    def lose(self) -> int:
        """The device is gone; the position at which that was found."""
        self._lost_at = (self.position, time.monotonic_ns())
        return self.position

    def silence(self) -> float:
        """Seconds for which no callback came, where that is too long; else 0. To be asked every now and then."""
        if self._page.counter("blocks") != self._blocks[0] or not self._paced:
            self._seen()
        silent = time.monotonic() - self._blocks[1]
        return silent if silent > self._patience else 0.0

    def ahead(self, seconds: float, *, running: bool) -> int:
        """Where the axis will stand in so many seconds: it runs on while a paced device that should run does not."""
        position = self.position
        if self._lost_at is not None and self._paced:
            position, since = self._lost_at
        elif running and self._paced:
            since = self._page.counter("last_block_ns")
            if since >= self._running_since:
                position -= self._blocksize  # that block's first frame belongs to the time noted
            else:
                since = self._running_since  # not one block was processed
        else:
            return position
        elapsed = (time.monotonic_ns() - since) * 1e-9 + seconds
        return max(self.position, position + round(elapsed * self._samplerate * self._speed))

    def reach(self, seconds: float) -> float:
        """The frame position to which the device will have come in so many seconds; infinity where it keeps no time."""
        return self.position + seconds * self._samplerate * self._speed if self._paced else float("inf")

    def seconds_until(self, position: int) -> float | None:
        """How long until the device comes to a frame position; None where it keeps no time."""
        return (position - self.position) / (self._samplerate * self._speed) if self._paced else None

    def _seen(self) -> None:
        self._blocks = (self._page.counter("blocks"), time.monotonic())
