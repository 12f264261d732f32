"""Sum of all inputs."""

from __future__ import annotations

import numpy as np

from asmu_engine.protocol.catalogue import ANY_PORTS, Parameter
from asmu_engine.rt.acore import AEffect, Block


class ASum(AEffect):
    """Every output is the mean (or the plain sum) of all inputs.

    In mode ``mean``, asmu's definition, the divisor is the number of inputs, connected or not.
    """

    kind = "sum"
    parameters = (Parameter("mode", type="choice", default="mean", choices=("mean", "sum"), doc="mean or plain sum"),)
    outputs = ANY_PORTS
    paired = False

    mode: str

    def prepare(self) -> None:
        """Scratch of one column."""
        self._column = np.empty(self.setup.blocksize, dtype=np.float32)

    def process(self, inputs: Block, outputs: Block) -> None:
        """Add, scale, copy to every output."""
        column = self._column[: outputs.shape[0]]
        np.add.reduce(inputs, axis=1, out=column)
        if self.mode == "mean":
            np.multiply(column, np.float32(1.0 / inputs.shape[1]), out=column)
        outputs[...] = column[:, None]
