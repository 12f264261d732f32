"""Whether a transaction can be taken back as things are now: what it left must be there, or later work would be undone too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from asmu_engine.host.node import Node
from asmu_engine.host.past import WireEdit
from asmu_engine.protocol.errors import PatchError


def check_undo(
    nodes: Mapping[str, Node], done: Sequence[WireEdit], back: Sequence[WireEdit], blame: Callable[[str, str], str]
) -> None:
    """PatchError ``not_undoable`` when what a transaction left is no longer as it left it.

    Parameters
    ----------
    nodes
        The patch of now.
    done, back
        The edits of that transaction, and those that would take them back.
    blame
        Tells, for a node and one of its parameters or inputs (``"gain"``, ``"input 0"``) or ``""`` for the node as a whole, who
        touched it later, in words; empty where that is not known.
    """
    left = _Left(done)
    made = {edit["node"] for edit in done if edit["op"] == "add"}
    renewed: set[str] = set()
    for edit in back:
        what, part, problem = left.check(nodes, edit, renewed, made)
        if problem:
            by = blame(what, part)
            raise PatchError(f"{problem}{f'; {by}' if by else ''}", code="not_undoable", where=what)
        if edit["op"] in ("add", "remove"):
            renewed.add(edit["node"])


def touches(edit: Mapping[str, Any], node: str, part: str) -> bool:
    """Whether an edit concerns that parameter or input of a node, or, for an empty `part`, the node and its connections."""
    op = edit["op"]
    if op in ("connect", "disconnect"):
        if not part:
            return node in (edit["target"], edit.get("source"))
        return edit["target"] == node and part == f"input {edit['input']}"
    if edit["node"] != node or op == "call":
        return False
    return op != "set" or part in edit["parameters"] or not part


class _Left:
    """What a transaction left behind: the last value of each parameter, the source of each input, the size of each node."""

    def __init__(self, done: Iterable[WireEdit]) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._sources: dict[str, dict[int, tuple[str, int] | None]] = {}
        self._fed: dict[str, set[tuple[str, int]]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._kinds: dict[str, str] = {}
        for edit in done:
            getattr(self, "_" + edit["op"])(edit)

    def source(self, target: str, port: int) -> tuple[str, int] | None:
        """The source that it gave an input; None where it gave none."""
        return self._sources.get(target, {}).get(port)

    def check(self, nodes: Mapping[str, Node], edit: WireEdit, renewed: set[str], made: set[str]) -> tuple[str, str, str]:
        """For an edit that takes something back: node, part of it, and what is wrong with it; an empty text for nothing."""
        op = edit["op"]
        name = edit["target"] if op in ("connect", "disconnect") else edit["node"]
        node = nodes.get(name)
        if name in renewed or op == "add" or (op == "connect" and node is None):
            return name, "", ""  # what it needs is made by the edits before it, or the patch says what is missing
        if node is None:
            return name, "", f"node {name!r} is no longer there"
        if op == "set":
            return self._check_values(node, edit)
        if op == "disconnect":
            return self._check_source(node, edit["input"])
        if op == "resize":
            return self._check_size(node, edit)
        if op == "remove" and name in made:
            return self._check_whole(node)
        return name, "", ""

    def _check_values(self, node: Node, edit: WireEdit) -> tuple[str, str, str]:
        values = self._values.get(node.name, {})
        for name in edit["parameters"]:
            if name in values and node.parameters.get(name) != values[name]:
                return node.name, name, f"{node.name}.{name} has another value since"
        return node.name, "", ""

    def _check_source(self, node: Node, port: int) -> tuple[str, str, str]:
        wanted = self.source(node.name, port)
        problem = wanted is not None and node.sources.get(port) != wanted
        return node.name, f"input {port}", f"input {port} of {node.name} is connected otherwise since" if problem else ""

    def _check_size(self, node: Node, edit: WireEdit) -> tuple[str, str, str]:
        if self._sizes.get(node.name) not in (None, (node.inputs, node.outputs)):
            return node.name, "", f"{node.name} has another number of ports since"
        inputs, outputs = edit["inputs"], edit["outputs"]
        for port in node.sources:
            if port >= inputs and self.source(node.name, port) != node.sources[port]:
                return node.name, f"input {port}", f"input {port} of {node.name}, which would go, is connected since"
        for (target, port), output in node.sinks.items():
            if output >= outputs and self.source(target, port) != (node.name, output):
                return target, f"input {port}", f"output {output} of {node.name}, which would go, is connected since"
        return node.name, "", ""

    def _check_whole(self, node: Node) -> tuple[str, str, str]:
        """A node that would go must be the one that was made, and nobody may have connected it since."""
        if node.kind.name != self._kinds.get(node.name):
            return node.name, "", f"{node.name} is another node since, a {node.kind.name}"
        for port, source in node.sources.items():
            if self.source(node.name, port) != source:
                return node.name, f"input {port}", f"input {port} of {node.name}, which would go, is connected since"
        for (target, port), output in node.sinks.items():
            if self.source(target, port) != (node.name, output):
                return target, f"input {port}", f"{node.name}, which would go, feeds {target} since"
        return node.name, "", ""

    # -- what each edit leaves ----------------------------------------------------------------------------------------

    def _set(self, edit: WireEdit) -> None:
        self._values.setdefault(edit["node"], {}).update(edit["parameters"])

    def _call(self, edit: WireEdit) -> None:
        pass

    def _connect(self, edit: WireEdit) -> None:
        self._sources.setdefault(edit["target"], {})[edit["input"]] = (edit["source"], edit["output"])
        self._fed.setdefault(edit["source"], set()).add((edit["target"], edit["input"]))

    def _disconnect(self, edit: WireEdit) -> None:
        self._sources.setdefault(edit["target"], {})[edit["input"]] = None

    def _add(self, edit: WireEdit) -> None:
        self._kinds[edit["node"]] = edit["kind"]
        self._sizes[edit["node"]] = (edit["inputs"], edit["outputs"])

    def _resize(self, edit: WireEdit) -> None:
        # Values of one entry a channel are stretched, connections of ports that go are cut.
        self._values.pop(edit["node"], None)
        self._cut(edit["node"], edit["inputs"], edit["outputs"])
        self._sizes[edit["node"]] = (edit["inputs"], edit["outputs"])

    def _remove(self, edit: WireEdit) -> None:
        self._values.pop(edit["node"], None)
        self._cut(edit["node"], 0, 0)
        self._sizes.pop(edit["node"], None)

    def _cut(self, node: str, inputs: int, outputs: int) -> None:
        for port in [port for port in self._sources.get(node, {}) if port >= inputs]:
            del self._sources[node][port]
        for target, port in self._fed.get(node, ()):
            source, output = self.source(target, port) or ("", 0)
            if source == node and output >= outputs:
                del self._sources[target][port]
