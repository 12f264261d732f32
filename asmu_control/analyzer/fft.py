"""FFT: the spectrum of each input, window after window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from asmu_control.analyzer.buffered import Buffered
from asmu_control.analyzer.result import Result
from asmu_control.analyzer.spectrum import Transform, check_window, hann_window, one_sided
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from asmu_control.interface import Interface


class FFT(Buffered):
    """Windowed Fourier transforms of consecutive stretches of its inputs, computed in this process with pyFFTW.

    `get_rfft` gives the raw spectrum; the ``rfft2…`` methods turn one, also an average or one of your own, into others.
    They take and give (bins, channels) or (bins,), bins ``samples // 2 + 1``, and keep the facts of a `Result`. A sine of
    amplitude 1 has the peak 1 and the rms 1/sqrt(2) in its bin, whatever the window; between two bins the window's
    scalloping comes off (Hann: at most 1.42 dB). Formulas and their source: `asmu_control.analyzer.spectrum`.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    win
        The window, shape (samples,), samples even and at least a block. Default: `std_fft_window`.
    channels, paced
        Inputs to begin with; have an offline device wait for this analyzer. See `Follower`.

    Raises
    ------
    PatchError
        ``bad_value``: what is wrong with the window.
    """

    def __init__(self, interface: Interface, win: ArrayLike | None = None, *, channels: int = 1, paced: bool = False) -> None:
        self._window = check_window(win, interface.samplerate, interface.blocksize)
        self._transform = Transform(self._window)
        super().__init__(interface, len(self._window), channels=channels, paced=paced)

    @property
    def window(self) -> NDArray[np.float64]:
        """The window in use, shape (samples,). A copy."""
        return self._window.copy()

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Frequency of each bin, Hz, from 0 to half the samplerate; shape (samples // 2 + 1,)."""
        spacing = self._interface.samplerate / self._samples
        frequencies: NDArray[np.float64] = np.arange(self._samples // 2 + 1, dtype=np.float64) * spacing
        return frequencies

    def std_fft_window(self) -> NDArray[np.float64]:
        """The default window: Hann, periodic, one second long, made even and at least a block long. Shape (samples,)."""
        return hann_window(self._interface.samplerate, self._interface.blocksize)

    def get_rfft(self, block: bool = True, timeout: float | None = 2, *, latest: bool = False) -> Result | Literal[False]:
        """The spectrum of the next window, which begins where the last one ended.

        Parameters
        ----------
        block, timeout, latest
            See `Vector.get_buffer`; with `latest` windows overlap as often as one asks.

        Returns
        -------
        Result or False
            complex128 (bins, channels), raw: ``numpy.fft.rfft(window * x)``, with `position`, `lost`, `skipped` and
            `clipped` of its frames. False on time-out.

        Raises
        ------
        EngineError, PatchError
            See `Vector.get_buffer`.
        """
        result = self._fetch(block, timeout, latest)
        return False if result is None else result.of(self._transform(result))

    def rfft(self, data: ArrayLike) -> Any:
        """The raw spectrum of `data` of your own, real, shape (samples, channels) or (samples,), as `get_rfft` gives it.

        Raises
        ------
        PatchError
            ``bad_value``: not as many samples as the window has.
        """
        array = np.asanyarray(data)
        if array.ndim not in (1, 2) or len(array) != self._samples:
            wanted = f"({self._samples}, channels) or ({self._samples},)"
            raise PatchError(f"data of shape {array.shape}; use {wanted}", code="bad_value", where="data")
        spectrum = self._transform(np.asarray(array).reshape(self._samples, -1)).reshape(-1, *array.shape[1:])
        return array.of(spectrum) if isinstance(array, Result) else spectrum

    def rfft2fft(self, rfft: NDArray[Any]) -> NDArray[Any]:
        """The two-sided spectrum, complex, shape (samples, …), in the order of `numpy.fft.fftfreq`; raw as `rfft` is."""
        spectrum = self._checked_bins(rfft)
        full = np.concatenate((np.asarray(spectrum), np.conj(np.asarray(spectrum)[-2:0:-1])))
        return spectrum.of(full) if isinstance(spectrum, Result) else full

    def rfft2ps(self, rfft: NDArray[Any]) -> NDArray[Any]:
        """One-sided power spectrum: the square mean of the line in each bin, full scale squared (1/2 for a sine at 1)."""
        return one_sided(np.square(np.abs(self._checked_bins(rfft) / self._window.sum())), 2.0)

    def rfft2psd(self, rfft: NDArray[Any]) -> NDArray[Any]:
        """One-sided power spectral density, full scale squared per Hz: its integral over frequency is the square mean.

        The window's noise bandwidth is taken account of, so that noise has its true density.
        """
        scale = 1.0 / (self._interface.samplerate * np.square(self._window).sum())
        return one_sided(np.square(np.abs(self._checked_bins(rfft))) * scale, 2.0)

    def rfft2rms(self, rfft: NDArray[Any]) -> NDArray[Any]:
        """Root mean square of the line in each bin: 1/sqrt(2) for a sine of amplitude 1."""
        return one_sided(np.abs(self._checked_bins(rfft) / self._window.sum()), np.sqrt(2.0))

    def rfft2peak(self, rfft: NDArray[Any]) -> NDArray[Any]:
        """Amplitude of the line in each bin: 1 for a sine of amplitude 1."""
        return one_sided(np.abs(self._checked_bins(rfft) / self._window.sum()), 2.0)

    def _checked_bins(self, rfft: NDArray[Any]) -> Any:
        spectrum = np.asanyarray(rfft)
        bins = self._samples // 2 + 1
        if spectrum.ndim < 1 or len(spectrum) != bins:
            raise PatchError(f"a spectrum of shape {spectrum.shape}; use {bins} bins", code="bad_value", where="rfft")
        return spectrum
