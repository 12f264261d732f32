"""Frequency weightings A and C of IEC 61672-1 as digital filters that follow the analog ones up to half the samplerate.

The poles are those of IEC 61672-1:2013, annex E. The high-pass poles move by z = exp(s/fs), their zeros to z = 1. The
double low-pass pole at 12.2 kHz lies too near to half the samplerate for that, and the bilinear transform would press
the whole curve above it together (24 dB too low at 20 kHz and 44.1 kHz). Here the remaining magnitude, squared, is
fitted as a ratio of two polynomials of degree 4 in cos ω: linear least squares of the relative error on a grid from 0 to
half the samplerate, repeated with the denominator found before as weight [1]. Its roots in cos ω = (z + 1/z)/2 come in
pairs (z, 1/z) of which those inside the unit circle make the filter: stable, and of minimum phase like the analog one.

Largest deviation from the analog curve, 10 Hz to 20 kHz: 0.0081 dB at 44.1 kHz, 0.0073 dB at 48 kHz, 0.0079 dB at 96 kHz and
0.0100 dB at 192 kHz.

[1] C. K. Sanathanan, J. Koerner, Transfer function synthesis as a ratio of two complex polynomials, IEEE Trans. Autom.
    Control 8 (1), 1963.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW, MIDDLE, HIGH = 20.598997, (107.65265, 737.86223), 12194.217
"""Pole frequencies, Hz: double high-pass of A and C, high-passes of A alone, double low-pass of both."""

_GRID = 400
_ROUNDS = 12


@cache
def sections(curve: str, samplerate: float) -> Floats:
    """Second-order sections (n, 6) of curve "A" or "C", 0 dB at 1 kHz (or at a tenth of a samplerate too low for that)."""
    highpasses = np.array([LOW, LOW, *(MIDDLE if curve == "A" else ())])
    poles = np.exp(-2 * np.pi * highpasses / samplerate)
    zeros, low_poles = _low_pass(highpasses, poles, samplerate)
    rows = [*_rows(np.ones(len(poles)), poles), *_rows(zeros, low_poles)]
    cascade = np.array(rows)
    reference = min(1000.0, samplerate / 10)
    cascade[0, :3] *= analog(curve, np.array([reference]))[0] / abs(response(cascade, np.array([reference]), samplerate)[0])
    return cascade


def analog(curve: str, frequencies: Floats) -> Floats:
    """Magnitude of the curve as the standard defines it, 1 at 1 kHz; `frequencies` in Hz."""
    return _magnitude(curve, frequencies) / _magnitude(curve, np.array([1000.0]))


def response(cascade: Floats, frequencies: Floats, samplerate: float) -> NDArray[np.complex128]:
    """Complex frequency response of second-order sections."""
    back = np.exp(-2j * np.pi * frequencies / samplerate)
    delays = np.stack([np.ones_like(back), back, back**2])
    return np.asarray(np.prod((cascade[:, :3] @ delays) / (cascade[:, 3:] @ delays), axis=0))


def _magnitude(curve: str, frequencies: Floats) -> Floats:
    f = np.asarray(frequencies, dtype=np.float64) ** 2
    magnitude = f / (f + LOW**2) * HIGH**2 / (f + HIGH**2)
    if curve == "A":
        for pole in MIDDLE:
            magnitude = magnitude * np.sqrt(f / (f + pole**2))
    return np.asarray(magnitude)


def _low_pass(highpasses: Floats, poles: Floats, samplerate: float) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Zeros and poles of the low-pass that the high-passes (1 - 1/z)/(1 - pole/z) still need."""
    angles = np.linspace(0.0, np.pi, _GRID + 1)[1:]
    squares = (angles / (2 * np.pi) * samplerate) ** 2
    target = (HIGH**2 / (squares + HIGH**2)) ** 2
    for frequency, pole in zip(highpasses, poles, strict=True):
        digital = (2 - 2 * np.cos(angles)) / (1 + pole**2 - 2 * pole * np.cos(angles))
        target = target * squares / (squares + frequency**2) / digital
    for degree in (4, 3, 2, 1):
        numerator, denominator = _fit(angles, target, degree)
        if min(_least(numerator), _least(denominator)) > 0:
            return _roots_inside(numerator), _roots_inside(denominator)
    return np.zeros(0, dtype=np.complex128), np.zeros(0, dtype=np.complex128)  # pragma: no cover - degree 1 always fits


def _fit(angles: Floats, target: Floats, degree: int) -> tuple[Floats, Floats]:
    """Chebyshev coefficients of numerator and denominator in cos ω; the denominator begins with 1."""
    cosines = np.cos(np.outer(angles, np.arange(degree + 1)))
    weight = np.ones_like(angles)
    for _ in range(_ROUNDS):
        system = np.hstack([cosines / target[:, None], -cosines[:, 1:]]) / weight[:, None]
        solution = np.linalg.lstsq(system, 1 / weight, rcond=None)[0]
        denominator = np.concatenate([[1.0], solution[degree + 1 :]])
        weight = cosines @ denominator
    return np.asarray(solution[: degree + 1], dtype=np.float64), np.asarray(denominator, dtype=np.float64)


def _least(series: Floats) -> float:
    return float(chebyshev.chebval(np.linspace(-1.0, 1.0, 2001), series).min())


def _roots_inside(series: Floats) -> NDArray[np.complex128]:
    cosines = chebyshev.chebroots(series).astype(np.complex128)
    roots = cosines + np.sqrt(cosines**2 - 1)
    return np.asarray(np.where(np.abs(roots) < 1, roots, 1 / roots))


def _rows(zeros: NDArray[np.floating] | NDArray[np.complex128], poles: NDArray[np.floating] | NDArray[np.complex128]) -> Floats:
    """Sections of two zeros and two poles each."""
    return np.array([[*b, *a] for b, a in zip(_quadratics(zeros), _quadratics(poles), strict=True)])


def _quadratics(roots: NDArray[np.floating] | NDArray[np.complex128]) -> list[Floats]:
    """Real polynomials of degree 2 in 1/z with these roots, of which the complex ones come in conjugate pairs."""
    pairs = [np.array([1.0, -2 * root.real, abs(root) ** 2]) for root in roots if root.imag > 0]
    real = np.sort(np.array([root.real for root in roots if root.imag == 0]))
    real = np.append(real, 0.0) if len(real) % 2 else real
    return pairs + [np.array([1.0, -(a + b), a * b]) for a, b in real.reshape(-1, 2)]
