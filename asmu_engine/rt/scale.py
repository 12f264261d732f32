"""Set-points of ramps and envelopes as factors."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

SCALES: Final = ("lin", "log")
LOG_LIMIT: Final = 6.0
"""A greater set-point of scale ``log`` counts as this one, whose factor is 111 111; beyond 38 float32 has no number."""


def to_factors(points: NDArray[np.float64], scale: str) -> None:
    """Replace set-points by factors, in place: ``lin`` the same, ``log`` (10^x − 1)/9, with which 0 is 0 and 1 is 1."""
    if scale == "log":
        np.minimum(points, LOG_LIMIT, out=points)
        np.multiply(points, math.log(10.0), out=points)
        np.expm1(points, out=points)
        np.multiply(points, 1 / 9, out=points)
