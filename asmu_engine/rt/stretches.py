"""How an oscillator's stretches become samples: every channel's, or the sum of all with a weight each.

Both begin with the sines and cosines in the middle of the stretch, and reach the frames around it by tables,
sin(φ ± nα) = sin φ cos nα ± cos φ sin nα. Samples of a sum need not be those of every channel first: with weights w it is
Σ w sin φ cos nα ± Σ w cos φ sin nα, two products of a matrix and a vector for half as many frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.acore import Block

if TYPE_CHECKING:
    from asmu_engine.rt.oscillator import Oscillator

_ROW: Final = 256
"""Numbers that numpy multiplies at one go at least: to begin with the next row takes it as long as 50 of them."""

Reals = NDArray[np.float64]


class Rendering(Protocol):
    """Makes samples of stretches.

    Attributes
    ----------
    samples
        Room for those of a stretch of which blocks take parts; broadcast to the block's channels.
    stretch
        Which one stands there; −1 for none.
    """

    samples: Block
    stretch: int

    def render(self, oscillator: Oscillator, target: Block) -> None:
        """Write the frames of the stretch in which the oscillator is."""


class EachChannel:
    """Every channel's own samples.

    Parameters
    ----------
    tables
        Of the oscillator, with rows up to a multiple of `repeats`.
    frames
        Of a stretch.

    Attributes
    ----------
    alike
        True where the first channel serves all.
    """

    def __init__(self, tables: Reals, frames: int) -> None:
        channels = tables.shape[2]
        self.samples = np.zeros((frames, channels), dtype=np.float32)
        self.stretch = -1
        self.alike = False
        parts = np.zeros_like(tables)
        sums = np.zeros((frames // 2 + 1, channels), dtype=np.float64)
        # The same numbers seen in two ways: so many channels, or copies of them, that a row is long; and the first alone.
        self._wide = _Products(tables, parts, sums, repeats(channels), frames)
        self._narrow = _Products(tables[:, :, :1], parts[:, :, :1], sums[:, :1], 1, frames)

    def render(self, oscillator: Oscillator, target: Block) -> None:
        """See `Rendering`."""
        (self._narrow if self.alike else self._wide).render(oscillator, target)


class _Products:
    """The frames of a stretch of some channels.

    Parameters
    ----------
    tables
        Cosine and sine of nα, shape (2, rows, channels).
    parts, sums
        Scratch of the shape of the tables, and of (rows, channels).
    repeats
        How many frames stand in a row.
    frames
        Of a stretch.
    """

    def __init__(self, tables: Reals, parts: Reals, sums: Reals, repeats: int, frames: int) -> None:
        channels = tables.shape[2]
        self._middle = middle = frames // 2
        shape = (2, tables.shape[1] // repeats, repeats * channels)
        self._tables = tables.reshape(shape) if repeats > 1 else tables
        self._parts = parts.reshape(shape) if repeats > 1 else parts
        self._sines = np.empty((2, channels), dtype=np.float64)
        factors = np.empty((2, 1, repeats, channels), dtype=np.float64)
        self._factors = factors.reshape(2, 1, repeats * channels)
        self._copies = factors[:, 0]
        self._once = self._sines[:, None]
        sine, cosine = parts
        after = frames - middle
        self._plus = sine[:after], cosine[:after], sums[:after]
        self._minus = sine[1 : middle + 1], cosine[1 : middle + 1], sums[:middle]
        self._backwards = sums[middle - 1 :: -1] if middle else sums[:0]

    def render(self, oscillator: Oscillator, target: Block) -> None:
        """From the middle to both sides."""
        oscillator.sines(self._sines)
        self._copies[...] = self._once
        np.multiply(self._tables, self._factors, out=self._parts)
        sine, cosine, sums = self._plus
        np.add(sine, cosine, out=sums)
        target[self._middle :] = sums
        if self._middle:
            sine, cosine, sums = self._minus
            np.subtract(sine, cosine, out=sums)
            target[: self._middle] = self._backwards


class WeightedSum:
    """The sum of all channels, each times its weight, on every channel of the target.

    Parameters
    ----------
    oscillator
        Whose channels these are.

    Attributes
    ----------
    weights
        Shape (channels,); set `stretch` to −1 after they were changed.
    """

    def __init__(self, oscillator: Oscillator) -> None:
        _, rows, channels = oscillator.tables.shape
        middle, after = oscillator.middle, oscillator.frames - oscillator.middle
        self.samples = np.zeros((oscillator.frames, 1), dtype=np.float32)
        self.stretch = -1
        self.weights = np.ones(channels, dtype=np.float64)
        self._tables = oscillator.tables
        self._factors = np.empty((2, channels, 1), dtype=np.float64)
        self._sines = self._factors[:, :, 0]
        self._parts = np.empty((2, rows, 1), dtype=np.float64)
        sine, cosine = self._parts[:, :, 0]
        self._sums = np.empty((oscillator.frames, 1), dtype=np.float64)
        sums = self._sums[:, 0]
        self._plus = sine[:after], cosine[:after], sums[middle:]
        self._minus = sine[middle:0:-1], cosine[middle:0:-1], sums[:middle]

    def render(self, oscillator: Oscillator, target: Block) -> None:
        """See `Rendering`."""
        oscillator.sines(self._sines)
        np.multiply(self._sines, self.weights, out=self._sines)
        np.matmul(self._tables, self._factors, out=self._parts)
        sine, cosine, sums = self._plus
        np.add(sine, cosine, out=sums)
        sine, cosine, sums = self._minus
        np.subtract(sine, cosine, out=sums)
        target[...] = self._sums


def repeats(channels: int) -> int:
    """How many frames of the tables stand in a row that is long enough."""
    return max(1, _ROW // channels)
