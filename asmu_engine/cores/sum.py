"""Sum of all inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.catalogue import ANY_PORTS, Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.products import GridProduct


class ASum(AEffect):
    """Every output is the mean (or the plain sum) of all inputs.

    In mode ``mean``, asmu's definition, the divisor is the number of inputs, connected or not.
    """

    kind = "sum"
    parameters = (Parameter("mode", type="choice", default="mean", choices=("mean", "sum"), doc="mean or plain sum"),)
    outputs = ANY_PORTS
    paired = False
    idles = True

    mode: str

    def prepare(self) -> None:
        """Scratch of one column."""
        self._column = np.empty((self.setup.blocksize, 1), dtype=np.float32)
        self._ones = np.ones((self.setup.inputs, 1), dtype=np.float32)
        self._product = GridProduct(self.setup.inputs, 1)

    @property
    def share(self) -> float:
        """What each input counts."""
        return 1.0 / self.setup.inputs if self.mode == "mean" else 1.0

    def process(self, inputs: Block, outputs: Block) -> None:
        """Add, scale, copy to every output."""
        self.mix(inputs, self._ones, outputs)

    def mix(self, inputs: Block, weights: NDArray[np.float32], outputs: Block) -> None:
        """The same of inputs times a weight each, shape (inputs, 1)."""
        column = self._column[: len(outputs)]
        # Several times as fast as numpy's sum along the short axis.
        self._product.multiply(inputs, weights, column)
        self._product.advance(len(outputs))
        if self.mode == "mean":
            np.multiply(column, np.float32(self.share), out=column)
        outputs[...] = column

    def mixed(self, frames: int) -> None:
        """So many frames were added up by others."""
        self._product.advance(frames)

    def reset(self) -> None:
        """The grid of the sums begins anew."""
        self._product.at = 0

    def adopt(self, previous: ASum) -> None:
        """So that the cuts of the blocks do not show there either."""
        self._product.at = previous._product.at
