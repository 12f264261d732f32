"""Vector: plays an array that came with a message."""

from __future__ import annotations

from typing import Any

import numpy as np

from asmu_engine.protocol.catalogue import Parameter, Value
from asmu_engine.rt.acore import AGenerator, Block


class AVector(AGenerator):
    """Column n of an array on output n, once from its beginning or the last restart on; silence after its end.

    An output without a column is silent. A new array begins at once.
    """

    kind = "vector"
    parameters = (Parameter("vector", type="array", default=None, doc="shape (samples, channels)"),)
    calls = ("restart",)

    vector: np.ndarray
    _at: int
    _begun: bool
    _told: bool

    def convert(self, name: str, value: Value | None) -> Any:
        """The array as float32 of shape (samples, outputs), laid out as `process` copies it."""
        given = super().convert(name, value)
        if given is None:
            given = np.zeros((0, self.channels))
        if given.ndim != 2:
            raise ValueError(f"the array has shape {given.shape}; use (samples, channels)")
        if given.shape[1] == self.channels and given.dtype == np.float32:
            return given
        samples = np.zeros((len(given), self.channels), dtype=np.float32)
        shared = min(self.channels, given.shape[1])
        samples[:, :shared] = given[:, :shared]
        return samples

    def prepare(self) -> None:
        """At the beginning."""
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """One copy."""
        if self._at == 0 and not self._begun:
            self._begun = True
            self.setup.context.notify(self.setup.node, "started")
        count = min(len(outputs), len(self.vector) - self._at)
        outputs[:count] = self.vector[self._at : self._at + count]
        outputs[count:] = 0
        self._at += count
        if not self._told and self._at == len(self.vector):
            self._told = True
            self.setup.context.notify(self.setup.node, "finished", count)

    def changed(self, name: str) -> None:
        """Play the new array."""
        self.reset()

    def restart(self) -> None:
        """Play from the beginning, with the next frame."""
        self.reset()

    def reset(self) -> None:
        """Back to the beginning."""
        self._at = 0
        self._begun = self._told = False

    def adopt(self, previous: AVector) -> None:
        """Go on where the other is."""
        self._at, self._begun, self._told = previous._at, previous._begun, previous._told
