"""A straight line through points of which some are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, sqrt
from statistics import fmean, median
from typing import Final, NamedTuple

_ROUNDS: Final = 5
_TUKEY: Final = 4.685
"""Tuning of the biweight: 95 % efficient where the residuals are normal (Beaton and Tukey 1974)."""
_MAD: Final = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations."""
_MOST_INFLATION: Final = 5.0
_ROBUST: Final = 8
"""With fewer points nobody can tell which are wrong: all count, and what is wrong shows in the uncertainties."""


class Point(NamedTuple):
    """One observation."""

    x: float
    y: float


class Prior(NamedTuple):
    """What is known of a slope beforehand: its value, its standard uncertainty, and the scatter of points about the line."""

    slope: float
    uncertainty: float
    scatter: float


@dataclass(frozen=True)
class Line:
    """``y = mean_y + slope (x - mean_x)``, and how sure that is.

    Attributes
    ----------
    residual
        Root mean square of what the line leaves over of the points that it believes.
    uncertainty
        Standard uncertainty at `mean_x`.
    slope_uncertainty
        Standard uncertainty of the slope.
    """

    mean_x: float
    mean_y: float
    slope: float
    residual: float
    uncertainty: float
    slope_uncertainty: float

    def at(self, x: float) -> float:
        """Its value."""
        return self.mean_y + self.slope * (x - self.mean_x)

    def uncertainty_at(self, x: float) -> float:
        """Standard uncertainty of its value."""
        return hypot(self.uncertainty, self.slope_uncertainty * (x - self.mean_x))


def fit_line(points: Sequence[Point], resolution: float, prior: Prior | None = None) -> Line:
    """The line through points in the order of x, of which from eight on fewer than a sixth may be anywhere.

    It starts from the line through the medians of the first and last third, then weighs each point by
    Tukey's biweight. The standard uncertainties allow for residuals that resemble their neighbours (first-order
    autocorrelation).

    Parameters
    ----------
    points
        At least two, with different x; one where there is a `prior`.
    resolution
        Standard uncertainty that each y has at the least.
    prior
        What is known of the slope beforehand.
    """
    weights = [1.0] * len(points)
    if len(points) < _ROBUST:
        mean, slope, spread = _weighted(points, weights, prior, max(resolution, prior.scatter if prior else 0.0))
    else:
        slope = _first_slope(points)
        offset = median(point.y - slope * point.x for point in points)
        residuals = [point.y - slope * point.x - offset for point in points]
        for _ in range(_ROUNDS):
            scale = max(_MAD * median(map(abs, residuals)), resolution)
            weights = [_biweight(residual / scale) for residual in residuals]
            mean, slope, spread = _weighted(points, weights, prior, scale)
            residuals = [point.y - mean.y - slope * (point.x - mean.x) for point in points]
    believed = [
        point.y - mean.y - slope * (point.x - mean.x) for point, weight in zip(points, weights, strict=True) if weight > 0.0
    ]
    residual = sqrt(fmean(value * value for value in believed))
    sigma = max(_unbiased(residual, len(believed)), resolution)
    if prior is not None and len(believed) < _ROBUST:
        sigma = max(sigma, prior.scatter)
    sigma *= _inflation(believed)
    precision = spread / (sigma * sigma) + (0.0 if prior is None else prior.uncertainty**-2)
    return Line(mean.x, mean.y, slope, residual, sigma / sqrt(sum(weights)), 1.0 / sqrt(precision))


def _first_slope(points: Sequence[Point]) -> float:
    third = len(points) // 3
    first, last = (
        Point(median(point.x for point in some), median(point.y for point in some)) for some in (points[:third], points[-third:])
    )
    return (last.y - first.y) / (last.x - first.x)


def _weighted(points: Sequence[Point], weights: Sequence[float], prior: Prior | None, scale: float) -> tuple[Point, float, float]:
    """Mean, slope and weighted spread of x of the least-squares line, drawn to the prior slope as far as that is the surer."""
    total = sum(weights)
    mean = Point(
        sum(weight * point.x for weight, point in zip(weights, points, strict=True)) / total,
        sum(weight * point.y for weight, point in zip(weights, points, strict=True)) / total,
    )
    spread = shared = 0.0
    for weight, point in zip(weights, points, strict=True):
        distance = point.x - mean.x
        spread += weight * distance * distance
        shared += weight * distance * (point.y - mean.y)
    if prior is None:
        return mean, shared / spread, spread
    trust = (scale / prior.uncertainty) ** 2
    return mean, (shared + trust * prior.slope) / (spread + trust), spread


def _biweight(deviation: float) -> float:
    share = deviation / _TUKEY
    return (1.0 - share * share) ** 2 if abs(share) < 1.0 else 0.0


def _unbiased(residual: float, count: int) -> float:
    """Two degrees of freedom went into the line; few that are left make it unsure, as Student's distribution says."""
    if count < 3:
        return residual
    freedom = count - 2
    return residual * sqrt(count / freedom) * (1.0 + 0.84 / (freedom * sqrt(freedom)))


def _inflation(residuals: Sequence[float]) -> float:
    power = sum(value * value for value in residuals)
    if len(residuals) < 8 or not power:
        return 1.0
    alike = sum(before * after for before, after in pairwise(residuals)) / power
    return min(_MOST_INFLATION, sqrt((1.0 + alike) / (1.0 - alike))) if 0.0 < alike < 1.0 else 1.0
