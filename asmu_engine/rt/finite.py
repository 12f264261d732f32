"""Samples that are no numbers: how cores see them at small cost, and keep them out of their states."""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray


def all_finite(block: NDArray[np.float32] | NDArray[np.float64]) -> bool:
    """True when no value of a block that is not empty is NaN or infinite; allocates nothing."""
    if block.flags.c_contiguous and sums_up(block):
        return True
    # It may be large without being infinite: the extremes show everything there is to see.
    return isfinite(np.maximum.reduce(block, axis=None)) and isfinite(np.minimum.reduce(block, axis=None))


def zero_unless_finite(block: NDArray[np.float32] | NDArray[np.float64], scratch: NDArray[np.bool_]) -> None:
    """Put 0 in place of every NaN and infinity; `scratch` is of the block's shape."""
    np.isfinite(block, out=scratch)
    np.logical_not(scratch, out=scratch)
    np.copyto(block, 0, where=scratch)


def sums_up(block: NDArray[np.float32] | NDArray[np.float64]) -> bool:
    """True when the squares of a C-contiguous block have a finite sum.

    Then all its values are finite, and those of float32 below 2e19. One product of BLAS, which does not warn when it overflows as
    `np.dot` would.
    """
    return isfinite(np.vdot(block, block))
