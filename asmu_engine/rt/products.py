"""Products of blocks with matrices whose samples do not depend on how blocks are cut."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.acore import Block

PIECE: Final = 64
"""Frames of one product. Products of other shapes, and other rows of one product, may add up in another order; so all have
this shape, and they lie on a grid from the first frame on: the cuts of the blocks do not show."""


class GridProduct:
    """Multiplies frames of `inputs` channels by matrices of shape (inputs, outputs), float32.

    Attributes
    ----------
    at
        Where in a piece the next block begins; whoever processes a block calls `advance` after its last product.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self.at = 0
        self._part_in = np.zeros((PIECE, inputs), dtype=np.float32)
        self._part_out = np.empty((PIECE, outputs), dtype=np.float32)

    def multiply(self, inputs: Block, gains: NDArray[np.float32], outputs: Block) -> None:
        """`outputs` = `inputs` · `gains`; both C-contiguous, of the same number of frames."""
        frames = len(inputs)
        first = min(-self.at % PIECE, frames)
        pieces = (frames - first) // PIECE
        last = first + pieces * PIECE
        if first:
            self._multiply_part(inputs[:first], gains, outputs[:first], self.at)
        if pieces:
            stacked = outputs[first:last].reshape(pieces, PIECE, outputs.shape[1])
            np.matmul(inputs[first:last].reshape(pieces, PIECE, inputs.shape[1]), gains, out=stacked)
        if last < frames:
            self._multiply_part(inputs[last:], gains, outputs[last:], 0)

    def advance(self, frames: int) -> None:
        """So many frames are done."""
        self.at = (self.at + frames) % PIECE

    def _multiply_part(self, inputs: Block, gains: NDArray[np.float32], outputs: Block, at: int) -> None:
        """Frames of a piece from its frame `at` on; what else stands in it does not matter."""
        rows = slice(at, at + len(inputs))
        self._part_in[rows] = inputs
        np.matmul(self._part_in, gains, out=self._part_out)
        outputs[...] = self._part_out[rows]
