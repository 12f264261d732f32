"""Constant generator."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.rt.stackable import Columns, Stackable


class AConstant(Stackable, AGenerator):
    """The same value in every frame."""

    kind = "constant"
    parameters = (Parameter("value", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True, doc="value of every sample"),)

    follows: ClassVar[bool] = True  # time changes nothing

    value: np.ndarray

    def process(self, inputs: Block, outputs: Block) -> None:
        """Fill."""
        outputs[...] = self.value

    def changed_at(self, name: str, columns: Columns) -> None:
        """It is another one."""
        self.version += 1
