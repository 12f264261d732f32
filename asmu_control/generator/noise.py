"""Noise generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asmu_control.processor import Generator
from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface


class Noise(Generator):
    """White noise, uniform in [-amplitude, amplitude), every output its own; the same seed gives the same samples.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    weight
        ``"white"``.
    seed
        0 to 2⁵³. Frame n of output c of N is number n·N + c of ``2*Generator(PCG64(seed)).random(dtype=float32) - 1``,
        so that whoever knows the seed can compute the samples.
    amplitude
        Peak value, 0 or more.
    """

    kind = "noise"
    parameters = (
        Parameter("amplitude", default=1.0, minimum=0.0, maximum=1e6),
        Parameter("seed", type="int", default=0, minimum=0, maximum=2**53, live=False),
    )

    def __init__(
        self,
        interface: Interface,
        weight: Literal["white"] = "white",
        *,
        seed: int = 0,
        amplitude: float = 1.0,
        channels: int = 1,
    ) -> None:
        if weight != "white":
            raise PatchError(f"noise of weight {weight!r}; this version makes 'white' only", code="bad_value", where="weight")
        super().__init__(interface, channels=channels, seed=seed, amplitude=amplitude)

    def set_amplitude(self, amplitude: float) -> None:
        """Change the peak value at the next block."""
        self._set(amplitude=amplitude)
