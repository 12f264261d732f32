"""Whose nodes are whose, and which nodes and channels a client has for itself alone."""

from __future__ import annotations

from collections.abc import Sequence

from asmu_engine.host.clients import Client
from asmu_engine.protocol.edits import Edit


class Owners:
    """Owners of nodes, and leases."""

    def check(self, client: Client, edits: Sequence[Edit]) -> None:
        """AccessError ``leased`` when an edit touches what another client has leased; asked in the transaction's turn."""

    def kept(self, client: Client, edits: Sequence[Edit], keep: bool) -> None:
        """A transaction holds: note who owns what it added. `keep`: that outlives its owner."""
