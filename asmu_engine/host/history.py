"""The last transactions, with what undoes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asmu_engine.host.clients import Client
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.edits import Edit

Inverse = list[dict[str, Any]]


class History:
    """What was done to the patch, by whom, when."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch

    def inverse(self, edits: Sequence[Edit]) -> Inverse:
        """Edits that take these back; asked before they are applied, and never for a transaction that is refused."""
        return []

    def kept(self, client: Client, revision: int, at: int, edits: Sequence[Edit], inverse: Inverse) -> None:
        """A transaction holds from frame position `at`."""
