"""CalIOutput: the calibration of an output channel by way of an input that is calibrated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from asmu_control.analyzer.calibration import Calibration, Mode, positive
from asmu_control.exceptions import CalibrationError, UnitError
from asmu_control.io import IOutput
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from asmu_control.interface import Interface
    from asmu_control.io import IInput

_QUANTITIES: Final = ("V", "Pa", "A")


class CalIOutput(Calibration):
    """Calibrates an output channel: it plays a tone of known digital level, and a calibrated input measures what comes out.

    The factor is ``c = measured * c_in / 10**(gain / 20) / value``: the physical value that a full-scale sample has at the
    output, `c_in` being the factor of the input (its `cV`, `cPa` or `cA`). `measured` and `value` are both peak or both rms,
    as `mode` says. The convention: `asmu_control.analyzer.calibration`.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    value
        Level of the tone that the script plays at `ioutput`, full scale 1.0: peak or rms, as `mode` says. Above 0.
    quantity
        ``"V"``, ``"Pa"`` or ``"A"`` (acceleration, m/s²).
    ioutput
        The channel to calibrate.
    win
        The window, see `FFT`. Default: Hann of one second.
    averages
        Windows that are measured.
    mode
        What `value` is, and how the tone is measured: ``"peak"``, the sine alone; ``"rms"``, all but the constant part. As
        in asmu the default is rms.
    iinput
        The calibrated channel, where another processor lies between it and this one. Default: the one connected.
    gain
        Gain of that channel's preamplifier now, dB.
    paced
        Have an offline device wait for this analyzer.

    Raises
    ------
    UnitError
        Another quantity.
    PatchError
        ``bad_value``: one of the others is out of range, or `ioutput` is no output channel.
    """

    def __init__(
        self,
        interface: Interface,
        value: float,
        quantity: Literal["V", "Pa", "A"],
        ioutput: IOutput,
        win: ArrayLike | None = None,
        averages: int = 10,
        mode: Mode = "rms",
        iinput: IInput | None = None,
        gain: float = 0,
        *,
        paced: bool = False,
    ) -> None:
        if quantity not in _QUANTITIES:
            raise UnitError(f"quantity {quantity!r}: use one of {', '.join(_QUANTITIES)}", code="unknown_unit", where="quantity")
        if not isinstance(ioutput, IOutput):
            raise PatchError(f"{ioutput!r} is no output channel; use interface.ioutput(…)", code="bad_value", where="ioutput")
        self._value = positive(value, "value")
        self._ioutput = ioutput
        super().__init__(interface, quantity, win, averages, mode, iinput, gain, paced)

    def _channel(self) -> IOutput:
        self._input_factor()
        return self._ioutput

    def _factor(self, level: float) -> float:
        return level * self._input_factor() / self._gain / self._value

    def _input_factor(self) -> float:
        channel = self._measured_input()
        factor = getattr(channel, f"c{self._quantity}", None)
        if factor is None or not math.isfinite(factor) or factor <= 0:
            raise CalibrationError(
                f"{channel!r} has no calibration c{self._quantity}; calibrate it with CalIInput, or set it",
                code="not_calibrated",
                where=repr(channel),
            )
        return float(factor)
