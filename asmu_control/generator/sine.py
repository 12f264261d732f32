"""Sine generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Generator
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PerChannel


class Sine(Generator):
    """A sine of peak 1 with continuous phase.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    frequency
        Hz, 0 to 768 000; one for all outputs, or one an output.
    phase
        Radians at the first frame; one for all outputs, or one an output.
    out_buffer
        Taken for asmu's scripts; it has no meaning here, since every output has its own buffer.
    """

    kind = "sine"
    parameters = (
        Parameter("frequency", default=1000.0, unit="Hz", minimum=0.0, maximum=768_000.0, per_channel=True),
        Parameter("phase", default=0.0, unit="rad", minimum=-1e6, maximum=1e6, per_channel=True),
    )

    def __init__(self, interface: Interface, frequency: PerChannel, phase: PerChannel = 0.0, out_buffer: bool = False) -> None:
        super().__init__(interface, frequency=frequency, phase=phase)

    @property
    def frequency(self) -> float | list[float]:
        """Frequency as last set, Hz."""
        value: float | list[float] = self._get("frequency")
        return value

    def set_frequency(self, frequency: PerChannel) -> None:
        """Change the frequency, Hz, at the next block; the phase goes on without a jump."""
        self._set(frequency=frequency)
