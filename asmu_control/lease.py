"""Nodes and output channels that are one client's alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from asmu_control.leaving import leave

if TYPE_CHECKING:
    from asmu_control.client import Client


class Lease:
    """What `Client.lease` gives: others cannot change these nodes and channels until `release`, or the end of ``with``.

    It also ends when the engine does not hear of the client for some seconds; `held` tells.

    Attributes
    ----------
    nodes
        Names of nodes.
    outputs
        Output channels of the device, from 1.
    """

    def __init__(self, client: Client, nodes: Sequence[str], outputs: Sequence[int]) -> None:
        self.nodes = tuple(nodes)
        self.outputs = tuple(outputs)
        self._client = client
        self._released = False

    def held(self) -> bool:
        """Ask the engine whether they still are this client's alone."""
        return not self._released and covers(self._client.clients(), self._client.id, self.nodes, self.outputs)

    def release(self) -> None:
        """Give them free; harmless when done before, and when the client is closed."""
        released, self._released = self._released, True
        if not released and not self._client.closed:
            self._client.release(self.nodes, self.outputs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self.release, error, "releasing the lease")

    def __repr__(self) -> str:
        return f"<Lease of {', '.join([*self.nodes, *(f'output {channel}' for channel in self.outputs)])}>"


def leased(nodes: Sequence[str], outputs: Sequence[int]) -> dict[str, Any]:
    """The request; ValueError for none at all, or for one that is not in a list."""
    if isinstance(nodes, str) or not hasattr(outputs, "__iter__"):
        raise ValueError(f"nodes={nodes!r}, outputs={outputs!r}: give lists, as nodes=['gain1'], outputs=[1, 2]")
    if not nodes and not outputs:
        raise ValueError("nothing to lease: name nodes or output channels, as nodes=['gain1'], outputs=[1, 2]")
    return {"type": "lease", "nodes": list(nodes), "outputs": list(outputs)}


def covers(clients: Iterable[Mapping[str, Any]], identifier: str, nodes: Iterable[str], outputs: Iterable[int]) -> bool:
    """Whether a client has leased all of these, by what the status says of the clients."""
    leases = next((client["leases"] for client in clients if client["id"] == identifier), None)
    return leases is not None and set(nodes) <= set(leases["nodes"]) and set(outputs) <= set(leases["outputs"])
