"""The strongest tone in a stretch of samples: frequency, amplitude, and what there is beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_control.analyzer.spectrum import Transform

_STEPS: Final = 12
_SETTLED: Final = 1e-9  # of the frequency, in periods a window
MIN_PERIODS: Final = 2.0
"""Fewer periods in a window are not told from a drifting constant."""


class Tone(NamedTuple):
    """A sine in a window of samples.

    Attributes
    ----------
    frequency
        Hz; 0.0 where there is no tone: no component of `MIN_PERIODS` or more in the window.
    peak
        Amplitude, full scale 1.0.
    rest
        Root mean square of all but the tone and the constant part: noise, harmonics, modulation.
    position
        Frame position of the window.
    """

    frequency: float
    peak: float
    rest: float
    position: int = 0

    @property
    def rms(self) -> float:
        """Root mean square of everything but the constant part, as a true-rms meter shows it."""
        return math.sqrt(self.peak**2 / 2.0 + self.rest**2)


def fit_tone(
    samples: NDArray[Any], window: NDArray[np.float64], transform: Transform, samplerate: float, position: int = 0
) -> Tone:
    """Fit ``a cos(wt) + b sin(wt) + c`` with least squares to the windowed samples.

    The four-parameter fit of IEEE Std 1057, weighted with the window: it has neither the scalloping of a spectrum's bins
    nor the leakage of a constant part and of the negative frequencies. It starts from the highest bin of the spectrum.

    Parameters
    ----------
    samples, window
        Shape (samples,).
    transform
        Of that window.
    samplerate
        Hz.
    position
        Handed on.

    Returns
    -------
    Tone
        Frequency and amplitude 0 where there is none.
    """
    data = np.asarray(samples, np.float64)
    length = len(data)
    weights = np.abs(window)
    data = data - np.dot(weights, data) / weights.sum()
    target = data * window
    energy = float(np.dot(window, window))
    nothing = Tone(0.0, 0.0, math.sqrt(float(np.dot(target, target)) / energy), position)
    periods = _highest_bin(np.abs(transform(data[:, np.newaxis])[:, 0]))
    time = (np.arange(length) - 0.5 * (length - 1)) * (2.0 * math.pi / length)
    columns = np.empty((4, length))
    columns[2] = window
    a = b = c = 0.0
    for step in range(_STEPS):
        angle = time * periods
        np.multiply(np.cos(angle), window, out=columns[0])
        np.multiply(np.sin(angle), window, out=columns[1])
        # The first step finds amplitude and phase, without which nothing can be said about the frequency.
        used = columns[: 4 if step else 3]
        if step:
            np.multiply(time, b * columns[0] - a * columns[1], out=columns[3])
        try:
            values = np.linalg.solve(used @ used.T, used @ target)
        except np.linalg.LinAlgError:
            return nothing
        a, b, c = values[:3]
        change = float(values[3]) if step else 1.0
        if step:
            # A step of more than a bin would leave the tone's own lobe.
            periods += min(1.0, max(-1.0, change))
        if not MIN_PERIODS <= periods <= length / 2:
            return nothing
        if abs(change) < _SETTLED:
            break
    rest = target - a * columns[0] - b * columns[1] - c * columns[2]
    noise = math.sqrt(float(np.dot(rest, rest)) / energy)
    return Tone(periods * samplerate / length, math.hypot(a, b), noise, position)


def _highest_bin(magnitude: NDArray[np.float64]) -> float:
    """Place of the highest peak, between the bins by the parabola through the logarithms of three."""
    k = int(np.argmax(magnitude[1:-1])) + 1
    left, middle, right = np.log(np.maximum(magnitude[k - 1 : k + 2], 1e-300))
    bend = left - 2.0 * middle + right
    return k + (0.5 * (left - right) / bend if bend < 0 else 0.0)
