"""Delay, one a channel, by whole frames or by fractions; the only core that a cycle may pass through."""

from __future__ import annotations

from typing import Any

import numpy as np

from asmu_engine.protocol.catalogue import Parameter, Value
from asmu_engine.rt.acore import ADelayLine, Block
from asmu_engine.rt.delay_lines import HALF, FractionalLine, Line, WholeLine


class ADelay(ADelayLine):
    """Output n is input n, `frames` frames later; silence before.

    A new delay holds from its frame on, within the stated maximum; what is read from then on was really there, so the
    jump is that of a moved microphone, not of a broken buffer. With `fractional` every channel is 32 frames later still
    (`latency_frames`), so that in a cycle, too, nothing depends on the input of the same block.
    """

    kind = "delay"
    parameters = (
        Parameter("fractional", type="bool", default=False, live=False, doc="delays need not be whole; 32 frames latency"),
        Parameter("frames", default=0.0, unit="frames", minimum=0, maximum=2**24, per_channel=True, doc="delay"),
        Parameter("maximum", type="int", default=0, unit="frames", minimum=0, maximum=2**24, live=False, doc="longest delay"),
    )

    fractional: bool
    frames: np.ndarray
    maximum: int
    _line: Line

    def convert(self, name: str, value: Value | None) -> Any:
        """Refuses delays that are not whole, ValueError, unless they were asked for."""
        converted = super().convert(name, value)
        if name == "frames" and not self.fractional and (converted != np.floor(converted)).any():
            raise ValueError(f"a delay of {value} frames is not whole; make the delay with fractional=True")
        return converted

    def prepare(self) -> None:
        """The line for the longest delay."""
        longest = max(int(np.ceil(self.frames.max())), self.maximum)
        self.latency_frames = HALF if self.fractional else 0
        self._line = (FractionalLine if self.fractional else WholeLine)(longest, self.channels, self.setup.blocksize)
        self._line.tune(self.frames)

    def shortest(self, name: str = "", value: Any = None) -> int:
        """Least delay of any channel, whole frames, now or with other `frames`."""
        return int((value if name == "frames" else self.frames).min())

    def process(self, inputs: Block, outputs: Block) -> None:
        """Write, then read behind it."""
        self._line.write(inputs)
        self._line.read(outputs)
        self._line.advance(len(inputs))

    def emit(self, outputs: Block) -> None:
        """Read what is at least a block old."""
        self._line.read(outputs)

    def absorb(self, inputs: Block) -> None:
        """Write and advance."""
        self._line.write(inputs)
        self._line.advance(len(inputs))

    def changed(self, name: str) -> None:
        """Read elsewhere from now on."""
        self._line.tune(self.frames)

    def reset(self) -> None:
        """Silence in the line."""
        self._line.reset()

    def adopt(self, previous: ADelay) -> None:
        """Channels that stay keep what is in their line."""
        self._line.adopt(previous._line)
