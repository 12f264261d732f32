"""CalIInput: the calibration of an input channel with a tone of known level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from asmu_control.analyzer.calibration import Calibration, Mode, finite, positive
from asmu_control.exceptions import UnitError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from asmu_control.interface import Interface
    from asmu_control.io import IInput

_REFERENCE_PRESSURE: Final = 20e-6  # Pa rms
_SQRT2: Final = math.sqrt(2.0)
# Unit: quantity, and the rms of a sine of 1 of the unit. A level comes out of its pressure.
_UNITS: Final = {
    "VRms": ("V", 1.0),
    "Vp": ("V", 1.0 / _SQRT2),
    "PaRms": ("Pa", 1.0),
    "Pap": ("Pa", 1.0 / _SQRT2),
    "SPL": ("Pa", 1.0),
    "ARms": ("A", 1.0),
    "Ap": ("A", 1.0 / _SQRT2),
}


class CalIInput(Calibration):
    """Calibrates the input channel to which its input is connected: a tone of known level, as from a calibrator, comes in.

    The factor is ``c = actual / measured * 10**(gain / 20)``, `actual` and `measured` both as peak or both as rms: the
    physical value of a full-scale sample with the preamplifier at 0 dB. The convention: `asmu_control.analyzer.calibration`.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    actual
        Level of the tone in `unit`, above 0; with ``"SPL"`` any finite number of dB re 20 µPa.
    unit
        ``"VRms"``, ``"Vp"`` (peak), ``"PaRms"``, ``"Pap"``, ``"SPL"``, ``"ARms"`` or ``"Ap"`` (acceleration, m/s²).
    win
        The window, see `FFT`. Default: Hann of one second.
    averages
        Windows that are measured.
    mode
        How the tone is measured: ``"peak"``, the sine alone; ``"rms"``, all but the constant part, as a true-rms meter does,
        and as in asmu the default.
        Both are compared with the same sort of `actual`, whatever its unit.
    iinput
        The channel to calibrate, where another processor lies between it and this one. Default: the one connected.
    gain
        Gain of the preamplifier during the calibration, dB.
    paced
        Have an offline device wait for this analyzer.

    Raises
    ------
    UnitError
        Another unit.
    PatchError
        ``bad_value``: one of the others is out of range.
    """

    def __init__(
        self,
        interface: Interface,
        actual: float,
        unit: str,
        win: ArrayLike | None = None,
        averages: int = 10,
        mode: Mode = "rms",
        iinput: IInput | None = None,
        gain: float = 0,
        *,
        paced: bool = False,
    ) -> None:
        if unit not in _UNITS:
            raise UnitError(f"unit {unit!r}: use one of {', '.join(_UNITS)}", code="unknown_unit", where="unit")
        quantity, rms_of_one = _UNITS[unit]
        if unit == "SPL":
            self._actual_rms = _REFERENCE_PRESSURE * math.pow(10.0, finite(actual, "actual") / 20.0)
        else:
            self._actual_rms = positive(actual, "actual") * rms_of_one
        super().__init__(interface, quantity, win, averages, mode, iinput, gain, paced)

    def _channel(self) -> IInput:
        return self._measured_input()

    def _factor(self, level: float) -> float:
        actual = self._actual_rms * (_SQRT2 if self._mode == "peak" else 1.0)
        return actual / level * self._gain
