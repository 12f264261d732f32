"""One node of the patch, with its connections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from asmu_engine.protocol.catalogue import NO_PORTS, Kind, Ports, Value
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import INPUTS_NODE, MAX_CHANNELS, OUTPUTS_NODE

_DEVICE_PORTS: Final = Ports(0, MAX_CHANNELS)
_INPUTS_KIND: Final = Kind(INPUTS_NODE, "generator", NO_PORTS, _DEVICE_PORTS, doc="input channels of the device")
_OUTPUTS_KIND: Final = Kind(OUTPUTS_NODE, "analyzer", _DEVICE_PORTS, NO_PORTS, doc="output channels of the device")


@dataclass
class Node:
    """One node.

    `parameters` are those that were ever given, in canonical form; the others have their kind's default.
    `sources`: input → (node, output). `sinks`: (node, input) → own output. They mirror each other. `open_ports` is
    None but for ``in`` and ``out`` while the device runs: then the ports whose channels are in use. `crashes`: how often the
    audio process died in its core, which is `left_out` after some times.
    """

    name: str
    kind: Kind
    inputs: int
    outputs: int
    parameters: dict[str, Value | None] = field(default_factory=dict)
    ring: str = ""
    sources: dict[int, tuple[str, int]] = field(default_factory=dict)
    sinks: dict[tuple[str, int], int] = field(default_factory=dict)
    open_ports: frozenset[int] | None = None
    crashes: int = 0
    left_out: bool = False

    @property
    def reserved(self) -> bool:
        """True for ``in`` and ``out``, which stand for the device."""
        return self.kind is _INPUTS_KIND or self.kind is _OUTPUTS_KIND

    @property
    def channels(self) -> int:
        """Entries that a per-channel parameter has."""
        return channels_of(self.inputs, self.outputs)

    def value(self, name: str) -> Value | None:
        """The value in force of one parameter."""
        if name in self.parameters:
            return self.parameters[name]
        return self.kind.parameter(name, self.name).default

    def values(self) -> dict[str, Value | None]:
        """All parameters, defaults included."""
        return {p.name: self.parameters.get(p.name, p.default) for p in self.kind.parameters}

    def breaks_cycles(self, blocksize: int) -> bool:
        """True when a cycle through this node is sound: nothing that it puts out depends on its input of the same block.

        Of a kind with ``frames`` (Delay) that holds from one block of delay on, on every channel.
        """
        if not self.kind.breaks_cycle:
            return False
        if not any(p.name == "frames" for p in self.kind.parameters):
            return True
        frames = self.value("frames")
        shortest = min(frames, default=0) if isinstance(frames, (list, tuple)) else frames
        return isinstance(shortest, (int, float)) and shortest >= blocksize

    def check_output(self, port: int) -> None:
        """PatchError unless there is such an output."""
        self._check_port(port, self.outputs, "output")

    def check_input(self, port: int) -> None:
        """PatchError unless there is such an input."""
        self._check_port(port, self.inputs, "input")

    def _check_port(self, port: int, count: int, side: str) -> None:
        if self.open_ports is not None and count:
            if port not in self.open_ports:
                channels = ", ".join(str(p + 1) for p in sorted(self.open_ports)) or "none"
                raise PatchError(
                    f"{self.name}: channel {port + 1} is not in use; the device runs with channels: {channels}. "
                    "Stop it and start it with this channel",
                    code="unknown_port",
                    where=f"{self.name}:{port}",
                )
        elif port >= count:
            has = f"{side}s 0 to {count - 1}" if count else f"no {side}s"
            raise PatchError(f"{self.name} has no {side} {port}; it has {has}", code="unknown_port", where=f"{self.name}:{port}")


def channels_of(inputs: int, outputs: int) -> int:
    """Channels of a node with so many ports: its outputs, or its inputs where it has no outputs."""
    return outputs or inputs


def device_nodes() -> dict[str, Node]:
    """The two nodes that are always there."""
    return {
        INPUTS_NODE: Node(INPUTS_NODE, _INPUTS_KIND, 0, MAX_CHANNELS),
        OUTPUTS_NODE: Node(OUTPUTS_NODE, _OUTPUTS_KIND, MAX_CHANNELS, 0),
    }


def find_cycle(nodes: dict[str, Node], suspects: Iterable[str], blocksize: int) -> list[str] | None:
    """A cycle through one of the `suspects` or downstream of them, as node names with the first repeated; None without one.

    A depth-first walk that visits each node and connection once, whatever the number of suspects. Nodes that
    break cycles are not walked through.
    """
    done: set[str] = set()
    for suspect in suspects:
        if suspect in done or suspect not in nodes or nodes[suspect].breaks_cycles(blocksize):
            continue
        path = {suspect: None}  # insertion order is the path
        stack: list[tuple[str, Any]] = [(suspect, iter(nodes[suspect].sinks))]
        while stack:
            name, sinks = stack[-1]
            for target, _ in sinks:
                if target in path:
                    names = list(path)
                    return [*names[names.index(target) :], target]
                if target not in done and not nodes[target].breaks_cycles(blocksize):
                    path[target] = None
                    stack.append((target, iter(nodes[target].sinks)))
                    break
            else:
                stack.pop()
                del path[name]
                done.add(name)
    return None
