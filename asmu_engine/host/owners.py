"""Whose nodes are whose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from asmu_engine.host.clients import ENGINE, Client
from asmu_engine.host.leases import Leases
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.edits import Add, Edit, Remove
from asmu_engine.protocol.errors import AccessError, PatchError
from asmu_engine.protocol.request import allows
from asmu_engine.protocol.version import MAX_CHANNELS


class Owners:
    """Owners of nodes, and what they may do to those of others.

    Parameters
    ----------
    present
        The client of an id, as long as it has not left.
    """

    def __init__(self, patch: Patch, leases: Leases, present: Callable[[str], Client | None]) -> None:
        self._patch = patch
        self._leases = leases
        self._present = present
        self._owners: dict[str, str] = {}
        self._nodes: dict[str, dict[str, None]] = {}

    def check(self, client: Client, edits: Sequence[Edit]) -> None:
        """AccessError ``leased`` when an edit touches what another client has leased; asked in the transaction's turn."""
        self._leases.check(client, edits)

    def kept(self, client: Client, edits: Sequence[Edit], keep: bool) -> None:
        """A transaction holds: note who owns what it added. `keep`: that outlives its owner."""
        removed: set[str] = set()
        for edit in edits:
            if isinstance(edit, Add):
                self._give(edit.node, "" if keep or client is ENGINE else client.id)
                removed.discard(edit.node)
            elif isinstance(edit, Remove):
                self._give(edit.node, "")
                removed.add(edit.node)
        for node in removed:
            self._leases.forget(node)

    def owner(self, node: str) -> str:
        """Id of the client that a node belongs to; empty for none."""
        return self._owners.get(node, "")

    def of(self, identifier: str) -> list[str]:
        """The nodes of one client, the oldest first."""
        return list(self._nodes.get(identifier, ()))

    def all(self) -> dict[str, str]:
        """Every node that has an owner, with that client's id."""
        return dict(self._owners)

    def gone(self) -> list[str]:
        """Ids of the owners that have left."""
        return [identifier for identifier in self._nodes if self._present(identifier) is None]

    def pass_on(self, node: str) -> None:
        """The owner of a leased node has left: it belongs to who holds the lease."""
        holder = self._leases.holder(node)
        if holder is not None:
            self._give(node, holder.id)

    def lease(self, client: Client, nodes: Sequence[str], outputs: Sequence[int]) -> None:
        """Nodes and output channels (from 1) become this client's alone, all or none.

        Raises
        ------
        AccessError
            ``leased``: another client holds one; ``not_allowed``: a node is that of another client which is there, and this
            one is no admin.
        PatchError
            ``unknown_node``, ``bad_name``: there is no such node, or it stands for the device.
        """
        for name in nodes:
            node = self._patch.nodes.get(name)
            if node is None:
                raise PatchError(f"there is no node {name!r} in the patch to lease", code="unknown_node", where=name)
            if node.reserved:
                raise PatchError(
                    f"{name!r} stands for the device; lease output channels by their numbers, 1 to {MAX_CHANNELS}, in `outputs`",
                    code="bad_name",
                    where=name,
                )
        self._check_lease(client, nodes)
        self._leases.take(client, nodes, outputs)

    def _check_lease(self, client: Client, nodes: Iterable[str]) -> None:
        for name in nodes:
            self._leases.check_node(client, name)  # who holds it says more than whose it is
            owner = self._present(self.owner(name))
            if owner is not None and owner is not client and not allows(client.role, "admin"):
                raise AccessError(
                    f"node {name!r} belongs to {owner.label} ({owner.id}); that client or an admin can lease it",
                    code="not_allowed",
                    where=name,
                )

    def _give(self, node: str, identifier: str) -> None:
        before = self._owners.pop(node, "")
        if before:
            of_before = self._nodes[before]
            del of_before[node]
            if not of_before:
                del self._nodes[before]
        if identifier:
            self._owners[node] = identifier
            self._nodes.setdefault(identifier, {})[node] = None
