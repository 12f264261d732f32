"""Where the frame axis stands while no device counts it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

from asmu_engine.protocol.clock import ClockFit

CLOCK_PPM: Final = 100.0
"""How far a device's clock may be off its nominal rate where nobody measured it, parts per million."""


@dataclass(frozen=True)
class Axis:
    """The line on which a device was counting before it was lost: frame `position` at `monotonic_ns`, `rate` frames a second.

    `uncertainty`: of `position`, frames. `ppm`: of `rate`, parts per million.
    """

    position: int
    monotonic_ns: int
    rate: float
    uncertainty: float
    ppm: float = CLOCK_PPM

    @classmethod
    def fitted(cls, fit: ClockFit, blocksize: int) -> Self:
        """The same from what the clocks have been found to do; the next stream begins somewhere within a block."""
        uncertainty = blocksize + fit.uncertainty_ns * fit.samplerate * 1e-9
        return cls(fit.position, fit.monotonic_ns, fit.samplerate, uncertainty, fit.ppm_uncertainty)

    def at(self, monotonic_ns: float) -> int:
        """The frame position at a monotonic time, ns."""
        return self.position + round((monotonic_ns - self.monotonic_ns) * self.rate * 1e-9)

    def uncertain(self, monotonic_ns: float) -> int:
        """By how many frames that may be wrong: standard uncertainty, rounded up."""
        frames = abs(monotonic_ns - self.monotonic_ns) * self.rate * 1e-9
        return math.ceil(self.uncertainty + frames * self.ppm * 1e-6)

    def to_wire(self) -> list[float]:
        """Position, monotonic ns, frames a second: for the process that continues it from its first block on."""
        return [self.position, self.monotonic_ns, self.rate]
