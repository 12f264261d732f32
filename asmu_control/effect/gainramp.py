"""Gain that moves at a constant rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PerChannel

_LOG_LIMIT: Final = 6.0


class GainRamp(Effect):
    """Output n is input n times a factor; the set-point of the factor moves at `gradient` a second to where it is told.

    Exact to the sample: the k-th frame (k = 1, 2 …) from the block on that takes `set_gain` in stands at
    start ± gradient·k/samplerate, until the set-point is reached.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    gain
        Set-point to begin with; one for all channels, or one a channel. It holds from the first frame on, without a ramp.
    gradient
        How far the set-point moves in a second, 0 (not at all) to 10¹²; up or down as the way is.
    scale
        ``"lin"``: the factor is the set-point. ``"log"``: it is (10^x − 1)/9 of a set-point x, 0 at 0 and 1 at 1; x is 6
        at most.
    in_buffer, out_buffer
        Taken for asmu's scripts; they have no meaning here, since every port has its own buffer.
    """

    kind = "gainramp"
    parameters = (
        Parameter("gain", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True),
        Parameter("gradient", default=1.0, unit="1/s", minimum=0.0, maximum=1e12),
        Parameter("scale", type="choice", default="lin", choices=("lin", "log"), live=False),
    )

    def __init__(
        self,
        interface: Interface,
        gain: PerChannel,
        gradient: float,
        scale: Literal["lin", "log"] = "lin",
        in_buffer: bool = True,
        out_buffer: bool = False,
    ) -> None:
        self._check(gain, scale)
        super().__init__(interface, gain=gain, gradient=gradient, scale=scale)

    @property
    def gain(self) -> float | list[float]:
        """Set-point as last set, where the ramp ends."""
        value: float | list[float] = self._get("gain")
        return value

    def set_gain(self, gain: PerChannel) -> None:
        """Move to another set-point, from where the ramp stands, beginning with the next block."""
        self._check(gain, self._get("scale"))
        self._set(gain=gain)

    def set_gradient(self, gradient: float) -> None:
        """Move at another rate, a second, from the next block on."""
        self._set(gradient=gradient)

    @staticmethod
    def _check(gain: Any, scale: str) -> None:
        import numpy as np

        values = np.asarray(gain)
        # What is no number at all is refused with the other parameters.
        if scale == "log" and values.dtype.kind in "fiu" and values.size and values.max() > _LOG_LIMIT:
            raise PatchError(
                f"gain: a set-point of {values.max():g} of scale 'log' is a factor of 10^{values.max():g}/9; "
                f"use {_LOG_LIMIT:g} at most",
                code="bad_value",
                where="gain",
            )
