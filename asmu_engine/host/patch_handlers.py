"""Requests that look at the patch."""

from __future__ import annotations

from typing import Any

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.lane import Lane
from asmu_engine.host.patch import Patch
from asmu_engine.protocol import messages


class PatchHandlers:
    """Answers with the patch as the audio process runs it.

    Attributes
    ----------
    catalogue
        The kinds of core on the wire, once the audio process has told them.
    """

    def __init__(self, patch: Patch, lane: Lane) -> None:
        self.catalogue: list[dict[str, Any]] = []
        self._patch = patch
        self._lane = lane
        self.handlers: Handlers = {
            messages.GetPatch: self._get_patch,
            messages.GetCatalogue: lambda request, client, answer: answer({"kinds": self.catalogue}, None),
        }

    def _get_patch(self, request: messages.GetPatch, client: Client, answer: Answer) -> None:
        self._lane.in_turn(lambda: answer(self._patch.wire(), None), answer)
