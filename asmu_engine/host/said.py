"""What the cores of the patch said of themselves last, for those who ask later."""

from __future__ import annotations

from typing import Any

from asmu_engine.host.patch import Patch
from asmu_engine.protocol.topic import Topic


class Said:
    """Of one engine."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._said: dict[str, dict[str, int]] = {}

    def happened(self, topic: Topic, fields: dict[str, Any]) -> None:
        """An event; see `Events.observe`."""
        if topic == "node" and fields.get("event") == "node":
            self._said.setdefault(str(fields["node"]), {})[str(fields["what"])] = int(fields["position"])

    def forget(self) -> None:
        """Other cores have taken the place of all."""
        self._said.clear()

    def facts(self) -> dict[str, dict[str, int]]:
        """By node in the patch: what its core said of itself, with the frame position at which it last did."""
        return {node: said for node, said in self._said.items() if node in self._patch.nodes}
