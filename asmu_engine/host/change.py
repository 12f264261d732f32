"""What one transaction does to the patch, in both directions: edits for the audio process, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asmu_engine.host.node import Node
from asmu_engine.protocol.catalogue import Value


@dataclass
class Change:
    """What became of one transaction: edits for the audio process, and how to take it back.

    `wire`: the edits in canonical form. `made`: nodes that need a new ring, with the wire edit that must name it and
    its channels. `dropped`: rings that nobody needs once the change holds. `later`: values to keep once it holds.
    """

    wire: list[dict[str, Any]] = field(default_factory=list)
    made: list[tuple[Node, dict[str, Any], int]] = field(default_factory=list)
    dropped: dict[str, None] = field(default_factory=dict)
    later: list[tuple[Node, dict[str, Value | None]]] = field(default_factory=list)
    undo: list[Callable[[], object]] = field(default_factory=list)
    suspects: dict[str, None] = field(default_factory=dict)

    def revert(self) -> None:
        """Take everything back, latest first."""
        while self.undo:
            self.undo.pop()()

    def commit(self) -> None:
        """Keep the parameter values of a `check`."""
        for node, values in self.later:
            node.parameters.update(values)


def add_edit(node: Node, parameters: dict[str, Value | None]) -> dict[str, Any]:
    """A node as the audio process adds it."""
    edit: dict[str, Any] = {
        "op": "add",
        "node": node.name,
        "kind": node.kind.name,
        "inputs": node.inputs,
        "outputs": node.outputs,
    }
    edit["parameters"] = parameters
    if node.kind.ring:
        edit["ring"] = node.ring
    return edit


def set_edit(node: Node, values: dict[str, Value | None]) -> dict[str, Any]:
    """Values of a node."""
    return {"op": "set", "node": node.name, "parameters": values}


def connect_edit(source: str, output: int, target: str, port: int) -> dict[str, Any]:
    """A connection."""
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}
