"""What one transaction does to the patch, in both directions: edits for the audio process, the way there and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asmu_engine.host.node import Node
from asmu_engine.protocol.catalogue import Value

Step = Callable[[], object]


@dataclass
class Change:
    """What became of one transaction: edits for the audio process, and how to do it and take it back, any number of times.

    `wire`: the edits in canonical form. `made`: nodes that need a new ring, with the wire edit that must name it and
    its channels. `dropped`: rings that nobody needs once the change holds. `done`: the patch is as the change makes it.
    """

    wire: list[dict[str, Any]] = field(default_factory=list)
    made: list[tuple[Node, dict[str, Any], int]] = field(default_factory=list)
    dropped: dict[str, None] = field(default_factory=dict)
    suspects: dict[str, None] = field(default_factory=dict)
    done: bool = False
    _steps: list[tuple[Step, Step]] = field(default_factory=list)

    def step(self, do: Step, undo: Step) -> None:
        """One step: to be done by `redo`, and taken back by `revert`."""
        self._steps.append((do, undo))

    def do(self, do: Step, undo: Step) -> None:
        """One step, done here and now."""
        do()
        self.done = True
        self._steps.append((do, undo))

    def revert(self) -> None:
        """Take everything back, latest first; harmless where nothing is done."""
        if self.done:
            self.done = False
            for _, undo in reversed(self._steps):
                undo()

    def redo(self) -> None:
        """Do everything, also when only values have changed since it was worked out; harmless where it is done."""
        if not self.done:
            self.done = True
            for do, _ in self._steps:
                do()


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
