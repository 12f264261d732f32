"""White and pink noise from a seeded generator: the same seed gives the same samples at any block size."""

from __future__ import annotations

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.rt.pink import pink_filter
from asmu_engine.rt.recursion import Recursion

PINK_RMS = 1 / 6
"""RMS of pink noise of amplitude 1: the limits ±1 lie at six times the RMS, which Gaussian noise would pass once in
5·10⁸ samples (three hours at 48 kHz), this noise less often. What passes them is clipped."""


class ANoise(AGenerator):
    """Uniform white noise in [-amplitude, amplitude), or pink noise in [-amplitude, amplitude]; independent channels.

    White: frame n, channel c is number n·channels + c of ``2·Generator(PCG64(seed)).random(dtype=float32) − 1``, times the
    amplitude: whoever knows the seed can compute the samples. Its RMS is amplitude/√3.

    Pink: the same numbers through `asmu_engine.rt.pink`, of RMS amplitude/6. The filter's states begin with random values
    of the covariance that they have for ever after, so the noise is stationary from its first sample on.
    """

    kind = "noise"
    parameters = (
        Parameter("weight", type="choice", default="white", choices=("white", "pink"), live=False, doc="spectrum"),
        Parameter("amplitude", default=1.0, minimum=0.0, maximum=1e6, doc="peak value"),
        Parameter("seed", type="int", default=0, minimum=0, maximum=2**53, live=False, doc="seed of the PCG64 generator"),
    )

    weight: str
    amplitude: float
    seed: int

    def prepare(self) -> None:
        """The generator at its start."""
        self._bits = np.random.PCG64(self.seed)
        self._random = np.random.Generator(self._bits)
        self._start = self._bits.state
        self._pink: Recursion | None = None
        if self.weight == "pink":
            # The numbers drawn have variance 1/3.
            filter_ = pink_filter(self.setup.samplerate).scaled(PINK_RMS * 3**0.5)
            self._pink = Recursion(filter_, self.channels)
            # Numbers of another part of the sequence, 2¹²⁷ further on, so that those that follow are not used twice.
            draw = np.random.Generator(np.random.PCG64(self.seed).jumped()).standard_normal((filter_.order, self.channels))
            self._states = np.linalg.cholesky(filter_.covariance() / 3) @ draw
            self._pink.state[...] = self._states

    def process(self, inputs: Block, outputs: Block) -> None:
        """Draw straight into the output; scaled in float32."""
        self._random.random(out=outputs, dtype=np.float32)
        np.multiply(outputs, np.float32(2.0), out=outputs)
        np.subtract(outputs, np.float32(1.0), out=outputs)
        if self._pink is not None:
            self._pink.process(outputs, outputs)
            np.minimum(outputs, np.float32(1.0), out=outputs)
            np.maximum(outputs, np.float32(-1.0), out=outputs)
        if self.amplitude != 1.0:
            np.multiply(outputs, np.float32(self.amplitude), out=outputs)

    def reset(self) -> None:
        """Back to the first number."""
        self._bits.state = self._start
        if self._pink is not None:
            self._pink.reset()
            self._pink.state[...] = self._states

    def adopt(self, previous: ANoise) -> None:
        """Go on in the other's sequence."""
        self._bits.state = previous._bits.state
        if self._pink is not None and previous._pink is not None:
            self._pink.adopt(previous._pink)
