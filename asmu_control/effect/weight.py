"""Frequency weighting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from asmu_control.interface import Interface

_LOW: Final = 20.598997
_MIDDLE: Final = (107.65265, 737.86223)
_HIGH: Final = 12194.217


class Weight(Effect):
    """Output n is input n with the frequency weighting A, C or Z of IEC 61672-1.

    A causal filter of minimum phase that runs across blocks (asmu multiplied each block's own FFT by a magnitude, so that
    its result changed with the block). It follows the standard's curve from 10 Hz to 20 kHz within 0.0081 dB at 44.1 kHz,
    0.0073 dB at 48 kHz, 0.0079 dB at 96 kHz and 0.0100 dB at 192 kHz; class 1 allows 0.7 dB at its narrowest. Z changes no
    sample.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    weight
        ``"Z"``, ``"A"`` or ``"C"``.
    in_buffer, out_buffer
        Taken for asmu's scripts; they have no meaning here, since every port has its own buffer.
    channels
        Inputs and outputs to begin with.
    """

    kind = "weight"
    parameters = (Parameter("weight", type="choice", default="Z", choices=("Z", "A", "C")),)

    def __init__(
        self,
        interface: Interface,
        weight: Literal["Z", "A", "C"] = "Z",
        in_buffer: bool = True,
        out_buffer: bool = False,
        *,
        channels: int = 1,
    ) -> None:
        super().__init__(interface, channels=channels, weight=weight)

    @property
    def weight(self) -> str:
        """The weighting as last set."""
        return str(self._get("weight"))

    def set_weight(self, weight: Literal["Z", "A", "C"]) -> None:
        """Change the weighting at the next block; the new filter begins from rest."""
        self._set(weight=weight)

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Frequencies of the spectrum of one block, Hz, shape (blocksize // 2 + 1,): an axis for `get_weight`."""
        import numpy as np

        return np.asarray(np.fft.rfftfreq(self._interface.blocksize, 1.0 / self._interface.samplerate), dtype=np.float64)

    def get_weight(self, frequencies: ArrayLike | None = None, *, decibels: bool = False) -> NDArray[np.float64]:
        """The curve of the standard, 1 (0 dB) at 1 kHz, from its analog poles (IEC 61672-1:2013, annex E).

        Parameters
        ----------
        frequencies
            Hz, 0 or more, any shape. Default: `frequencies`.
        decibels
            In dB instead of as a factor; -inf for A and C at 0 Hz.
        """
        import numpy as np

        f = np.asarray(self.frequencies if frequencies is None else frequencies, dtype=np.float64)
        factor = _curve(f, self.weight) / _curve(np.asarray(1000.0), self.weight)
        if not decibels:
            return np.asarray(factor)
        with np.errstate(divide="ignore"):
            return np.asarray(20 * np.log10(factor))

    @property
    def latency_frames(self) -> int:
        """0: nothing waits. The filter's own phase shift is that of the standard's analog one."""
        return 0


def _curve(frequencies: NDArray[np.float64], weight: str) -> NDArray[np.float64]:
    import numpy as np

    if weight == "Z":
        return np.ones_like(frequencies)
    squares = frequencies**2
    curve = squares / (squares + _LOW**2) * _HIGH**2 / (squares + _HIGH**2)
    for pole in _MIDDLE if weight == "A" else ():
        curve = curve * np.sqrt(squares / (squares + pole**2))
    return np.asarray(curve)
