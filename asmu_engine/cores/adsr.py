"""Envelope: attack, decay, sustain, release."""

from __future__ import annotations

import math

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.scale import SCALES, to_factors

_LONGEST = 3600.0


class AADSR(AEffect):
    """Output n is input n times an envelope of straight lines, the same for all channels; silence until started.

    t seconds after `start` the set-point is on the line from where it stood (0 at first) to 1 at t = attack, then on that
    to sustain at t = attack + decay, where it stays; after `release`, on that from where it stood to 0 at t = release.
    The frame with which a call takes effect is t = 0. Scale ``log`` makes the factor (10^x − 1)/9 of a set-point x. New
    parameters hold from the next call on. It says ``triggered``, ``released``, and ``finished`` when it is back at 0.
    """

    kind = "adsr"
    doc = "Envelope: attack, decay, sustain, release."
    parameters = (
        Parameter("attack", default=0.01, unit="s", minimum=0.0, maximum=_LONGEST, doc="time to 1"),
        Parameter("decay", default=0.1, unit="s", minimum=0.0, maximum=_LONGEST, doc="time from 1 to sustain"),
        Parameter("sustain", default=0.5, minimum=0.0, maximum=1.0, doc="set-point until the release"),
        Parameter("release", default=0.1, unit="s", minimum=0.0, maximum=_LONGEST, doc="time to 0"),
        Parameter("scale", type="choice", default="lin", choices=SCALES, live=False, doc="lin, or log: (10^x - 1)/9"),
    )
    calls = ("start", "release_now")

    attack: float
    decay: float
    sustain: float
    release: float
    scale: str
    _at: int
    _end: int
    _final: float
    _lines: tuple[tuple[float, float, float, float], ...]
    _steady: np.float32
    _sounding: bool
    _releasing: bool
    _tell: tuple[str, ...]

    def prepare(self) -> None:
        """Scratch."""
        frames = self.setup.blocksize
        self._count = np.arange(frames, dtype=np.float64)
        self._points = np.empty(frames, dtype=np.float64)
        # A table, since numpy broadcasts a column with a buffer of its own at every call.
        self._factors = np.empty((frames, self.channels), dtype=np.float32)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """Silence, one factor, or the lines."""
        frames = outputs.shape[0]
        at = self._at
        for what in self._tell:
            self.setup.context.notify(self.setup.node, what)
        self._tell = ()
        if at >= self._end:
            if self._final == 0:
                outputs.fill(0)
            else:
                np.multiply(inputs, self._steady, out=outputs)
            self._at += frames
        else:
            np.multiply(inputs, self._envelope(frames), out=outputs)
            self._at += frames
        if self._releasing and self._at >= self._end:
            self._releasing = False
            self.setup.context.notify(self.setup.node, "finished", max(self._end - at, 0))

    def _envelope(self, frames: int) -> Block:
        """Factors of the next frames, shape (frames, channels)."""
        points, factors = self._points[:frames], self._factors[:frames]
        points.fill(self._final)
        for begin, end, first, last in self._lines:
            # Frames n with begin ≤ n < end.
            start, stop = max(math.ceil(begin) - self._at, 0), min(math.ceil(end) - self._at, frames)
            if start < stop:
                line = points[start:stop]
                np.add(self._count[start:stop], self._at - begin, out=line)
                np.multiply(line, (last - first) / (end - begin), out=line)
                np.add(line, first, out=line)
        to_factors(points, self.scale)
        factors[...] = points[:, None]
        return factors

    def start(self) -> None:
        """Rise from where the envelope stands."""
        rate = self.setup.samplerate
        peak, settled = self.attack * rate, (self.attack + self.decay) * rate
        self._go(((0.0, peak, self._level(), 1.0), (peak, settled, 1.0, self.sustain)), self.sustain)
        self._sounding, self._releasing, self._tell = True, False, ("triggered",)

    def release_now(self) -> None:
        """Fall from where the envelope stands; nothing where it is at rest or falls already."""
        if self._sounding:
            self._go(((0.0, self.release * self.setup.samplerate, self._level(), 0.0),), 0.0)
            # Both calls may have come with the same frame.
            self._sounding, self._releasing, self._tell = False, True, (*self._tell, "released")

    def reset(self) -> None:
        """At rest."""
        self._sounding = self._releasing = False
        self._tell = ()
        self._go((), 0.0)

    def adopt(self, previous: AADSR) -> None:
        """Go on with the other's envelope."""
        self._go(previous._lines, previous._final)
        self._at = previous._at
        self._sounding, self._releasing = previous._sounding, previous._releasing
        self._tell = previous._tell

    def _go(self, lines: tuple[tuple[float, float, float, float], ...], final: float) -> None:
        """Lines (begin, end, first, last) in frames from now on, and where they end."""
        self._lines = lines
        self._final = final
        self._end = math.ceil(lines[-1][1]) if lines else 0
        self._at = 0
        point = np.array([final])
        to_factors(point, self.scale)
        self._steady = np.float32(point[0])

    def _level(self) -> float:
        """Set-point of the frame that is next."""
        for begin, end, first, last in self._lines:
            if begin <= self._at < end:
                return first + (self._at - begin) * (last - first) / (end - begin)
        return self._final
