"""Planned float32 Fourier transforms for cores: pyFFTW, which is imported when the first of them is made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from types import ModuleType

Spectra = NDArray[np.complex64]
Rows = NDArray[np.float32]

process_is_ours = False
"""Set by the entry of the audio process. In the process of a user other threads may import scipy at this very moment."""


class Transform:
    """The spectra of rows and back, in arrays of its own that never move.

    Planned by estimate: that takes milliseconds, while measuring takes a second of the audio process for a few µs a block.

    Parameters
    ----------
    rows
        How many are transformed at once.
    frames
        Their length, even; products of small primes are fast.
    spare
        Frames in memory after those of each row, for who looks beyond them.

    Attributes
    ----------
    samples
        Shape (rows, frames + spare), of which `forward` reads the first `frames`.
    spectra
        Shape (rows, frames/2 + 1), what `forward` writes.
    products
        Shape of `spectra`, what `backward` reads and destroys.
    result
        Shape (rows, frames), what `backward` writes.
    """

    def __init__(self, rows: int, frames: int, spare: int = 0) -> None:
        pyfftw = import_pyfftw()
        bins = frames // 2 + 1
        self.samples: Rows = pyfftw.zeros_aligned((rows, frames + spare), dtype="float32")
        self.spectra: Spectra = pyfftw.zeros_aligned((rows, bins), dtype="complex64")
        self.products: Spectra = pyfftw.zeros_aligned((rows, bins), dtype="complex64")
        self.result: Rows = pyfftw.zeros_aligned((rows, frames), dtype="float32")
        options: dict[str, Any] = {"axes": (1,), "threads": 1}
        self._forward = pyfftw.FFTW(self.samples[:, :frames], self.spectra, flags=("FFTW_ESTIMATE",), **options)
        back = ("FFTW_ESTIMATE", "FFTW_DESTROY_INPUT")
        self._backward = pyfftw.FFTW(self.products, self.result, direction="FFTW_BACKWARD", flags=back, **options)

    def forward(self) -> None:
        """`spectra` of `samples`."""
        self._forward.execute()

    def backward(self) -> None:
        """`result` of `products`, too large by the factor `frames`: put 1/frames into what is multiplied."""
        self._backward.execute()


def import_pyfftw() -> ModuleType:
    """The module pyfftw.

    It loads all of scipy.fft for an interface that is not used here: 0.3 s and 20 MB, which an audio process does without.
    """
    hidden = process_is_ours and "scipy" not in sys.modules
    if hidden:
        sys.modules["scipy"] = None  # type: ignore[assignment]
    try:
        import pyfftw
    finally:
        if hidden:
            del sys.modules["scipy"]
    module: ModuleType = pyfftw
    return module


def is_smooth(number: int) -> bool:
    """True for products of 2, 3, 5 and 7, the lengths that FFTW is fast at."""
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1
