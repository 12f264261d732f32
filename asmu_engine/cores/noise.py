"""White noise from a seeded generator: the same seed gives the same samples, on every machine and at any block size."""

from __future__ import annotations

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AGenerator, Block


class ANoise(AGenerator):
    """Uniform white noise in [-amplitude, amplitude), independent channels.

    Frame n, channel c is number n·channels + c of ``2·Generator(PCG64(seed)).random(dtype=float32) − 1``, times the
    amplitude: whoever knows the seed can compute the samples.
    """

    kind = "noise"
    parameters = (
        Parameter("amplitude", default=1.0, minimum=0.0, maximum=1e6, doc="peak value"),
        Parameter("seed", type="int", default=0, minimum=0, maximum=2**53, live=False, doc="seed of the PCG64 generator"),
    )

    amplitude: float
    seed: int

    def prepare(self) -> None:
        """The generator at its start."""
        self._bits = np.random.PCG64(self.seed)
        self._random = np.random.Generator(self._bits)
        self._start = self._bits.state

    def process(self, inputs: Block, outputs: Block) -> None:
        """Draw straight into the output; scaled in float32."""
        self._random.random(out=outputs, dtype=np.float32)
        np.multiply(outputs, np.float32(2.0), out=outputs)
        np.subtract(outputs, np.float32(1.0), out=outputs)
        if self.amplitude != 1.0:
            np.multiply(outputs, np.float32(self.amplitude), out=outputs)

    def reset(self) -> None:
        """Back to the first number."""
        self._bits.state = self._start

    def adopt(self, previous: ANoise) -> None:
        """Go on in the other's sequence."""
        self._bits.state = previous._bits.state
