"""Sine burst generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.oneshot import OneShot
from asmu_control.processor import Generator
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PerChannel


class SineBurst(OneShot, Generator):
    """So many periods of a sine of peak 1, then silence; the first burst begins with the stream.

    The samples are sin(2π·frequency·n/samplerate + phase) for every n ≥ 0 with n·frequency/samplerate < periods, and 0
    from then on.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one the burst begins at once.
    frequency
        Hz, 0.001 to 768 000; one for all outputs, or one an output.
    periods
        How many, 0 to 10⁹, whole or not; one for all outputs, or one an output.
    phase
        Radians at the first frame; one for all outputs, or one an output.
    out_buffer
        Taken for asmu's scripts; it has no meaning here, since every output has its own buffer.
    """

    kind = "sineburst"
    parameters = (
        Parameter("frequency", default=1000.0, unit="Hz", minimum=1e-3, maximum=768_000.0, per_channel=True),
        Parameter("periods", default=1.0, minimum=0.0, maximum=1e9, per_channel=True),
        Parameter("phase", default=0.0, unit="rad", minimum=-1e6, maximum=1e6, per_channel=True),
    )
    calls = ("restart",)

    def __init__(
        self, interface: Interface, frequency: PerChannel, periods: PerChannel, phase: PerChannel = 0.0, out_buffer: bool = False
    ) -> None:
        super().__init__(interface, frequency=frequency, periods=periods, phase=phase)

    def set_frequency(self, frequency: PerChannel) -> None:
        """Change the frequency, Hz; the next burst has it."""
        self._set(frequency=frequency)

    def set_periods(self, periods: PerChannel) -> None:
        """Change the number of periods; the next burst has it."""
        self._set(periods=periods)

    def restart(self) -> None:
        """Begin a burst with the next block, also while one plays. Without effect before the engine is up."""
        self._begin(lambda: self._call("restart"))

    def finished(self, block: bool = True, timeout: float = 1.0) -> bool:
        """True once the last frame of the burst has been played, on all outputs.

        Parameters
        ----------
        block
            Wait for it.
        timeout
            Longest wait, seconds; False then.
        """
        return self._wait_over(block, timeout)
