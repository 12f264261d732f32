"""Look-ahead peak limiter."""

from __future__ import annotations

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.finite import all_finite, zero_unless_finite
from asmu_engine.rt.history import History

_ONE = 2**40
"""Gain 1. Gains are whole numbers: sums and minima of them are exact, so no cut of the blocks can show."""


class ALimiter(AEffect):
    """Output n is input n, `attack` later, times a gain that keeps every sample within ±threshold; each channel by itself.

    Of each sample the gain that it needs, min(1, threshold/|x|), is held for the attack time, lets go at a constant rate,
    1 in `release` seconds, and is averaged over the attack time (W = attack + 1 frames): the mean of W values, each at most
    what the sample needs, when it leaves. So the gain falls in a straight line that ends at the peak. Where nothing needs
    limiting it is exactly 1. A new threshold holds for what comes in from then on. Samples that are NaN or infinite are 0.
    """

    kind = "limiter"
    parameters = (
        Parameter("threshold", default=1.0, minimum=1e-6, maximum=1e6, doc="largest magnitude of the output"),
        Parameter("attack", default=0.002, unit="s", minimum=0.0, maximum=1.0, live=False, doc="look-ahead, the latency"),
        Parameter("release", default=0.1, unit="s", minimum=0.0, maximum=60.0, doc="time in which the gain rises by 1"),
    )

    threshold: float
    attack: float
    release: float

    def prepare(self) -> None:
        """The line of samples, those of gains, and scratch."""
        frames, channels = self.setup.blocksize, self.channels
        self.latency_frames = ahead = round(self.attack * self.setup.samplerate)
        self._window = ahead + 1
        self._full = self._window * _ONE
        self._line = History(ahead, frames, channels, np.float32)
        self._needed = History(ahead, frames, channels, np.int64, _ONE)
        self._held = History(self._window, frames, channels, np.int64, _ONE)
        self._sum = np.full((1, channels), self._full, dtype=np.int64)
        self._least = [np.empty((ahead + frames, channels), dtype=np.int64) for _ in range(2)]
        self._risen = np.empty((frames + 1, channels), dtype=np.int64)
        self._gains = np.empty((frames, channels), dtype=np.float64)
        self._product = np.empty((frames, channels), dtype=np.float64)
        self._bad = np.empty((frames, channels), dtype=bool)
        self._count = np.arange(1, frames + 1, dtype=np.int64)
        self._column = np.empty((frames, 1), dtype=np.int64)
        # A table, since numpy broadcasts a column with a buffer of its own at every call.
        self._rise = np.empty((frames, channels), dtype=np.int64)
        self._idle = True
        self.changed("")

    def process(self, inputs: Block, outputs: Block) -> None:
        """A copy where nothing is to be done, else the gains and one multiplication."""
        frames = outputs.shape[0]
        samples = self._line.extend(frames)
        samples[...] = inputs
        finite = all_finite(samples)
        if not finite:
            zero_unless_finite(samples, self._bad[:frames])
        low, high = np.minimum.reduce(samples, axis=None), np.maximum.reduce(samples, axis=None)
        delayed = self._line.window(frames)[:frames]
        if self._idle and -self._limit <= low and high <= self._limit:
            outputs[...] = delayed
            return
        gains, product = self._gains[:frames], self._product[:frames]
        self._follow(samples, gains)
        product[...] = delayed
        np.multiply(product, gains, out=product)
        outputs[...] = product
        # The sum is full only if all that it is made of, and so all that is held, is 1.
        self._idle = bool(np.minimum.reduce(self._sum, axis=None) == self._full)

    def _follow(self, samples: Block, gains: np.ndarray) -> None:
        """The gain of each sample that leaves now; shapes (frames, channels)."""
        frames, limit = len(samples), float(self._limit)
        gains[...] = samples  # numpy casts without a buffer of its own in assignments only
        np.abs(gains, out=gains)
        np.maximum(gains, limit, out=gains)
        np.divide(limit * _ONE, gains, out=gains)
        self._needed.extend(frames)[...] = np.floor(gains, out=gains)
        # Recover at a constant rate: held[n] = min over k ≤ n of least[k] + rise·(n − k).
        risen, rise, held = self._risen[: frames + 1], self._rise[:frames], self._held.extend(frames)
        risen[0] = self._held.window(frames)[-frames - 1]
        np.subtract(self._minima(frames), rise, out=risen[1:])
        np.minimum.accumulate(risen, axis=0, out=risen)
        np.add(risen[1:], rise, out=held)
        # Sums of `window` values, each from the one before.
        sums = risen[1:]
        np.subtract(held, self._held.window(frames)[:frames], out=sums)
        sums[0] += self._sum[0]
        np.add.accumulate(sums, axis=0, out=sums)
        self._sum[0] = sums[-1]
        gains[...] = sums
        np.divide(gains, self._full, out=gains)

    def _minima(self, frames: int) -> np.ndarray:
        """Least needed gain of the `window` frames up to each: minima of 2, 4, 8 … frames, and two that overlap."""
        values, width, turn = self._needed.window(frames), 1, 0
        while width < self._window:
            step = min(width, self._window - width)
            count = len(values) - step
            values = np.minimum(values[:count], values[step:], out=self._least[turn][:count])
            width, turn = width + step, 1 - turn
        return values

    def changed(self, name: str) -> None:
        """The greatest float32 within the threshold, and the rise of the gain by frames."""
        self._limit = np.float32(self.threshold)
        if float(self._limit) > self.threshold:
            self._limit = np.nextafter(self._limit, np.float32(0))
        rise = max(1, round(_ONE / max(1.0, self.release * self.setup.samplerate)))
        np.multiply(self._count, rise, out=self._column[:, 0])
        self._rise[...] = self._column

    def reset(self) -> None:
        """An empty line and gain 1."""
        for history in (self._line, self._needed, self._held):
            history.reset()
        self._sum.fill(self._full)
        self._idle = True

    def adopt(self, previous: ALimiter) -> None:
        """Channels that stay go on with what is in their line, and with their gain."""
        shared = min(self.channels, previous.channels)
        self._line.adopt(previous._line)
        self._needed.adopt(previous._needed)
        self._held.adopt(previous._held)
        self._sum[0, :shared] = previous._sum[0, :shared]
        self._idle = previous._idle
