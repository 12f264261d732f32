"""The fit of the frame axis to monotonic clock, UTC and device clock, from samples of all of them."""

from __future__ import annotations

from math import hypot, isfinite
from typing import Final

from asmu_engine.clocks.axis import AxisFit, Jump
from asmu_engine.clocks.offset import OffsetTracker, Step
from asmu_engine.protocol.clock import ClockFit

_LEAST_UNCERTAINTY_NS: Final = 100.0
"""What reading a clock takes."""
_MOST_JUMPS: Final = 3
"""A device clock that jumps more often within one stretch of the axis is not believed any more."""
_MOST_SILENT_S: Final = 60.0
"""Nor one that said nothing for so long."""
_MOST_PPM: Final = 20_000.0
"""Farther from nominal no device's clock runs: such a line is none of a clock."""


class ClockEstimator:
    """Told of samples, some ten a second, it has the fit.

    Late blocks, frames that were lost with or without being counted, steps of UTC and device clocks that are zero or jump
    change neither slope nor offset for longer than some seconds.

    Parameters
    ----------
    samplerate
        Nominal, frames a second.

    >>> estimator = ClockEstimator(48_000.0)
    >>> for second in range(60):
    ...     due = round(second * 1e9 / (1 + 37e-6))
    ...     _ = estimator.add(second * 48_000, due, due + 10**18, 0.0)
    >>> fit = estimator.fit()
    >>> fit is not None and round(fit.ppm, 3)
    37.0
    """

    def __init__(self, samplerate: float) -> None:
        self._samplerate = samplerate
        self._monotonic = AxisFit(samplerate, lowest=True)
        self._device = AxisFit(samplerate, lowest=False)
        self._utc = OffsetTracker()
        self._last = -1

    def add(self, position: int, monotonic_ns: int, utc_ns: int, device_s: float, slept_ns: int = 0) -> Step | None:
        """A frame position with its times; the step of UTC that it confirms. A position that is not beyond the last is nothing.

        Parameters
        ----------
        monotonic_ns, utc_ns
            When the frame was due, ns.
        device_s
            The device's clock, s; 0.0 for unknown.
        slept_ns
            See `asmu_engine.clocks.offset.slept`.
        """
        if position <= self._last:
            return None
        self._last = position
        self._monotonic.add(position, monotonic_ns)
        if device_s and isfinite(device_s):
            self._device.add(position, round(device_s * 1e9))
        return self._utc.add(position, monotonic_ns, utc_ns - monotonic_ns, slept_ns)

    def restart(self, *, same_device: bool) -> None:
        """A stream begins: positions go on, but not at the time that they would have had.

        `same_device`: its rate is as it was, but for what a crystal changes in the meantime.
        """
        if same_device:
            self._monotonic.restart()
            self._device.restart()
        else:
            self._monotonic = AxisFit(self._samplerate, lowest=True)
            self._device = AxisFit(self._samplerate, lowest=False)

    def jumps(self) -> list[Jump]:
        """Where the axis jumped against the monotonic clock, which nobody had said, since this was asked last."""
        jumps, self._monotonic.jumps = self._monotonic.jumps, []
        return jumps

    def fit(self, position: int | None = None) -> ClockFit | None:
        """Draw the lines anew, and say when a frame position was, by default the newest that they were drawn to.

        None before some seconds of a first stream.
        """
        axis = self._monotonic
        axis.update()
        line, offset = axis.line, self._utc.ns
        if line is None or offset is None:
            return None
        if position is None:
            position = axis.origin[0] + round(axis.newest / axis.frame_ns)
        x = (position - axis.origin[0]) * axis.frame_ns
        monotonic_ns = axis.origin[1] + round(x + line.at(x))
        ppm = _ppm(line.slope)
        if abs(ppm) > _MOST_PPM:
            return None
        device_s, device_ppm = self._device_at(position)
        return ClockFit(
            position=position,
            monotonic_ns=monotonic_ns,
            utc_ns=monotonic_ns + offset,
            samplerate=self._samplerate / (1.0 + line.slope),
            ppm=ppm,
            residual_ns=line.residual,
            uncertainty_ns=hypot(line.uncertainty_at(x), line.residual, self._utc.scatter, _LEAST_UNCERTAINTY_NS),
            ppm_uncertainty=line.slope_uncertainty * 1e6,
            seconds=axis.span_ns * 1e-9,
            device_s=device_s,
            device_ppm=device_ppm,
        )

    def _device_at(self, position: int) -> tuple[float | None, float | None]:
        axis = self._device
        axis.update()
        line = axis.line
        if line is None or len(axis.jumps) > _MOST_JUMPS or abs(_ppm(line.slope)) > _MOST_PPM:
            return None, None
        x = (position - axis.origin[0]) * axis.frame_ns
        if x - axis.newest > _MOST_SILENT_S * 1e9:
            return None, None
        return (axis.origin[1] + x + line.at(x)) * 1e-9, _ppm(line.slope)


def _ppm(slope: float) -> float:
    """Frames a second more than nominal, where a frame takes `slope` longer than nominal."""
    return (1.0 / (1.0 + slope) - 1.0) * 1e6
