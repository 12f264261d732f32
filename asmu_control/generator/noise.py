"""Noise generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asmu_control.processor import Generator
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface


class Noise(Generator):
    """White or pink noise, stationary from its first sample on, every output its own; the same seed gives the same samples.

    asmu rescales every block to its own peak and shapes it in a circular spectrum; here the level is constant and a
    filter runs across the blocks.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    weight
        ``"white"``: uniform in [-amplitude, amplitude), RMS amplitude/√3. ``"pink"``: −3.01 dB an octave within 0.02 dB
        from 20 Hz to 20 kHz (or 0.46 of the samplerate, if that is less), RMS amplitude/6, distributed nearly as Gaussian
        noise; what would pass ±amplitude, less than one sample in 5·10⁸, is clipped.
    seed
        0 to 2⁵³. Frame n of output c of N white ones is number n·N + c of
        ``2*Generator(PCG64(seed)).random(dtype=float32) - 1``, so that whoever knows the seed can compute the samples;
        pink noise is made of the same numbers. Two Noises of one seed are alike: give each its own.
    amplitude
        Peak value, 0 or more.
    channels
        Outputs to begin with.
    """

    kind = "noise"
    parameters = (
        Parameter("weight", type="choice", default="white", choices=("white", "pink"), live=False),
        Parameter("amplitude", default=1.0, minimum=0.0, maximum=1e6),
        Parameter("seed", type="int", default=0, minimum=0, maximum=2**53, live=False),
    )

    def __init__(
        self,
        interface: Interface,
        weight: Literal["white", "pink"] = "white",
        *,
        seed: int = 0,
        amplitude: float = 1.0,
        channels: int = 1,
    ) -> None:
        super().__init__(interface, channels=channels, weight=weight, seed=seed, amplitude=amplitude)

    def set_amplitude(self, amplitude: float) -> None:
        """Change the peak value at the next block."""
        self._set(amplitude=amplitude)
