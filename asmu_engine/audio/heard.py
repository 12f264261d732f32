"""Which nodes, and which of their channels, anybody hears, and to which sum they lead: the others need not run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeGuard

from asmu_engine.audio.graph import Graph
from asmu_engine.cores.sum import ASum
from asmu_engine.protocol.version import OUTPUTS_NODE
from asmu_engine.rt.acore import ACore
from asmu_engine.rt.stackable import Stackable

Port: TypeAlias = tuple[str, int]
"""A node, and one of its inputs or outputs."""


def is_stackable(core: ACore) -> TypeGuard[Stackable]:
    """Whether channels of the core may run elsewhere, or not at all."""
    return core.stacks and not core.alone


def heard_channels(graph: Graph, order: Iterable[str]) -> tuple[dict[str, set[int]], dict[Port, Port | None]]:
    """Of every node that must run the output channels that somebody reads; `order` is the run order.

    Outputs of the device, analyzers and whatever remembers its inputs hear all that they are connected to. A stackable effect
    hears a channel where its own is heard.

    Returns
    -------
    heard
        Channels by node.
    sums
        Of each output that is heard, the input of a sum to which it leads, if it leads to that alone, itself or through
        stackable effects. Empty where there are not several sums.
    """
    several = sum(type(core) is ASum for core in graph.cores.values()) > 1
    heard: dict[str, set[int]] = {}
    sums: dict[Port, Port | None] = {}
    for wire in graph.sources.get(OUTPUTS_NODE, {}).values():
        heard.setdefault(wire[0], set()).add(wire[1])
        sums[wire] = None
    for node in reversed(list(order)):
        core = graph.cores[node]
        sources = graph.sources.get(node, {})
        if core.stacks and not core.alone and core.idles:
            if sources:
                for channel in heard.get(node, ()):
                    if channel in sources:
                        wire = sources[channel]
                        heard.setdefault(wire[0], set()).add(wire[1])
                        if several:
                            sums[wire] = None if wire in sums else sums[node, channel]
        elif node in heard or not core.idles or core.stacks:
            heard.setdefault(node, set())
            adds = type(core) is ASum
            for port, wire in sources.items():
                heard.setdefault(wire[0], set()).add(wire[1])
                if several:
                    sums[wire] = (node, port) if adds and wire not in sums else None
    return heard, sums if several else {}
