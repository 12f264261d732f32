"""Sine burst: a number of periods of a sine, ending on the exact sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.catalogue import Parameter, Value
from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.rt.oscillator import Oscillator, Tuned, tuned


class ASineBurst(AGenerator):
    """`periods` periods of a sine from the first frame or the last restart on, then silence.

    A channel's samples are sin(2π·frequency·n/samplerate + phase) for n·frequency/samplerate < periods. New parameters
    hold from the next start.
    """

    kind = "sineburst"
    parameters = (
        Parameter("frequency", default=1000.0, unit="Hz", minimum=1e-3, maximum=768_000.0, per_channel=True, doc="frequency"),
        Parameter("periods", default=1.0, minimum=0.0, maximum=1e9, per_channel=True, doc="length of a burst"),
        Parameter("phase", default=0.0, unit="rad", minimum=-1e6, maximum=1e6, per_channel=True, doc="phase at the first frame"),
    )
    calls = ("restart",)

    frequency: Tuned
    periods: NDArray[np.float64]
    phase: NDArray[np.float64]
    _at: int
    _shortest: int
    _longest: int
    _told: bool

    def convert(self, name: str, value: Value | None) -> Any:
        """A frequency comes with its tables."""
        converted = super().convert(name, value)
        return tuned(converted, self.setup.samplerate, self.setup.blocksize) if name == "frequency" else converted

    def prepare(self) -> None:
        """At the beginning."""
        self._oscillator = Oscillator(self.frequency, self.setup.blocksize)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """The sine, and zeros from each channel's end on."""
        frames, at = outputs.shape[0], self._at
        if at == 0:
            self.setup.context.notify(self.setup.node, "started")
        if at < self._longest:
            self._oscillator.process(outputs)
        self._at = at + frames
        if self._at > self._shortest:
            for end, columns in self._ends:
                if end < self._at:
                    outputs[max(end - at, 0) :, columns] = 0
        # A burst of no length ends with the block that would have begun it.
        if not self._told and self._at >= self._longest:
            self._told = True
            self.setup.context.notify(self.setup.node, "finished", max(self._longest - at, 0))

    def restart(self) -> None:
        """Begin a burst with the next frame."""
        self.reset()

    def reset(self) -> None:
        """Begin the first burst."""
        self._oscillator.reset(self.phase, self.frequency)
        self._at = 0
        self._told = False
        self._ends: list[tuple[int, slice]] = []
        for channel in range(self.channels):
            end = self._frames(channel)
            if self._ends and self._ends[-1][0] == end:
                self._ends[-1] = (end, slice(self._ends[-1][1].start, channel + 1))
            else:
                self._ends.append((end, slice(channel, channel + 1)))
        self._shortest = min(end for end, _ in self._ends)
        self._longest = max(end for end, _ in self._ends)

    def adopt(self, previous: ASineBurst) -> None:
        """All channels go on where the burst is; new ones are in phase with the first."""
        mine, theirs = self._oscillator, previous._oscillator
        shared = slice(min(self.channels, previous.channels))
        mine.join(theirs.phase_of(slice(0, 1)), slice(None))
        mine.carry(theirs, shared, shared)
        mine.carried()
        self._at, self._told = previous._at, previous._told

    def _frames(self, channel: int) -> int:
        """Least n with n·frequency/samplerate ≥ periods."""
        exact = float(self.periods[channel]) * self.setup.samplerate / float(self.frequency[channel])
        nearest = round(exact)
        # 5 periods of 1000 Hz at 48 kHz are 240 frames also where the division leaves a trace beyond.
        return nearest if abs(exact - nearest) <= 1e-9 + 1e-12 * exact else int(np.ceil(exact))
