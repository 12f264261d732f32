"""The patch: what the clients have built. Edits are checked here, all or nothing, before any process hears of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from asmu_engine.host.change import Change, Step, add_edit, connect_edit, set_edit
from asmu_engine.host.graph import Graph
from asmu_engine.host.node import Node, channels_of, find_cycle
from asmu_engine.host.values import checked_values, shown_values, stretched_values
from asmu_engine.protocol.catalogue import Kind, Value
from asmu_engine.protocol.edits import Add, Call, Connect, Disconnect, Edit, Remove, Resize, Set
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_NODES

MAX_CONNECTIONS: Final = 131_072
"""Most connections that a patch may hold."""


class Patch(Graph):
    """Nodes and connections, with the checks of every edit.

    A transaction either changes structure, then `apply` changes the patch and returns how to take that back; or it
    only sets parameters and makes calls, then `check` changes nothing and `Change.redo` does. So any number of
    the latter can be on their way to the audio process while the patch still shows what it really runs: the present, also while
    the audio process has transactions for frames to come.
    """

    def __init__(self, catalogue: Iterable[Kind], blocksize: int) -> None:
        super().__init__()
        self.kinds: dict[str, Kind] = {kind.name: kind for kind in catalogue}
        self.blocksize = blocksize
        self.revision = 0
        self._steps: dict[type[Any], Callable[[Any, Change], None]] = {
            Add: self._add,
            Remove: self._remove,
            Resize: self._resize,
            Connect: self._connect,
            Disconnect: self._disconnect,
            Set: self._set,
            Call: self._call,
        }

    def structural(self, edits: Sequence[Edit]) -> bool:
        """True unless the edits are only calls and values of parameters on which no structure depends."""
        return not all(isinstance(edit, Call) or (isinstance(edit, Set) and not self._orders(edit.node)) for edit in edits)

    def apply(self, edits: Sequence[Edit]) -> Change:
        """Do all edits, or raise the PatchError of the first that cannot be done, the patch being as before."""
        change = Change()
        try:
            self._run(edits, self._steps, change)
            cycle = find_cycle(self.nodes, change.suspects, self.blocksize)
            if cycle:
                raise PatchError(
                    f"these connections would form a cycle: {' → '.join(cycle)}; "
                    f"lead it through a Delay of at least one block ({self.blocksize} frames)",
                    code="cycle",
                    where=cycle[0],
                )
        except BaseException:
            change.revert()
            raise
        return change

    def check(self, edits: Sequence[Edit]) -> Change:
        """Check edits that are not `structural`; nothing changes before `Change.redo`."""
        change = Change()
        self._run(edits, {Set: self._check_set, Call: self._call}, change)
        return change

    def wire(self, owners: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The patch as plain data; connections as [source, output, target, input], of large arrays their type and shape only.

        `owners`: of nodes that go with a client, the client's id.
        """
        own = [node for node in self.nodes.values() if not node.reserved]
        return {
            "revision": self.revision,
            "nodes": {
                node.name: {
                    "kind": node.kind.name,
                    "inputs": node.inputs,
                    "outputs": node.outputs,
                    "parameters": shown_values(node.values()),
                    "ring": node.ring,
                    "owner": owners.get(node.name, "") if owners else "",
                }
                for node in own
            },
            "connections": [
                [source, output, node.name, port]
                for node in self.nodes.values()
                for port, (source, output) in sorted(node.sources.items())
            ],
        }

    def replay(self) -> list[dict[str, Any]]:
        """Edits, as the audio process takes them, that rebuild this patch from nothing."""
        edits: list[dict[str, Any]] = []
        for node in self.nodes.values():
            if not node.reserved:
                # Live arrays follow one by one: together they might pass what one message may hold.
                live = {p.name for p in node.kind.parameters if p.live and p.type == "array"}
                edit = add_edit(node, {k: v for k, v in node.parameters.items() if k not in live})
                edits.append({**edit, "left_out": True} if node.left_out else edit)
                edits += [set_edit(node, {k: v}) for k, v in node.parameters.items() if k in live]
        edits += [connect_edit(s, o, node.name, i) for node in self.nodes.values() for i, (s, o) in sorted(node.sources.items())]
        return edits

    # -- one step an edit -----------------------------------------------------------------------------------------

    def _run(self, edits: Sequence[Edit], steps: dict[type[Any], Callable[[Any, Change], None]], change: Change) -> None:
        for index, edit in enumerate(edits):
            try:
                steps[type(edit)](edit, change)
            except PatchError as error:
                if len(edits) == 1:
                    raise
                raise PatchError(f"edit {index}: {error.message}", code=error.code, where=error.where) from None

    def _add(self, edit: Add, change: Change) -> None:
        name = edit.node
        if name in self.nodes:
            what = (
                "is the device's own node" if self.nodes[name].reserved else f"is already there, a {self.nodes[name].kind.name}"
            )
            raise PatchError(f"node {name!r} {what}; choose another name", code="duplicate_node", where=name)
        kind = self.kinds.get(edit.kind)
        if kind is None:
            known = ", ".join(sorted(self.kinds)) or "none"
            raise PatchError(
                f"there is no kind {edit.kind!r}; this engine knows: {known}. Cores of your own are named to the engine "
                "at its start (plugins)",
                code="unknown_kind",
                where=name,
            )
        if len(self.nodes) >= MAX_NODES:
            raise PatchError(f"the patch has {MAX_NODES} nodes, which is the limit", code="patch_too_large", where=name)
        kind.check_ports(edit.inputs, edit.outputs, name)
        node = Node(name, kind, edit.inputs, edit.outputs)
        node.parameters = checked_values(kind, edit.parameters, node.channels, name, new=True)
        change.do(lambda: self.nodes.__setitem__(name, node), lambda: self.nodes.pop(name))
        wire = add_edit(node, node.parameters)
        change.wire.append(wire)
        if kind.ring:
            change.made.append((node, wire, node.channels))

    def _remove(self, edit: Remove, change: Change) -> None:
        node = self.find_own(edit.node)
        self.unplug(node, change)
        change.do(lambda: self.nodes.pop(node.name), lambda: self.nodes.__setitem__(node.name, node))
        if node.ring:
            change.dropped[node.ring] = None
        change.wire.append({"op": "remove", "node": node.name})

    def _resize(self, edit: Resize, change: Change) -> None:
        node = self.find_own(edit.node)
        node.kind.check_ports(edit.inputs, edit.outputs, node.name)
        ports = node.inputs, node.outputs
        before: list[tuple[int, int, dict[str, Value | None], str]] = []
        self.unplug(node, change, edit.inputs, edit.outputs)
        wire: dict[str, Any] = {"op": "resize", "node": node.name, "inputs": edit.inputs, "outputs": edit.outputs}
        change.wire.append(wire)
        stretched = stretched_values(node, channels_of(edit.inputs, edit.outputs))

        def do() -> None:
            before.append((node.inputs, node.outputs, node.parameters, node.ring))
            node.inputs, node.outputs, node.parameters = edit.inputs, edit.outputs, {**node.parameters, **stretched}
            node.ring = wire.get("ring", node.ring)

        def undo() -> None:
            node.inputs, node.outputs, node.parameters, node.ring = before.pop()

        change.do(do, undo)
        live = {p.name for p in node.kind.parameters if p.live}
        if stretched.keys() & live:
            change.wire.append(set_edit(node, {k: v for k, v in stretched.items() if k in live}))
        if node.kind.ring and (edit.inputs, edit.outputs) != ports:
            # A ring cannot change its channels, so the node gets another.
            change.made.append((node, wire, node.channels))

    def _connect(self, edit: Connect, change: Change) -> None:
        source, target = self.find(edit.source), self.find(edit.target)
        source.check_output(edit.output)
        target.check_input(edit.input)
        present = target.sources.get(edit.input)
        if present is not None:
            raise PatchError(
                f"input {edit.input} of {target.name} is connected to output {present[1]} of {present[0]}; "
                "disconnect it first, or mix the two with a Sum",
                code="port_in_use",
                where=f"{target.name}:{edit.input}",
            )
        if self.connections >= MAX_CONNECTIONS:
            raise PatchError(
                f"the patch has {MAX_CONNECTIONS} connections, which is the limit", code="patch_too_large", where=target.name
            )
        self.connect(source, edit.output, target, edit.input, change)
        change.suspects[target.name] = None
        change.wire.append(connect_edit(source.name, edit.output, target.name, edit.input))

    def _disconnect(self, edit: Disconnect, change: Change) -> None:
        target = self.find(edit.target)
        if edit.input not in target.sources:
            if not target.reserved:
                target.check_input(edit.input)
            raise PatchError(
                f"input {edit.input} of {target.name} is not connected", code="not_connected", where=f"{target.name}:{edit.input}"
            )
        self.cut(target, edit.input, change)
        change.wire.append({"op": "disconnect", "target": target.name, "input": edit.input})

    def _set(self, edit: Set, change: Change) -> None:
        node, values = self._settable(edit)
        change.do(*_setting(node, values))
        if node.kind.breaks_cycle:
            change.suspects[node.name] = None
        change.wire.append(set_edit(node, values))

    def _check_set(self, edit: Set, change: Change) -> None:
        node, values = self._settable(edit)
        change.step(*_setting(node, values))
        change.wire.append(set_edit(node, values))

    def _call(self, edit: Call, change: Change) -> None:
        node = self.find_own(edit.node)
        if edit.call not in node.kind.calls:
            known = ", ".join(node.kind.calls) or "none"
            raise PatchError(
                f"{node.name}: {node.kind.name} has no call {edit.call!r}; it has: {known}", code="unknown_call", where=node.name
            )
        change.wire.append({"op": "call", "node": node.name, "call": edit.call})

    # -- pieces ---------------------------------------------------------------------------------------------------

    def _settable(self, edit: Set) -> tuple[Node, dict[str, Value | None]]:
        node = self.find_own(edit.node)
        return node, checked_values(node.kind, edit.parameters, node.channels, node.name, new=False)

    def _orders(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].kind.breaks_cycle


def _setting(node: Node, values: dict[str, Value | None]) -> tuple[Step, Step]:
    """How to set values and to take that back; what others set meanwhile stays."""
    before: list[dict[str, Value | None]] = []

    def do() -> None:
        before.append(node.parameters)
        node.parameters = {**node.parameters, **values}

    def undo() -> None:
        node.parameters = before.pop()

    return do, undo
