"""What stands in the graph for a core that is left out: the same ports, and silence."""

from __future__ import annotations

from typing import Any, Final

from asmu_engine.rt.acore import ACore, ADelayLine, AEffect, Block
from asmu_engine.rt.context import Setup

_ENDLESS: Final = 2**62


class StandIn(AEffect):
    """Silent. `replaces`: the kind that the node is of."""

    replaces = ""

    def process(self, inputs: Block, outputs: Block) -> None:
        """Nothing is heard of it."""
        outputs.fill(0)


class DelayStandIn(StandIn, ADelayLine):
    """The same for a kind through which cycles may pass: what it puts out still does not depend on what goes in."""

    def shortest(self, name: str = "", value: Any = None) -> int:
        """So long that any cycle through it stays sound."""
        return _ENDLESS

    def emit(self, outputs: Block) -> None:
        """Silence."""
        outputs.fill(0)

    def absorb(self, inputs: Block) -> None:
        """Nothing is kept."""


def stand_in(kind: type[ACore], setup: Setup) -> StandIn:
    """A stand-in for a core of that kind; none of the kind's own code runs."""
    core = (DelayStandIn if issubclass(kind, ADelayLine) else StandIn)(setup, {})
    core.replaces = kind.kind
    return core
