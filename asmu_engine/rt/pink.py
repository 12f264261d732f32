"""A filter that makes pink noise of white noise: power falls by 3.01 dB an octave (as 1/f).

Real poles and zeros in turn, spread evenly over the logarithm of frequency, approach the slope of half an order [1]. What
a sampled filter lacks towards half the samplerate, and the ends of the band, are put right by a least-squares fit of the
poles and zeros to the level in dB over the band (Levenberg and Marquardt).

[1] J. O. Smith and H. F. Smith, "Closed form fractional integration and differentiation via real exponentially spaced
pole-zero pairs", 2016.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.recursion import StateSpace, from_sections

Vector = NDArray[np.float64]

PAIRS = 8
"""Poles, and as many zeros: within 0.02 dB of the slope from 20 Hz to 20 kHz at 8 kHz to 384 kHz."""
LOWEST = 12.0
"""The slope holds from here, Hz; the level is flat below about half of it."""
HIGHEST = 20_500.0
"""The slope holds up to here, Hz, or to 0.47 of the samplerate."""
_STEPS = 40


def pink_filter(samplerate: float) -> StateSpace:
    """The filter, scaled so that white noise of variance 1 leaves it with variance 1."""
    poles, zeros = _fit(samplerate)
    filter_ = from_sections([(1.0, -zero, 0.0, 1.0, -pole, 0.0) for pole, zero in zip(poles, zeros, strict=True)])
    power = float(filter_.c @ filter_.covariance() @ filter_.c) + filter_.d**2
    return filter_.scaled(power**-0.5)


def _fit(samplerate: float) -> tuple[Vector, Vector]:
    """Poles and zeros, all real and inside the unit circle, lowest frequency first."""
    frequencies = np.geomspace(LOWEST, min(HIGHEST, 0.47 * samplerate), 400)
    cosines = np.cos(2 * np.pi * frequencies / samplerate)[:, None]
    wanted = -10 * np.log10(frequencies)
    # Poles from half of LOWEST to half the samplerate, each zero midway to the next pole.
    ratio = (samplerate / LOWEST) ** (1 / PAIRS)
    corners = LOWEST / 2 * ratio ** np.arange(PAIRS)
    start = np.exp(-2 * np.pi / samplerate * np.concatenate([corners, corners * ratio**0.5]))
    # tanh keeps every pole and zero inside the unit circle, whatever the steps.
    values = np.arctanh(start)
    places, error = _error(values, cosines, wanted)
    damping = 1e-3
    for _ in range(_STEPS):
        slopes = _slopes(places, cosines)
        normal, gradient = slopes.T @ slopes, slopes.T @ error
        step = np.linalg.solve(normal + damping * np.diag(normal.diagonal() + 1e-9), gradient)
        better, remaining = _error(values - step, cosines, wanted)
        if remaining @ remaining < error @ error:
            values, places, error = values - step, better, remaining
            damping = max(damping / 5, 1e-9)
        else:
            damping *= 5
    return places[:PAIRS], places[PAIRS:]


def _error(values: Vector, cosines: Vector, wanted: Vector) -> tuple[Vector, Vector]:
    """Places of poles and zeros, and by how many dB their level differs from the one wanted, the mean aside."""
    places = np.tanh(values)
    levels = 10 * np.log10(1 - 2 * places * cosines + places**2)
    error = levels[:, PAIRS:].sum(axis=1) - levels[:, :PAIRS].sum(axis=1) - wanted
    return places, error - error.mean()


def _slopes(places: Vector, cosines: Vector) -> Vector:
    """Derivatives of the error by each value, shape (frequencies, values)."""
    slopes = 10 / np.log(10) * 2 * (places - cosines) / (1 - 2 * places * cosines + places**2) * (1 - places**2)
    slopes[:, :PAIRS] *= -1
    return np.asarray(slopes - slopes.mean(axis=0))
