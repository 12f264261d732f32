"""Constant generator."""

from __future__ import annotations

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AGenerator, Block


class AConstant(AGenerator):
    """The same value in every frame."""

    kind = "constant"
    parameters = (Parameter("value", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True, doc="value of every sample"),)

    value: np.ndarray

    def process(self, inputs: Block, outputs: Block) -> None:
        """Fill."""
        outputs[...] = self.value
