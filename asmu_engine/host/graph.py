"""Nodes and their connections: what is there, and how it changes, each step with the way back."""

from __future__ import annotations

from collections.abc import Iterable

from asmu_engine.host.change import Change
from asmu_engine.host.node import Node, device_nodes
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import INPUTS_NODE, OUTPUTS_NODE


class Graph:
    """Nodes by name, those of the device among them, and how many `connections` there are between them."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = device_nodes()
        self.connections = 0

    def open_channels(self, inputs: Iterable[int] | None, outputs: Iterable[int] | None) -> None:
        """Note the device channels in use (from 1) while the device runs; None: any channel may be connected."""
        for name, channels in ((INPUTS_NODE, inputs), (OUTPUTS_NODE, outputs)):
            self.nodes[name].open_ports = None if channels is None else frozenset(channel - 1 for channel in channels)

    def used_channels(self) -> tuple[list[int], list[int]]:
        """Device input and output channels (from 1) that something is connected to."""
        inputs = {output + 1 for output in self.nodes[INPUTS_NODE].sinks.values()}
        outputs = {port + 1 for port in self.nodes[OUTPUTS_NODE].sources}
        return sorted(inputs), sorted(outputs)

    def find(self, name: str) -> Node:
        """The node of that name; PatchError ``unknown_node``."""
        try:
            return self.nodes[name]
        except KeyError:
            raise PatchError(f"there is no node {name!r} in the patch", code="unknown_node", where=name) from None

    def find_own(self, name: str) -> Node:
        """The node of that name, if it is not the device's; PatchError ``unknown_node``, ``bad_name``."""
        node = self.find(name)
        if node.reserved:
            raise PatchError(f"{name!r} stands for the device and cannot be edited, only connected", code="bad_name", where=name)
        return node

    def connect(self, source: Node, output: int, target: Node, port: int, change: Change) -> None:
        """Feed an input, which must be free, from an output."""
        change.do(lambda: self._plug(source, output, target, port), lambda: self._pull(target, port))

    def cut(self, target: Node, port: int, change: Change) -> None:
        """Take away what feeds an input, which must be fed."""
        name, output = target.sources[port]
        source = self.nodes[name]
        change.do(lambda: self._pull(target, port), lambda: self._plug(source, output, target, port))

    def unplug(self, node: Node, change: Change, inputs: int = 0, outputs: int = 0) -> None:
        """Cut the connections of a node from port `inputs` and `outputs` on; the audio process is told one by one."""
        ends = [(node, port) for port in node.sources if port >= inputs]
        ends += [
            (self.nodes[target], port)
            for (target, port), output in node.sinks.items()
            if output >= outputs and target != node.name
        ]
        ends += [
            (node, port)
            for (target, port), output in node.sinks.items()
            if output >= outputs and target == node.name and port < inputs
        ]
        for target, port in ends:
            self.cut(target, port, change)
            change.wire.append({"op": "disconnect", "target": target.name, "input": port})

    def _plug(self, source: Node, output: int, target: Node, port: int) -> None:
        target.sources[port] = (source.name, output)
        source.sinks[target.name, port] = output
        self.connections += 1

    def _pull(self, target: Node, port: int) -> None:
        source, _ = target.sources.pop(port)
        del self.nodes[source].sinks[target.name, port]
        self.connections -= 1
