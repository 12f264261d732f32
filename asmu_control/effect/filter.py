"""Any linear filter, designed with scipy.signal here, run in the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from asmu_control.coefficients import bad_value, check_columns, columns_of, pack, pack_response
from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter, Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from asmu_control.interface import Interface
    from asmu_engine.protocol.arrays import Array

Band = Literal["lowpass", "highpass", "bandpass", "bandstop"]


class Filter(Effect):
    """Output n is input n, filtered: by second-order sections or by a finite impulse response; never a frame later than that.

    Sections run in float64, impulse responses in float32, of any length up to that of a `Convolver`. Samples that are NaN or
    infinite count as silence.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    sos
        Second-order sections for all channels, shape (n, 6), n up to 64, as ``scipy.signal.butter(…, output="sos")`` gives them.
    fir
        Impulse response instead: shape (taps,) for all channels, or (taps, channels).
    channels
        Inputs and outputs to begin with. Default: the columns of `fir`, else 1.

    Raises
    ------
    PatchError
        ``bad_value``: not exactly one of `sos` and `fir`, another shape, or an unstable filter.
    """

    kind = "filter"
    parameters = (Parameter("sos", type="array", default=None), Parameter("fir", type="array", default=None))

    def __init__(
        self, interface: Interface, *, sos: ArrayLike | None = None, fir: ArrayLike | None = None, channels: int | None = None
    ) -> None:
        if (sos is None) == (fir is None):
            raise bad_value("filter", "give either sos or fir")
        values = {"sos": _sections(sos)} if sos is not None else {"fir": pack_response(fir, "fir")}
        columns = columns_of(values["fir"]) if "fir" in values else 0
        channels = channels or columns or 1
        check_columns(columns, channels, "fir")
        super().__init__(interface, channels=channels, **values)

    @classmethod
    def butter(
        cls,
        interface: Interface,
        order: int,
        cutoff: float | Sequence[float],
        btype: Band = "lowpass",
        *,
        channels: int | None = None,
    ) -> Self:
        """A Butterworth filter: flat pass-band, -3 dB at `cutoff` (Hz; two for a band), `order` as in scipy.signal.butter."""
        return cls._designed(interface, channels, "butter", order, cutoff, btype, output="sos")

    @classmethod
    def bessel(
        cls,
        interface: Interface,
        order: int,
        cutoff: float | Sequence[float],
        btype: Band = "lowpass",
        *,
        channels: int | None = None,
    ) -> Self:
        """A Bessel filter: steps do not overshoot much; -3 dB at `cutoff` (Hz; two for a band)."""
        return cls._designed(interface, channels, "bessel", order, cutoff, btype, output="sos", norm="mag")

    @classmethod
    def cheby1(
        cls,
        interface: Interface,
        order: int,
        ripple: float,
        cutoff: float | Sequence[float],
        btype: Band = "lowpass",
        *,
        channels: int | None = None,
    ) -> Self:
        """A Chebyshev filter: steep, with a pass-band that ripples by `ripple` dB and ends at `cutoff` (Hz; two for a band)."""
        return cls._designed(interface, channels, "cheby1", order, ripple, cutoff, btype, output="sos")

    @classmethod
    def notch(cls, interface: Interface, frequency: float, quality: float = 30.0, *, channels: int | None = None) -> Self:
        """Takes out one frequency (Hz), e.g. the mains; `quality` is the frequency over the -3 dB bandwidth."""
        b, a = _call("iirnotch", frequency, quality, fs=interface.samplerate)
        return cls(interface, sos=[[*b, *a]], channels=channels)

    @classmethod
    def firwin(
        cls,
        interface: Interface,
        taps: int,
        cutoff: float | Sequence[float],
        btype: Band = "lowpass",
        *,
        channels: int | None = None,
    ) -> Self:
        """A linear-phase impulse response by the window method, -6 dB at `cutoff` (Hz; two for a band).

        It delays every frequency by (taps - 1)/2 frames.
        """
        return cls(interface, fir=_call("firwin", taps, cutoff, pass_zero=btype, fs=interface.samplerate), channels=channels)

    def set_sos(self, sos: ArrayLike) -> None:
        """Other sections from the next block on. As many as before go on with their states, others begin from rest."""
        self._set(sos=_sections(sos), fir=None)

    def set_fir(self, fir: ArrayLike) -> None:
        """Another impulse response from the next block on.

        One of as many taps goes on with what was heard so far (at once, or beyond 256 taps within 32 blocks); another begins
        from silence.
        """
        array = pack_response(fir, "fir")
        check_columns(columns_of(array), len(self.inputs), f"{self.name}.fir")
        self._set(sos=None, fir=array)

    @property
    def sos(self) -> NDArray[np.float64] | None:
        """Sections as last set, shape (n, 6)."""
        return _unpack(self._get("sos"))

    @property
    def fir(self) -> NDArray[np.float64] | None:
        """Impulse response as last set, as the engine has it: rounded to float32."""
        return _unpack(self._get("fir"))

    @property
    def latency_frames(self) -> int:
        """0: the output begins with the input. The delay of a linear-phase response is part of that response."""
        return 0

    def get_response(self, frequencies: ArrayLike) -> NDArray[np.complex128]:
        """Complex frequency response of the filter at `frequencies`, Hz, shape (n,); with a response a channel (n, channels)."""
        import numpy as np

        back = np.exp(-2j * np.pi * np.asarray(frequencies, dtype=np.float64) / self._interface.samplerate)
        sos, fir = self.sos, self.fir
        if fir is not None:
            return np.asarray(np.polynomial.polynomial.polyval(back, fir).T)
        assert sos is not None
        powers = np.stack([np.ones_like(back), back, back**2])
        return np.asarray(np.prod((sos[:, :3] @ powers) / (sos[:, 3:] @ powers), axis=0))

    @classmethod
    def _designed(cls, interface: Interface, channels: int | None, design: str, *arguments: Any, **options: Any) -> Self:
        return cls(interface, sos=_call(design, *arguments, fs=interface.samplerate, **options), channels=channels)

    def _grow(self, idx: int, side: str, ports: Ports) -> None:
        fir = self._get("fir")
        if fir is not None and idx == len(self.inputs):
            check_columns(columns_of(fir), idx + 1, self.name)
        super()._grow(idx, side, ports)


def _call(design: str, *arguments: Any, **options: Any) -> Any:
    """A design by scipy.signal, whose objections become ours."""
    import scipy.signal

    function: Callable[..., Any] = getattr(scipy.signal, design)
    try:
        return function(*arguments, **options)
    except (ValueError, TypeError) as error:
        raise bad_value(f"filter.{design}", str(error)) from None


def _sections(sos: ArrayLike) -> Array:
    """Checked as the engine checks them, so that an interface that has no engine yet refuses the same."""
    import numpy as np

    array = pack(sos, "f8", "sos")
    if len(array.shape) != 2 or array.shape[1] != 6 or not 1 <= array.shape[0] <= 64:
        raise bad_value("sos", f"sections of shape {array.shape}; use (n, 6) with n from 1 to 64")
    values = np.frombuffer(array.data).reshape(array.shape)
    a0, a1, a2 = values[:, 3:].T
    if not a0.all():
        raise bad_value("sos", "a section has a0 = 0")
    if not ((np.abs(a2 / a0) < 1) & (np.abs(a1 / a0) < 1 + a2 / a0)).all():
        raise bad_value("sos", "the filter is unstable: a section has a pole on or outside the unit circle")
    return array


def _unpack(array: Array | None) -> NDArray[np.float64] | None:
    import numpy as np

    if array is None:
        return None
    return np.frombuffer(array.data, dtype="<" + array.dtype).reshape(array.shape).astype(np.float64)
