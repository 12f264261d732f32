"""What a client has for itself alone: nodes, and output channels of the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from asmu_engine.host.clients import ENGINE, Client
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.edits import Add, Call, Connect, Disconnect, Edit, Remove, Resize, Set
from asmu_engine.protocol.errors import AccessError
from asmu_engine.protocol.version import OUTPUTS_NODE


class Leases:
    """Who holds what.

    An edit touches a leased node when it sets, calls, removes or resizes it, or when an input of it gets or loses a source, be
    it because that source goes. It touches a leased output channel when that gets or loses a source. To read a leased node's
    outputs touches nothing.
    """

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._nodes: dict[str, Client] = {}
        self._outputs: dict[int, Client] = {}

    def take(self, client: Client, nodes: Iterable[str], outputs: Iterable[int]) -> None:
        """All of these become this client's, or none: AccessError ``leased`` names what another holds, and who that is."""
        nodes, outputs = list(nodes), list(outputs)
        for node in nodes:
            self.check_node(client, node)
        for channel in outputs:
            self._check_channel(client, channel)
        self._nodes.update(dict.fromkeys(nodes, client))
        self._outputs.update(dict.fromkeys(outputs, client))

    def release(self, client: Client, nodes: Sequence[str], outputs: Sequence[int]) -> None:
        """These leases of this client end; with nothing named, all of them."""
        everything = not nodes and not outputs
        self._nodes = {n: holder for n, holder in self._nodes.items() if holder is not client or not (everything or n in nodes)}
        self._outputs = {
            c: holder for c, holder in self._outputs.items() if holder is not client or not (everything or c in outputs)
        }

    def forget(self, node: str) -> None:
        """A node is gone, and its lease with it."""
        self._nodes.pop(node, None)

    def of(self, client: Client) -> dict[str, Any]:
        """What one client holds: names of ``nodes``, numbers of ``outputs`` (from 1)."""
        return {
            "nodes": sorted(node for node, holder in self._nodes.items() if holder is client),
            "outputs": sorted(channel for channel, holder in self._outputs.items() if holder is client),
        }

    def holder(self, node: str) -> Client | None:
        """Who holds a node."""
        return self._nodes.get(node)

    def check(self, client: Client, edits: Iterable[Edit]) -> None:
        """AccessError ``leased`` when an edit touches what another client holds."""
        if client is ENGINE or not (self._nodes or self._outputs):
            return
        for edit in edits:
            for node, port in self._touched(edit):
                if node == OUTPUTS_NODE:
                    self._check_channel(client, port + 1)
                else:
                    self.check_node(client, node)

    def check_all(self, client: Client, *, outputs: bool) -> None:
        """AccessError ``leased`` when another client holds any node, or, with `outputs`, any output channel."""
        for node in self._nodes:
            self.check_node(client, node)
        for channel in self._outputs if outputs else ():
            self._check_channel(client, channel)

    def check_node(self, client: Client, node: str) -> None:
        """AccessError ``leased`` when another client holds that node."""
        holder = self._nodes.get(node)
        if holder is not None and holder is not client:
            raise _leased(f"node {node!r}", holder, node)

    def _check_channel(self, client: Client, channel: int) -> None:
        holder = self._outputs.get(channel)
        if holder is not None and holder is not client:
            raise _leased(f"output channel {channel}", holder, f"{OUTPUTS_NODE}:{channel - 1}")

    def _touched(self, edit: Edit) -> Iterator[tuple[str, int]]:
        """Nodes with the input concerned, or 0 where it is the whole node."""
        if isinstance(edit, (Connect, Disconnect)):
            yield edit.target, edit.input
        elif isinstance(edit, (Set, Call)):
            yield edit.node, 0
        elif isinstance(edit, (Remove, Resize)):
            yield edit.node, 0
            node = self._patch.nodes.get(edit.node)
            stay = edit.outputs if isinstance(edit, Resize) else 0
            if node is not None:
                yield from [(target, port) for (target, port), output in node.sinks.items() if output >= stay]
        else:
            assert isinstance(edit, Add)  # a node that is not there yet is nobody's


def _leased(what: str, holder: Client, where: str) -> AccessError:
    return AccessError(
        f"{what} is leased by {holder.label} ({holder.id}) for itself alone; try again when that has released it, or left",
        code="leased",
        where=where,
        retry=True,
    )
