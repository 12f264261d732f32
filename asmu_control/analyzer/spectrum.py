"""Windows, transforms and the scaling of spectra. Shapes: signals (samples, …), spectra (samples // 2 + 1, …).

With the window w and the raw transform ``X[k] = sum(w[n] x[n] exp(-2j pi k n / N))``, after G. Heinzel, A. Rüdiger and
R. Schilling, "Spectrum and spectral density estimation by the DFT" (2002), with ``S1 = sum(w)`` and ``S2 = sum(w**2)``:

- peak ``2 |X| / S1``, the amplitude of a sine in the middle of a bin; power spectrum ``2 |X|**2 / S1**2``, its square mean;
- power spectral density ``2 |X|**2 / (fs S2)``: S2 takes account of the noise bandwidth ``fs S2 / S1**2`` of the window;
- the bins of 0 Hz and of half the samplerate stand for one line, not for two, so that they go without the factor 2: there
  peak and rms are both the magnitude of the constant, or of the alternating, part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def hann_window(samplerate: float, blocksize: int) -> NDArray[np.float64]:
    """A Hann window of one second, made even and at least a block long; periodic, as spectra want it. Shape (samples,)."""
    length = max(round(samplerate), blocksize)
    length += length % 2
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(np.arange(length) * (2.0 * np.pi / length))
    return window


def check_window(win: ArrayLike | None, samplerate: float, blocksize: int) -> NDArray[np.float64]:
    """A window as it is used, the default for None.

    Raises
    ------
    PatchError
        ``bad_value``: not one-dimensional and finite, of odd length, shorter than a block, or with a sum of 0.
    """
    if win is None:
        return hann_window(samplerate, blocksize)
    window = np.array(win, np.float64)
    problem = ""
    if window.ndim != 1:
        problem = f"shape {window.shape}; it must have one dimension"
    elif len(window) % 2 or len(window) < max(2, blocksize):
        problem = f"{len(window)} samples; use an even number, at least a block of {blocksize}"
    elif not np.isfinite(window).all() or abs(window.sum()) <= 1e-12 * np.abs(window).sum():
        problem = "values that are not finite, or whose sum is 0"
    if problem:
        raise PatchError(f"the window has {problem}", code="bad_value", where="win")
    return window


class Transform:
    """Windowed Fourier transforms of one length with pyFFTW, which is loaded, and plans, at the first use."""

    def __init__(self, window: NDArray[np.float64]) -> None:
        self._window = window
        self._plans: dict[int, Any] = {}

    def __call__(self, data: NDArray[Any]) -> NDArray[np.complex128]:
        """The raw spectrum: ``numpy.fft.rfft(window * data, axis=0)`` in double precision. `data` is (samples, channels)."""
        samples, channels = data.shape
        plan = self._plans.get(channels)
        if plan is None:
            import pyfftw

            # Channel by channel, since a transform goes through adjacent samples fastest.
            source = pyfftw.empty_aligned((channels, samples), "float64")
            target = pyfftw.empty_aligned((channels, samples // 2 + 1), "complex128")
            plan = self._plans[channels] = pyfftw.FFTW(source, target, axes=(1,), flags=("FFTW_ESTIMATE",))
        np.multiply(np.asarray(data).T, self._window, out=plan.input_array)
        spectrum: NDArray[np.complex128] = np.array(plan().T, order="C")
        return spectrum


def one_sided(spectrum: NDArray[Any], inner: float) -> NDArray[Any]:
    """A spectrum with its inner bins times `inner`, those of 0 Hz and half the samplerate as they are."""
    scaled = spectrum * inner
    scaled[0], scaled[-1] = spectrum[0], spectrum[-1]
    return scaled
