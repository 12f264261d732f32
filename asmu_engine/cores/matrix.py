"""Matrix of gains: every output a weighted sum of all inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from asmu_engine.cores.gain import RAMP_SECONDS
from asmu_engine.protocol.catalogue import ANY_PORTS, Parameter, Value
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.finite import all_finite, zero_unless_finite
from asmu_engine.rt.products import GridProduct


class AMatrix(AEffect):
    """Output o is the sum over i of gain[o, i] times input i; without gains, output n is input n.

    A change is a straight line of all gains over 5 ms, in whole frames. Input samples that are NaN or infinite count as 0,
    since otherwise one of them would reach every output, whatever its gain. Gains for ports that the node lacks are
    ignored, missing ones are 0.
    """

    kind = "matrix"
    parameters = (Parameter("gain", type="array", default=None, doc="shape (outputs, inputs)"),)
    outputs = ANY_PORTS
    paired = False

    gain: np.ndarray
    _from: np.ndarray
    _to: np.ndarray
    _left: int

    def convert(self, name: str, value: Value | None) -> Any:
        """The gains transposed, shape (inputs, outputs), float32."""
        inputs, outputs = self.setup.inputs, self.setup.outputs
        given = np.eye(outputs, inputs) if value is None else super().convert(name, value)
        if given.ndim != 2:
            raise ValueError(f"the gains have shape {given.shape}; use (outputs, inputs)")
        gains = np.zeros((inputs, outputs), dtype=np.float32)
        rows, columns = min(outputs, given.shape[0]), min(inputs, given.shape[1])
        gains[:columns, :rows] = given[:rows, :columns].T
        return gains

    def prepare(self) -> None:
        """Scratch for a block, for the odd rest of one, and for a change."""
        frames, inputs, outputs = self.setup.blocksize, self.setup.inputs, self.setup.outputs
        self._length = max(1, round(RAMP_SECONDS * self.setup.samplerate))
        self._clean = np.empty((frames, inputs), dtype=np.float32)
        self._bad = np.empty((frames, inputs), dtype=bool)
        self._product = GridProduct(inputs, outputs)
        self._other = np.empty((frames, outputs), dtype=np.float32)
        self._count = np.arange(1, frames + 1, dtype=np.float64)
        self._slope = np.empty(frames, dtype=np.float64)
        # A table, since numpy broadcasts a column with a buffer of its own at every call.
        self._part = np.empty((frames, outputs), dtype=np.float32)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """One product, or two while a change goes on."""
        frames = outputs.shape[0]
        if not all_finite(inputs):
            clean = self._clean[:frames]
            clean[...] = inputs
            zero_unless_finite(clean, self._bad[:frames])
            inputs = clean
        self._product.multiply(inputs, self._to, outputs)
        if self._left:
            self._mix(inputs[: self._left], outputs[: self._left])
        self._product.advance(frames)

    def _mix(self, inputs: Block, outputs: Block) -> None:
        """From the old gains to the new: old + (new − old)·n/length."""
        frames = outputs.shape[0]
        other, part, slope = self._other[:frames], self._part[:frames], self._slope[:frames]
        self._product.multiply(inputs, self._from, other)
        np.add(self._count[:frames], float(self._length - self._left), out=slope)
        np.multiply(slope, 1 / self._length, out=slope)
        part[...] = slope[:, None]
        np.subtract(outputs, other, out=outputs)
        np.multiply(outputs, part, out=outputs)
        np.add(outputs, other, out=outputs)
        self._left -= frames

    def changed(self, name: str) -> None:
        """Move on from the gains of now."""
        share = (self._length - self._left) / self._length
        self._from = self._from + (self._to - self._from) * np.float32(share)
        self._to = self.gain
        self._left = self._length

    def reset(self) -> None:
        """The gains at once."""
        self._from = self._to = self.gain
        self._left = self._product.at = 0

    def adopt(self, previous: AMatrix) -> None:
        """Gains of the ports that both have go on changing."""
        inputs, outputs = (min(a, b) for a, b in zip(self._to.shape, previous._to.shape, strict=True))
        self._from = self._to.copy()
        self._from[:inputs, :outputs] = previous._from[:inputs, :outputs]
        self._left, self._product.at = previous._left, previous._product.at
