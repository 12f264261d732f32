"""Frequency weighting A, C or Z."""

from __future__ import annotations

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.recursion import Recursion, from_sections
from asmu_engine.rt.weighting import sections


class AWeight(AEffect):
    """IEC 61672-1 class 1 frequency weighting, a causal filter of minimum phase without latency.

    Z passes the samples as they are. A weighting that is chosen while the node runs begins from rest.
    """

    kind = "weight"
    parameters = (Parameter("weight", type="choice", default="Z", choices=("Z", "A", "C"), doc="frequency weighting"),)

    weight: str

    def prepare(self) -> None:
        """Both filters, so that another weighting needs no preparation."""
        self._filters = {
            curve: Recursion(from_sections(sections(curve, self.setup.samplerate).tolist()), self.channels)
            for curve in ("A", "C")
        }

    def process(self, inputs: Block, outputs: Block) -> None:
        """Filter, or copy."""
        if self.weight == "Z":
            outputs[...] = inputs
        else:
            self._filters[self.weight].process(inputs, outputs)

    def changed(self, name: str) -> None:
        """The other weighting, from rest."""
        self.reset()

    def reset(self) -> None:
        """At rest."""
        for recursion in self._filters.values():
            recursion.reset()

    def adopt(self, previous: AWeight) -> None:
        """Channels that stay go on."""
        for curve, recursion in self._filters.items():
            recursion.adopt(previous._filters[curve])
