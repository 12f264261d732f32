"""Sine generator with a fixed-point phase: exact over days, the same however blocks are cut."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AGenerator, Block

_CYCLE = 2.0**64


class ASine(AGenerator):
    """Sine of amplitude 1, sin(2π·frequency·t + phase), with continuous phase when the frequency changes.

    The phase is an unsigned 64-bit fraction of a cycle: it advances by whole steps and wraps without error, so it
    neither drifts nor depends on block borders. A step is samplerate / 2⁶⁴, far below any resolution of interest.
    """

    kind = "sine"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("frequency", default=1000.0, unit="Hz", minimum=0.0, maximum=768_000.0, per_channel=True, doc="frequency"),
        Parameter("phase", default=0.0, unit="rad", minimum=-1e6, maximum=1e6, per_channel=True, doc="phase at the first frame"),
    )

    frequency: np.ndarray
    phase: np.ndarray

    def prepare(self) -> None:
        """Tables and scratch for a block."""
        frames, channels = self.setup.blocksize, self.channels
        self._count = np.arange(frames, dtype=np.uint64)
        self._turns = np.empty((frames, channels), dtype=np.uint64)
        self._ahead = np.empty((frames, channels), dtype=np.uint64)
        self._angle = np.empty((frames, channels), dtype=np.float64)
        self._step = np.empty(channels, dtype=np.uint64)
        self._now = np.empty(channels, dtype=np.uint64)
        self._advance = np.empty(channels, dtype=np.uint64)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """Each output from its own phase; one column serves all where they are alike."""
        frames = outputs.shape[0]
        if self._alike:
            # Scalars and one column: numpy broadcasts nothing and needs no buffer of its own.
            turns, angle = self._turns[:frames, 0], self._angle[:frames, 0]
            np.multiply(self._count[:frames], self._step[0], out=turns)
            np.add(turns, self._now[0], out=turns)
        else:
            turns, angle = self._turns[:frames], self._angle[:frames]
            # numpy broadcasts in assignments without a buffer of its own, in operations with one.
            turns[...] = self._now
            np.add(turns, self._ahead[:frames], out=turns)
        # As a signed number the fraction is in [-½, ½) cycles, where the sine is most exact.
        angle[...] = turns.view(np.int64)
        np.multiply(angle, 2 * np.pi / _CYCLE, out=angle)
        np.sin(angle, out=angle)
        outputs[...] = angle[:, None] if self._alike else angle
        np.multiply(self._step, np.uint64(frames), out=self._advance)
        np.add(self._now, self._advance, out=self._now)

    def changed(self, name: str) -> None:
        """A new frequency goes on from the present phase; a new phase shifts it at once."""
        if name == "phase":
            self._now += self._fraction(self.phase - self._phase_in_use)
            self._phase_in_use[:] = self.phase
        else:
            self._step[:] = self._fraction(self.frequency * (2 * np.pi / self.setup.samplerate))
        self._compare()

    def reset(self) -> None:
        """Back to the phase given."""
        self._step[:] = self._fraction(self.frequency * (2 * np.pi / self.setup.samplerate))
        self._now[:] = self._fraction(self.phase)
        self._phase_in_use = self.phase.copy()
        self._compare()

    def adopt(self, previous: ASine) -> None:
        """Channels that stay go on in phase; new ones join the first."""
        shared = min(self.channels, previous.channels)
        self._now[:] = previous._now[0]
        self._now[:shared] = previous._now[:shared]
        self._compare()

    def _compare(self) -> None:
        """Whether one column serves all; if not, how far each channel's phase is ahead in each frame of a block."""
        self._alike = bool((self._step == self._step[0]).all() and (self._now == self._now[0]).all())
        if not self._alike:
            self._turns[...] = self._count[:, None]
            self._ahead[...] = self._step
            np.multiply(self._ahead, self._turns, out=self._ahead)

    @staticmethod
    def _fraction(radians: np.ndarray) -> np.ndarray:
        turns = radians / (2 * np.pi)
        turns -= np.floor(turns)
        # Split so that no float64 near 2⁶⁴ overflows the integer: high and low 32 bits.
        high = np.floor(turns * 2.0**32)
        low = (turns * 2.0**32 - high) * 2.0**32
        return (high.astype(np.uint64) << np.uint64(32)) + low.astype(np.uint64)
