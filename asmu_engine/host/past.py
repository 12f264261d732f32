"""The patch as the transactions that hold have left it, and what takes each of them back.

Not the patch itself: that shows what there was before a transaction and what there is after it, while each edit has to be taken
back to what it found itself, which may be the work of another edit of the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asmu_engine.host.change import connect_edit
from asmu_engine.host.node import Node, device_nodes
from asmu_engine.host.patch import Patch
from asmu_engine.host.values import stretched_values
from asmu_engine.protocol.catalogue import Value
from asmu_engine.protocol.edits import Add, Call, Connect, Disconnect, Edit, Remove, Resize, Set

WireEdit = dict[str, Any]


class Past:
    """Follows the patch, one transaction at a time, in the order in which they take effect.

    Attributes
    ----------
    nodes
        By name; their `parameters` as they were given, so that what is set again is what was set.
    """

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self.nodes: dict[str, Node] = device_nodes()
        self._steps: dict[type[Any], Callable[[Any, list[WireEdit]], None]] = {
            Add: self._add,
            Remove: self._remove,
            Resize: self._resize,
            Connect: self._connect,
            Disconnect: self._disconnect,
            Set: self._set,
            Call: lambda edit, back: None,
        }

    def follow(self, edits: Sequence[Edit]) -> list[WireEdit]:
        """Edits, as they stand on the wire, that take these back; those were found in order and now hold. None for calls."""
        back: list[WireEdit] = []  # to be done from its end
        for edit in edits:
            self._steps[type(edit)](edit, back)
        back.reverse()
        return back

    def align(self) -> None:
        """Begin again from the patch as it is."""
        self.nodes = device_nodes()
        for node in self._patch.nodes.values():
            if not node.reserved:
                self.nodes[node.name] = Node(node.name, node.kind, node.inputs, node.outputs, dict(node.parameters))
        for node in self._patch.nodes.values():
            for port, (source, output) in node.sources.items():
                self._plug(source, output, node.name, port)

    # -- one step an edit: each appends what takes it back, last things first ------------------------------------------

    def _add(self, edit: Add, back: list[WireEdit]) -> None:
        kind = self._patch.kinds[edit.kind]
        self.nodes[edit.node] = Node(edit.node, kind, edit.inputs, edit.outputs, dict(edit.parameters))
        back.append({"op": "remove", "node": edit.node})

    def _remove(self, edit: Remove, back: list[WireEdit]) -> None:
        node = self.nodes[edit.node]
        self._unplug(node, 0, 0, back)
        del self.nodes[edit.node]
        back.append(_add_edit(node, node.inputs, node.outputs, node.parameters))

    def _resize(self, edit: Resize, back: list[WireEdit]) -> None:
        node = self.nodes[edit.node]
        inputs, outputs, values = node.inputs, node.outputs, node.parameters
        stretched = stretched_values(node, edit.outputs or edit.inputs)
        lost = {name: values[name] for name, value in stretched.items() if _cut(values[name], value)}
        live = {parameter.name for parameter in node.kind.parameters if parameter.live}
        if lost.keys() - live:
            # What is fixed once the node exists can only be had again with a new node, and that has no connections yet.
            cut: list[WireEdit] = []
            self._unplug(node, edit.inputs, edit.outputs, cut)
            back += [*cut, *self._connections(node)]
            back.append(_add_edit(node, inputs, outputs, values))
            back.append({"op": "remove", "node": node.name})
        else:
            self._unplug(node, edit.inputs, edit.outputs, back)
            if lost:
                back.append({"op": "set", "node": node.name, "parameters": lost})
            back.append({"op": "resize", "node": node.name, "inputs": inputs, "outputs": outputs})
        node.inputs, node.outputs, node.parameters = edit.inputs, edit.outputs, {**values, **stretched}

    def _connect(self, edit: Connect, back: list[WireEdit]) -> None:
        self._plug(edit.source, edit.output, edit.target, edit.input)
        back.append({"op": "disconnect", "target": edit.target, "input": edit.input})

    def _disconnect(self, edit: Disconnect, back: list[WireEdit]) -> None:
        back.append(self._pull(edit.target, edit.input))

    def _set(self, edit: Set, back: list[WireEdit]) -> None:
        node = self.nodes[edit.node]
        values = node.parameters
        before = {name: values[name] if name in values else node.value(name) for name in edit.parameters}
        values.update(edit.parameters)
        back.append({"op": "set", "node": edit.node, "parameters": before})

    # -- pieces -------------------------------------------------------------------------------------------------------

    def _plug(self, source: str, output: int, target: str, port: int) -> None:
        self.nodes[target].sources[port] = (source, output)
        self.nodes[source].sinks[target, port] = output

    def _pull(self, target: str, port: int) -> WireEdit:
        source, output = self.nodes[target].sources.pop(port)
        del self.nodes[source].sinks[target, port]
        return connect_edit(source, output, target, port)

    def _unplug(self, node: Node, inputs: int, outputs: int, back: list[WireEdit]) -> None:
        """Cut its connections from port `inputs` and `outputs` on."""
        back += [self._pull(node.name, port) for port in list(node.sources) if port >= inputs]
        ends = [end for end, output in node.sinks.items() if output >= outputs]
        back += [self._pull(*end) for end in ends]

    def _connections(self, node: Node) -> list[WireEdit]:
        """Its connections as they are, each once."""
        edits = [connect_edit(source, output, node.name, port) for port, (source, output) in node.sources.items()]
        return edits + [connect_edit(node.name, output, *end) for end, output in node.sinks.items() if end[0] != node.name]


def _add_edit(node: Node, inputs: int, outputs: int, values: dict[str, Value | None]) -> WireEdit:
    edit = {"op": "add", "node": node.name, "kind": node.kind.name, "inputs": inputs, "outputs": outputs}
    return {**edit, "parameters": dict(values)}


def _cut(before: Value | None, after: Value | None) -> bool:
    """Whether a per-channel value lost entries that stretching it back would not restore."""
    if not isinstance(before, list) or not isinstance(after, list) or len(after) >= len(before):
        return False
    return not after or before[len(after) :] != after[-1:] * (len(before) - len(after))
