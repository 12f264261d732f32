"""Large arrays that come and go beside a running audio thread."""

from __future__ import annotations

import math
from mmap import mmap

import numpy as np
from numpy.typing import NDArray


def mapped(shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """An array of zeros in a memory mapping of its own, all its pages in memory.

    The C library may return the memory of many arrays to the system in one go when the last of them is freed: 60 ms for
    500 MB, in which no other thread runs Python. A mapping is returned by itself, while other threads run.
    """
    array = np.frombuffer(mmap(-1, 8 * max(1, math.prod(shape))), dtype=np.complex64)[: math.prod(shape)].reshape(shape)
    array.fill(0)
    return array
