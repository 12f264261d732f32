"""Requests that look at the patch."""

from __future__ import annotations

from typing import Any

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.lane import Lane
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.values import value_of
from asmu_engine.protocol import messages


class PatchHandlers:
    """Answers with the patch as the audio process runs it.

    Attributes
    ----------
    catalogue
        The kinds of core on the wire, once the audio process has told them.
    """

    def __init__(self, patch: Patch, lane: Lane, owners: Owners) -> None:
        self.catalogue: list[dict[str, Any]] = []
        self._patch = patch
        self._lane = lane
        self._owners = owners
        self.handlers: Handlers = {
            messages.GetPatch: self._get_patch,
            messages.GetValue: self._get_value,
            messages.GetCatalogue: lambda request, client, answer: answer({"kinds": self.catalogue}, None),
        }

    def facts(self) -> dict[str, Any]:
        """The patch as it is now, with the owner of each node."""
        return self._patch.wire(self._owners.all())

    def _get_patch(self, request: messages.GetPatch, client: Client, answer: Answer) -> None:
        self._lane.look(lambda: answer(self.facts(), None), answer)

    def _get_value(self, request: messages.GetValue, client: Client, answer: Answer) -> None:
        self._lane.look(lambda: answer(value_of(self._patch.nodes, request.node, request.parameter), None), answer)
