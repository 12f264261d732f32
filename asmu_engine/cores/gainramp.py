"""Gain whose set-point moves at a constant rate, one a channel."""

from __future__ import annotations

import math

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.scale import SCALES, to_factors


class AGainRamp(AEffect):
    """Output n is input n times a factor, whose set-point moves by `gradient` a second towards `gain`.

    After a change, frame k ≥ 1 has the set-point start ± min(gradient·k/samplerate, way): the line is computed from its
    frame number alone. Scale ``log`` makes the factor (10^x − 1)/9 of a set-point x.
    """

    kind = "gainramp"
    parameters = (
        Parameter("gain", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True, doc="set-point"),
        Parameter("gradient", default=1.0, unit="1/s", minimum=0.0, maximum=1e12, doc="rate of the set-point"),
        Parameter("scale", type="choice", default="lin", choices=SCALES, live=False, doc="lin, or log: (10^x - 1)/9"),
    )

    gain: np.ndarray
    gradient: float
    scale: str
    _at: float
    _length: float

    def prepare(self) -> None:
        """Scratch for a block."""
        frames, channels = self.setup.blocksize, self.channels
        self._count = np.arange(1, frames + 1, dtype=np.float64)
        self._points = np.empty(frames, dtype=np.float64)
        # Tables, since numpy broadcasts a column or row with a buffer of its own at every call.
        self._factors = np.empty((frames, channels), dtype=np.float32)
        self._steady = np.empty((frames, channels), dtype=np.float32)
        self._from = np.empty(channels, dtype=np.float64)
        self._to = np.empty(channels, dtype=np.float64)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """One multiplication a sample once the set-point is reached."""
        frames = outputs.shape[0]
        done = 0
        if self._at < self._length:
            done = int(min(frames, self._length - self._at))
            np.multiply(inputs[:done], self._ramp(done), out=outputs[:done])
            self._at += done
        if done < frames:
            np.multiply(inputs[done:], self._end if self._alike else self._steady[: frames - done], out=outputs[done:])

    def _ramp(self, frames: int) -> Block:
        """Factors of the next frames, shape (frames, channels)."""
        points, factors = self._points[:frames], self._factors[:frames]
        for channel in range(1 if self._alike else self.channels):
            np.add(self._count[:frames], float(self._at), out=points)
            np.multiply(points, self.gradient / self.setup.samplerate, out=points)
            np.minimum(points, self._way[channel], out=points)
            np.multiply(points, self._sign[channel], out=points)
            np.add(points, self._from[channel], out=points)
            to_factors(points, self.scale)
            if self._alike:
                factors[...] = points[:, None]
            else:
                factors[:, channel] = points
        return factors

    def changed(self, name: str) -> None:
        """From where the set-point stands now."""
        moved = min(self._at, self._length) * self._gradient_in_use / self.setup.samplerate
        self._from += self._sign * np.minimum(moved, self._way)
        if self._at >= self._length:
            self._from[:] = self._to
        self._to[:] = self.gain
        self._settle()

    def reset(self) -> None:
        """The set-point at once."""
        self._from[:] = self._to[:] = self.gain
        self._settle()

    def adopt(self, previous: AGainRamp) -> None:
        """Channels that stay go on with their ramp."""
        shared = min(self.channels, previous.channels)
        self._from[:shared] = previous._from[:shared]
        self._to[:shared] = previous._to[:shared]
        self._settle()
        self._at = previous._at

    def _settle(self) -> None:
        """What the ramp from `_from` to `_to` needs, and the factors after it."""
        self._gradient_in_use = self.gradient
        self._way = np.abs(self._to - self._from)
        self._sign = np.sign(self._to - self._from)
        self._at = 0
        step = self.gradient / self.setup.samplerate
        longest = float(self._way.max())
        self._length = 0.0 if longest == 0 else math.inf if step == 0 else float(math.ceil(longest / step))
        self._alike = bool((self._from == self._from[0]).all() and (self._to == self._to[0]).all())
        factors = self._to.copy()
        to_factors(factors, self.scale)
        self._end = np.float32(factors[0])
        if not self._alike:
            self._steady[...] = factors
