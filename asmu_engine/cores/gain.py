"""Gain, one a channel, clickless."""

from __future__ import annotations

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block

RAMP_SECONDS = 0.005
"""A new gain is reached in a straight line over this time."""


class AGain(AEffect):
    """Output n is input n times its gain. A change is a straight line over 5 ms, in whole frames, never a step."""

    kind = "gain"
    parameters = (Parameter("gain", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True, doc="factor"),)

    gain: np.ndarray
    _left: int

    def prepare(self) -> None:
        """Scratch for a ramp."""
        frames, channels = self.setup.blocksize, self.channels
        self._length = max(1, round(RAMP_SECONDS * self.setup.samplerate))
        self._count = np.arange(1, frames + 1, dtype=np.float64)
        self._slope = np.empty(frames, dtype=np.float64)
        self._factors = np.empty((frames, channels), dtype=np.float32)
        self._from = np.empty(channels, dtype=np.float64)
        self._to = np.empty(channels, dtype=np.float64)
        self._rise = np.zeros(channels, dtype=np.float64)
        self._table = np.empty((frames, channels), dtype=np.float32)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """One multiplication a sample, or two while a ramp runs."""
        frames = outputs.shape[0]
        done = 0
        if self._left:
            done = min(self._left, frames)
            np.multiply(self._factors_of(done), inputs[:done], out=outputs[:done])
            self._left -= done
            if done == frames:
                return
        np.multiply(inputs[done:], self._steady if self._uniform else self._table[: frames - done], out=outputs[done:])

    def _factors_of(self, frames: int) -> Block:
        """Gains of the next `frames` frames of the ramp: start + (target − start)·n/length, by frame number alone."""
        slope, factors = self._slope[:frames], self._factors[:frames]
        # Column by column: to broadcast one numpy needs a buffer of its own at every call.
        for channel in range(1 if self._together else self.channels):
            np.add(self._count[:frames], float(self._length - self._left), out=slope)
            np.multiply(slope, self._rise[channel], out=slope)
            np.add(slope, self._from[channel], out=slope)
            if self._together:
                factors[...] = slope[:, None]
            else:
                factors[:, channel] = slope
        return factors

    def changed(self, name: str) -> None:
        """Ramp from where the gain stands now."""
        at = self._from + (self._to - self._from) * ((self._length - self._left) / self._length)
        self._from[:] = at
        self._to[:] = self.gain
        self._settle()
        self._rise[:] = (self._to - self._from) / self._length
        self._left = self._length
        self._compare()

    def reset(self) -> None:
        """The gain at once."""
        self._from[:] = self._to[:] = self.gain
        self._settle()
        self._left = 0
        self._together = True

    def adopt(self, previous: AGain) -> None:
        """Channels that stay go on with their ramp."""
        shared = min(self.channels, previous.channels)
        self._from[:shared] = previous._from[:shared]
        self._to[:shared] = previous._to[:shared]
        self._rise[:shared] = previous._rise[:shared]
        self._left = previous._left
        self._compare()

    def _compare(self) -> None:
        """Whether one column serves all channels while the ramp runs."""
        self._together = bool((self._rise == self._rise[0]).all() and (self._from == self._from[0]).all())

    def _settle(self) -> None:
        """The factors once no ramp runs: one number where all channels have the same, else a table.

        A vector would be broadcast by numpy with a buffer of its own at every call, at twice the time.
        """
        self._uniform = bool((self.gain == self.gain[0]).all())
        self._steady = np.float32(self.gain[0])
        if not self._uniform:
            self._table[...] = self.gain
