"""Delay by whole frames, one a channel; the only core that a cycle may pass through."""

from __future__ import annotations

from typing import Any

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import ADelayLine, Block


class ADelay(ADelayLine):
    """Output n is input n, `frames` frames later; silence before.

    A new delay holds from its frame on, within the stated maximum; what is read from then on was really there, so the
    jump is that of a moved microphone, not of a broken buffer.
    """

    kind = "delay"
    parameters = (
        Parameter("frames", type="int", default=0, unit="frames", minimum=0, maximum=2**24, per_channel=True, doc="delay"),
        Parameter("maximum", type="int", default=0, unit="frames", minimum=0, maximum=2**24, live=False, doc="longest delay"),
    )

    frames: np.ndarray
    maximum: int

    def prepare(self) -> None:
        """The line: the longest delay and two blocks, in which reads and writes never meet."""
        self._length = max(int(self.frames.max()), self.maximum) + 2 * self.setup.blocksize
        self._line = np.empty((self._length, self.channels), dtype=np.float32)
        self._line.fill(0)
        self._at = 0
        self._group()

    def shortest(self, name: str = "", value: Any = None) -> int:
        """Least delay of any channel, frames, now or with other `frames`."""
        return int((value if name == "frames" else self.frames).min())

    def process(self, inputs: Block, outputs: Block) -> None:
        """Write, then read behind it."""
        frames = inputs.shape[0]
        self._write(inputs)
        self._read(outputs, self._at)
        self._at = (self._at + frames) % self._length

    def emit(self, outputs: Block) -> None:
        """Read what is at least a block old."""
        self._read(outputs, self._at)

    def absorb(self, inputs: Block) -> None:
        """Write and advance."""
        self._write(inputs)
        self._at = (self._at + inputs.shape[0]) % self._length

    def changed(self, name: str) -> None:
        """Sort the channels by their delay anew."""
        self._group()

    def reset(self) -> None:
        """Silence in the line."""
        self._line.fill(0)
        self._at = 0

    def adopt(self, previous: ADelay) -> None:
        """Channels that stay keep what is in their line, as far back as both lines reach."""
        shared = min(self.channels, previous.channels)
        back = min(self._length, previous._length)
        columns = slice(0, shared)
        new = np.arange(self._at - back, self._at) % self._length
        old = np.arange(previous._at - back, previous._at) % previous._length
        self._line[new, columns] = previous._line[old, columns]

    def _group(self) -> None:
        self._groups: list[tuple[int, slice]] = []
        limit = self._length - 2 * self.setup.blocksize
        for channel, frames in enumerate(self.frames.astype(np.int64)):
            delay = min(int(frames), limit)
            if self._groups and self._groups[-1][0] == delay:
                self._groups[-1] = (delay, slice(self._groups[-1][1].start, channel + 1))
            else:
                self._groups.append((delay, slice(channel, channel + 1)))

    def _write(self, inputs: Block) -> None:
        frames = inputs.shape[0]
        first = min(frames, self._length - self._at)
        self._line[self._at : self._at + first] = inputs[:first]
        if first < frames:
            self._line[: frames - first] = inputs[first:]

    def _read(self, outputs: Block, at: int) -> None:
        frames = outputs.shape[0]
        for delay, columns in self._groups:
            start = (at - delay) % self._length
            first = min(frames, self._length - start)
            outputs[:first, columns] = self._line[start : start + first, columns]
            if first < frames:
                outputs[first:, columns] = self._line[: frames - first, columns]
