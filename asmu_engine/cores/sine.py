"""Sine generator."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.catalogue import Parameter, Value
from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.rt.oscillator import Oscillator, Tuned, tuned
from asmu_engine.rt.stackable import ALL, Columns, Stackable
from asmu_engine.rt.stretches import WeightedSum


class ASine(Stackable, AGenerator):
    """Sine of amplitude 1, sin(2π·frequency·t + phase), with continuous phase when the frequency changes."""

    kind = "sine"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("frequency", default=1000.0, unit="Hz", minimum=0.0, maximum=768_000.0, per_channel=True, doc="frequency"),
        Parameter("phase", default=0.0, unit="rad", minimum=-1e6, maximum=1e6, per_channel=True, doc="phase at the first frame"),
    )
    remembered: ClassVar[tuple[str, ...]] = ("_phase_in_use",)

    frequency: Tuned
    phase: NDArray[np.float64]

    def convert(self, name: str, value: Value | None) -> Any:
        """A frequency comes with its tables."""
        converted = super().convert(name, value)
        return tuned(converted, self.setup.samplerate, self.setup.blocksize) if name == "frequency" else converted

    def prepare(self) -> None:
        """At the phase given."""
        self._phase_in_use = np.empty(self.channels, dtype=np.float64)
        self._oscillator = Oscillator(self.frequency, self.setup.blocksize)
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """Each output from its own phase."""
        self._oscillator.process(outputs)

    def weighted_sum(self) -> WeightedSum:
        """For `mix`."""
        return WeightedSum(self._oscillator)

    def mix(self, outputs: Block, mixture: WeightedSum) -> None:
        """In place of `process`: the sum of all outputs on every channel of `outputs`."""
        self._oscillator.play(outputs, mixture)

    def put(self, name: str, value: Any, columns: Columns, channels: Columns) -> None:
        """A frequency brings its tables."""
        super().put(name, value, columns, channels)
        if name == "frequency":
            self._oscillator.tune(value, columns, channels)

    def changed(self, name: str) -> None:
        """The same, where the value is this core's own."""
        if name == "frequency":
            self._oscillator.tune(self.frequency, ALL, ALL)
        self.changed_at(name, ALL)

    def changed_at(self, name: str, columns: Columns) -> None:
        """A new frequency goes on from the present phase; a new phase shifts it at once."""
        if name == "phase":
            self._oscillator.shift(self.phase[columns] - self._phase_in_use[columns], columns)
            self._phase_in_use[columns] = self.phase[columns]
        self._oscillator.compare()

    def reset(self) -> None:
        """Back to the phase given."""
        self._oscillator.reset(self.phase)
        self._phase_in_use[:] = self.phase

    def skip(self, frames: int) -> None:
        """The phase goes on unheard."""
        self._oscillator.skip(frames)

    def carry(self, previous: ASine, mine: Columns, theirs: Columns) -> None:
        """Channels go on in phase."""
        super().carry(previous, mine, theirs)
        self._oscillator.carry(previous._oscillator, mine, theirs)

    def carried(self) -> None:
        """With their tables."""
        self._oscillator.carried()

    def join(self, previous: ASine, mine: Columns, theirs: int) -> None:
        """New channels are in phase with the first."""
        self._oscillator.join(previous._oscillator.phase_of(slice(theirs, theirs + 1)), mine)
