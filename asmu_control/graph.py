"""The patch as a script built it: what an engine gets when it starts, and what ports and processors look themselves up in.

It checks what can be checked without an engine, so that a mistake is reported at the line that made it. What only
the engine can know (cycles, device channels, cores of plugins) the host checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from asmu_control.typing import Edit
from asmu_engine.protocol.catalogue import Kind
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import INPUTS_NODE, MAX_CHANNELS, OUTPUTS_NODE

Port = tuple[str, int]


@dataclass(frozen=True)
class Node:
    """One processor's core: its kind, number of ports and parameters as last set.

    It is replaced, never changed, parameters included: so copies of a graph share their nodes.
    """

    kind: Kind
    inputs: int
    outputs: int
    parameters: dict[str, Any]


class Graph:
    """Nodes by name, and for each connected input ``(node, port)`` the output that feeds it."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.sources: dict[Port, Port] = {}
        self._kinds: dict[str, Kind] = {}
        self._fed: dict[Port, dict[Port, None]] | None = {}  # the other way round; None until somebody asks a copy for it

    def declare(self, kind: Kind) -> None:
        """Make a kind known; every `add` needs it."""
        self._kinds[kind.name] = kind

    def node(self, name: str) -> Node:
        """The node of that name; PatchError unknown_node once it was removed."""
        try:
            return self.nodes[name]
        except KeyError:
            raise PatchError(
                f"{name} is not in the patch: it was disconnected; make a new processor", code="unknown_node", where=name
            ) from None

    def inputs_fed_by(self, output: Port) -> list[Port]:
        """Every input that this output feeds, in the order of connection."""
        return list(self._sinks().get(output, ()))

    def feeds(self, output: Port) -> bool:
        """Whether an output feeds any input."""
        return output in self._sinks()

    def check(self, edit: Edit) -> None:
        """PatchError unless `apply` may do this edit."""
        match edit["op"]:
            case "add":
                self._check_add(edit)
            case "resize":
                self._check_resize(edit)
            case "connect":
                self._check_connect(edit)
            case "set":
                self.node(edit["node"])
            case "disconnect":
                target = (edit["target"], edit["input"])
                if target not in self.sources:
                    raise PatchError(f"{describe(target, 'input')} is not connected", code="not_connected", where=edit["target"])
            case _:
                self.node(edit["node"])

    def apply(self, edit: Edit) -> None:
        """Do an edit that `check` passed."""
        match edit["op"]:
            case "add":
                kind = self._kinds[edit["kind"]]
                self.nodes[edit["node"]] = Node(kind, edit["inputs"], edit["outputs"], dict(edit["parameters"]))
            case "remove":
                self._remove(edit["node"])
            case "resize":
                node = self.nodes[edit["node"]]
                self.nodes[edit["node"]] = replace(node, inputs=edit["inputs"], outputs=edit["outputs"])
            case "connect":
                source, target = (edit["source"], edit["output"]), (edit["target"], edit["input"])
                self._sinks().setdefault(source, {})[target] = None
                self.sources[target] = source
            case "disconnect":
                self._cut((edit["target"], edit["input"]))
            case "set":
                node = self.nodes[edit["node"]]
                self.nodes[edit["node"]] = replace(node, parameters={**node.parameters, **edit["parameters"]})

    def edits(self) -> list[Edit]:
        """The whole patch as one transaction."""
        result: list[Edit] = [_add(name, node) for name, node in self.nodes.items()]
        for (target, port), (source, output) in self.sources.items():
            result.append({"op": "connect", "source": source, "output": output, "target": target, "input": port})
        return result

    def merged(self, edits: Iterable[Edit]) -> list[Edit]:
        """The same edits with what changed a node that they add folded into its `add`: fewer rings are made and thrown away.

        Call it after the edits were applied.
        """
        edits = list(edits)
        new = {edit["node"] for edit in edits if edit["op"] == "add"}
        new -= {edit["node"] for edit in edits if edit["op"] == "remove"}
        result: list[Edit] = []
        for edit in edits:
            if edit["op"] == "add" and edit["node"] in new:
                result.append(_add(edit["node"], self.nodes[edit["node"]]))
            elif not (edit["op"] in ("resize", "set") and edit["node"] in new):
                result.append(edit)
        return result

    def copy(self) -> Graph:
        """A copy to come back to; it costs a thousand nodes some ten microseconds, since it shares them."""
        other = Graph()
        other._kinds = self._kinds
        other.nodes = dict(self.nodes)
        other.sources = dict(self.sources)
        other._fed = None
        return other

    def _sinks(self) -> dict[Port, dict[Port, None]]:
        """The inputs that each output feeds, in the order of connection; only outputs that feed one are in it."""
        if self._fed is None:
            self._fed = {}
            for target, source in self.sources.items():
                self._fed.setdefault(source, {})[target] = None
        return self._fed

    def _cut(self, target: Port) -> None:
        """An input loses its source."""
        fed = self._sinks()
        source = self.sources.pop(target)
        del fed[source][target]
        if not fed[source]:
            del fed[source]

    def _remove(self, name: str) -> None:
        """A node goes with its connections."""
        node = self.nodes.pop(name)
        for index in range(node.inputs):
            if (name, index) in self.sources:
                self._cut((name, index))
        for index in range(node.outputs):
            for target in self.inputs_fed_by((name, index)):
                self._cut(target)

    def _check_add(self, edit: Edit) -> None:
        name = edit["node"]
        if name in self.nodes:
            raise PatchError(f"there is a node {name!r} already", code="duplicate_node", where=name)
        self._kinds[edit["kind"]].check_ports(edit["inputs"], edit["outputs"], name)

    def _check_resize(self, edit: Edit) -> None:
        name = edit["node"]
        node = self.node(name)
        node.kind.check_ports(edit["inputs"], edit["outputs"], name)
        for key, value in node.parameters.items():
            if isinstance(value, list):
                raise PatchError(
                    f"{name}.{key} has one value for each of its {len(value)} channels; "
                    "make it with as many values as channels, or set one value for all before you add a channel",
                    code="bad_value",
                    where=f"{name}.{key}",
                )

    def _check_connect(self, edit: Edit) -> None:
        source, target = (edit["source"], edit["output"]), (edit["target"], edit["input"])
        self._check_port(source, "output")
        self._check_port(target, "input")
        present = self.sources.get(target)
        if present is not None:
            raise PatchError(
                f"{describe(target, 'input')} is already fed by {describe(present, 'output')}; "
                "disconnect it first, or mix several signals with a Sum",
                code="port_in_use",
                where=edit["target"],
            )

    def _check_port(self, port: Port, side: str) -> None:
        name, index = port
        if name in (INPUTS_NODE, OUTPUTS_NODE):
            count = MAX_CHANNELS
        else:
            node = self.node(name)
            count = node.outputs if side == "output" else node.inputs
        if not 0 <= index < count:
            raise PatchError(f"{name} has {count} {side}s; there is no {side} {index}", code="unknown_port", where=name)


def describe(port: Port, side: str) -> str:
    """A port in words.

    >>> describe(("out", 0), "input"), describe(("sine1", 0), "output")
    ('output channel 1', 'output 0 of sine1')
    """
    name, index = port
    if name == INPUTS_NODE:
        return f"input channel {index + 1}"
    if name == OUTPUTS_NODE:
        return f"output channel {index + 1}"
    return f"{side} {index} of {name}"


def _add(name: str, node: Node) -> Edit:
    return {
        "op": "add",
        "node": name,
        "kind": node.kind.name,
        "inputs": node.inputs,
        "outputs": node.outputs,
        "parameters": dict(node.parameters),
    }
