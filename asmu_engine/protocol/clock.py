"""When a frame was, and how sure that is: the fit of the frame axis to the machine's clocks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from asmu_engine.protocol.reply import Count, Part

_PPM_NS = 1e3
"""Nanoseconds by which a second is off at one part per million."""


class ClockFit(Part):
    """A straight line through what the clocks said: frame `position` was at `monotonic_ns` and `utc_ns`.

    >>> fit = ClockFit(position=0, monotonic_ns=0, utc_ns=10, samplerate=48_001.776, ppm=37.0, residual_ns=900.0,
    ...                uncertainty_ns=200.0, ppm_uncertainty=0.1, seconds=60.0)
    >>> fit.utc_at(48_001_776)
    (1000000000010, 100200.0)
    """

    position: Count = Field(description="a frame position", examples=[2_880_000])
    monotonic_ns: int = Field(description="when it was due on the machine's monotonic clock, ns", examples=[51_200_000_000])
    utc_ns: int = Field(description="when it was due, ns since 1970-01-01 UTC", examples=[1_767_225_600_000_000_000])
    samplerate: Annotated[float, Field(gt=0)] = Field(
        description="frames a second of the monotonic clock, as measured, Hz", examples=[48_001.776]
    )
    ppm: float = Field(description="by how much that is more than nominal, parts per million", examples=[37.0])
    residual_ns: Annotated[float, Field(ge=0)] = Field(
        description="root mean square of what the line leaves over, ns", examples=[900.0]
    )
    uncertainty_ns: Annotated[float, Field(ge=0)] = Field(
        description="standard uncertainty of the time of `position`, ns; of UTC against true UTC nothing is known here",
        examples=[200.0],
    )
    ppm_uncertainty: Annotated[float, Field(ge=0)] = Field(description="standard uncertainty of `ppm`", examples=[0.1])
    seconds: Annotated[float, Field(ge=0)] = Field(description="length of what the line was fitted to, s", examples=[60.0])
    device_s: float | None = Field(
        default=None,
        description="when `position` was on the device's own clock, s; null where that says nothing, or jumps",
        examples=[51.2],
    )
    device_ppm: float | None = Field(
        default=None, description="by how much the frames of a second of that clock are more than nominal, ppm", examples=[0.0]
    )

    def monotonic_at(self, position: int) -> tuple[int, float]:
        """Monotonic time of a frame position, ns, and its standard uncertainty, ns; that grows with the distance."""
        elapsed = (position - self.position) / self.samplerate
        return self.monotonic_ns + round(elapsed * 1e9), self._uncertainty(elapsed)

    def utc_at(self, position: int) -> tuple[int, float]:
        """UTC of a frame position, ns since 1970, and its standard uncertainty, ns; that grows with the distance."""
        elapsed = (position - self.position) / self.samplerate
        return self.utc_ns + round(elapsed * 1e9), self._uncertainty(elapsed)

    def position_at(self, utc_ns: int) -> int:
        """The frame position that was due nearest to a UTC, ns since 1970; may be negative."""
        return self.position + round((utc_ns - self.utc_ns) * self.samplerate / 1e9)

    def _uncertainty(self, elapsed: float) -> float:
        return self.uncertainty_ns + abs(elapsed) * self.ppm_uncertainty * _PPM_NS
