"""Frequency weighting A, C or Z."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.recursion import Recursion, from_sections
from asmu_engine.rt.stackable import ALL, Columns, Stackable
from asmu_engine.rt.weighting import sections

_CURVES: Final = ("Z", "A", "C")


class AWeight(Stackable, AEffect):
    """IEC 61672-1 class 1 frequency weighting, a causal filter of minimum phase without latency.

    Z passes the samples as they are. Another weighting that is chosen while the node runs begins from rest.
    """

    kind = "weight"
    parameters = (Parameter("weight", type="choice", default="Z", choices=_CURVES, doc="frequency weighting"),)
    idles: ClassVar[bool] = False  # a filter remembers what it heard
    early: ClassVar[bool] = False

    weight: str

    def prepare(self) -> None:
        """Both filters, so that another weighting needs no preparation."""
        self._filters = {
            curve: Recursion(from_sections(sections(curve, self.setup.samplerate).tolist()), self.channels)
            for curve in ("A", "C")
        }
        self._curve = np.full(self.channels, _CURVES.index(self.weight))
        self._filtered = self.setup.context.scratch("weight", (self.setup.blocksize, self.channels), np.float32)
        self.carried()

    def process(self, inputs: Block, outputs: Block) -> None:
        """Filter, or copy; channels of several weightings are filtered by each, and picked."""
        if len(self._used) == 1:
            curve = self._used[0][0]
            if curve == "Z":
                outputs[...] = inputs
            else:
                self._filters[curve].process(inputs, outputs)
            return
        for curve, those in self._used:
            picked = inputs
            if curve != "Z":
                picked = self._filtered[: len(inputs)]
                self._filters[curve].process(inputs, picked)
            np.copyto(outputs, picked, where=those)

    def put(self, name: str, value: Any, columns: Columns, channels: Columns) -> None:
        """Channels that had another weighting begin from rest."""
        new = _CURVES.index(value)
        other = np.arange(self.channels)[columns][self._curve[columns] != new]
        self._curve[other] = new
        for recursion in self._filters.values():
            recursion.rest(other)

    def changed(self, name: str) -> None:
        """The same, of all."""
        self.put(name, self.weight, ALL, ALL)
        self.carried()

    def changed_at(self, name: str, columns: Columns) -> None:
        """Find out which weighting has which channels."""
        self.carried()

    def reset(self) -> None:
        """At rest."""
        for recursion in self._filters.values():
            recursion.reset()

    def carry_values(self, previous: AWeight, mine: Columns, theirs: Columns) -> None:
        """The weighting."""
        self._curve[mine] = previous._curve[theirs]

    def carry(self, previous: AWeight, mine: Columns, theirs: Columns) -> None:
        """The states of both filters; at rest where the weighting is another, whose filter may have run for neighbours."""
        other = np.arange(self.channels)[mine][self._curve[mine] != previous._curve[theirs]]
        for curve, recursion in self._filters.items():
            recursion.carry(previous._filters[curve], mine, theirs)
            recursion.rest(other)

    def carried(self) -> None:
        """Which weighting has which channels."""
        self._used = [(_CURVES[curve], self._curve == curve) for curve in np.unique(self._curve).tolist()]
