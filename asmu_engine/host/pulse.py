"""The pulse of a running device, read from the counters page: whether callbacks come, and where the frame axis stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.clocks.silence import BEGIN_SECONDS, DEVICE_SECONDS, Silence, patience
from asmu_engine.host.axis import CLOCK_PPM, Axis
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.shm.status import StatusPage

PLAUSIBLE_SECONDS: Final = 0.1
"""A fit of the clocks that misses the last block by more than this, or four blocks, belongs to another stream."""


class Pulse:
    """Of one engine; `starts` before its device starts, `begin` when it has, `cease` when it ends without having been stopped.

    `position` is that of the newest frame. Only a `paced` device keeps time: its axis runs on while it does not call
    back, and silence of it means that it is gone. `fit`: what is known of its clock, if anything.
    """

    def __init__(self, page: StatusPage, samplerate: float, blocksize: int) -> None:
        self.fit: Callable[[], ClockFit | None] = lambda: None
        self.axis: Axis | None = None
        """On which the axis runs on since the device has ceased; None while it is counted, or stands still."""
        self.joined = 0
        """Standard uncertainty of the frame position at which the device began, frames."""
        self._page = page
        self._samplerate = samplerate
        self._blocksize = blocksize
        self._paced = False
        self._speed = 1.0
        self._patience = DEVICE_SECONDS
        self._silence = Silence(0)
        self._blocks_before = 0
        self._running_since = 0

    @property
    def position(self) -> int:
        """Frame position behind the last processed block."""
        return self._page.counter("frame_position")

    def starts(self) -> None:
        """A device is told to run: a block that comes from now on is of that stream."""
        self._blocks_before = self._page.counter("blocks")

    def begin(self, device: dict[str, Any]) -> None:
        """A device of these facts runs from now on."""
        self._paced = bool(device.get("paced"))
        self._speed = float(device.get("speed") or 1.0)
        latencies = [float(device.get(f"{end}_latency") or 0.0) for end in ("input", "output")]
        self._patience = patience(self._blocksize / self._samplerate / self._speed, *latencies)
        self._running_since = time.monotonic_ns()
        self.joined = self.uncertainty()
        self.axis = None
        self._silence = Silence(self._blocks_before, BEGIN_SECONDS)

    def cease(self) -> int:
        """The device is gone, or its process; the position behind what it gave."""
        if self._paced and self.axis is None:
            self.axis = self._line()
        return self.position

    def go_on(self, position: int, axis: Axis | None) -> None:
        """Before any device has run: continue the axis of an engine that died, at `position` at the least."""
        self._page.words[self._page.word("frame_position")] = position
        self.axis = axis

    def line(self, *, running: bool) -> Axis:
        """The line on which the axis moves now; of rate 0 where it stands still, or nobody can say how it moves."""
        if self.axis is not None:
            return self.axis
        return self._line() if running and self._paced else Axis(self.position, time.monotonic_ns(), 0.0, 0.0)

    def silence(self) -> float:
        """Seconds for which no callback came, where that is too long; else 0. To be asked every now and then."""
        silent = self._silence.seconds(self._page.counter("blocks"))
        return silent if self._paced and silent > self._patience else 0.0

    def ahead(self) -> int:
        """Where the axis stands, whether a device counts it or it runs on by itself."""
        return self.position if self.axis is None else max(self.position, self.axis.at(time.monotonic_ns()))

    def uncertainty(self) -> int:
        """Standard uncertainty of where it stands now, frames."""
        return 0 if self.axis is None else self.axis.uncertain(time.monotonic_ns())

    def reach(self, seconds: float) -> float:
        """The frame position to which the device will have come in so many seconds; infinity where it keeps no time."""
        return self.position + seconds * self._samplerate * self._speed if self._paced else float("inf")

    def seconds_until(self, position: int) -> float | None:
        """How long until the device comes to a frame position; None where it keeps no time."""
        return (position - self.position) / (self._samplerate * self._speed) if self._paced else None

    def _line(self) -> Axis:
        rate = self._samplerate * self._speed
        position, since, _, _ = self._page.clock()
        if self._page.counter("last_block_ns") < self._running_since:  # not one block was processed
            return Axis(self.position, self._running_since, rate, self._blocksize)
        fit = self.fit()
        # One that is just beginning knows less than what can be said of any clock.
        known = fit is not None and fit.ppm_uncertainty < CLOCK_PPM
        if fit is not None and known and abs(fit.monotonic_at(position)[0] - since) < self._plausible_ns():
            return Axis.fitted(fit, self._blocksize)
        return Axis(position, since, rate, self._blocksize)

    def _plausible_ns(self) -> float:
        return 1e9 * max(PLAUSIBLE_SECONDS, 4 * self._blocksize / self._samplerate) / self._speed
