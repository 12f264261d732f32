"""Transactions: checked against the patch, taken by the audio process, then kept, or taken back as if never sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from asmu_engine.host.change import Change
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.events import Events
from asmu_engine.host.history import History, Inverse
from asmu_engine.host.lane import Lane
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.protocol.errors import AsmuError, EngineError
from asmu_engine.protocol.messages import Transaction

_log = logging.getLogger(__name__)


class Transactions:
    """Leads every transaction through its steps.

    Parameters
    ----------
    ask_audio
        Sends a request to the audio process; raises AsmuError when there is none.
    on_drop
        Called with the name of each ring before it is removed.
    """

    def __init__(
        self,
        *,
        patch: Patch,
        rings: Rings,
        lane: Lane,
        events: Events,
        owners: Owners,
        history: History,
        ask_audio: Callable[[dict[str, Any], Answer], None],
        on_drop: Callable[[str], None],
    ) -> None:
        self._patch = patch
        self._rings = rings
        self._lane = lane
        self._events = events
        self._owners = owners
        self._history = history
        self._ask_audio = ask_audio
        self._on_drop = on_drop

    def submit(self, request: Transaction, client: Client, size: int, answer: Answer) -> None:
        """Do the transaction in its turn; `answer` gets revision, position and the names of new rings."""
        self._lane.submit(
            lambda done: self._begin(request, client, answer, done),
            alone=lambda: self._patch.structural(request.edits),
            size=size,
        )

    def _begin(self, request: Transaction, client: Client, answer: Answer, done: Callable[[], None]) -> None:
        change: Change | None = None
        made: dict[str, str] = {}
        inverse: Inverse = []

        def finish(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            try:
                if result is None:
                    self._roll_back(change)
                    answer(None, error)
                else:
                    assert change is not None
                    answer(self._keep(request, client, change, made, inverse, result), None)
            finally:
                done()

        try:
            self._owners.check(client, request.edits)
            inverse = self._history.inverse(request.edits)
            if self._patch.structural(request.edits):
                change = self._patch.apply(request.edits)
                made = self._rings.make(change, self._patch.nodes)
            else:
                change = self._patch.check(request.edits)
            self._ask_audio({"do": "edit", "edits": change.wire}, finish)
        except AsmuError as error:
            finish(None, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the lane must go on
            _log.exception("a transaction failed inside the host")
            finish(
                None, EngineError(f"the host failed in this transaction: {error!r}", code="engine_failed", where="transaction")
            )

    def _roll_back(self, change: Change | None) -> None:
        if change is not None:
            self._rings.unmake(change)
            change.revert()

    def _keep(
        self,
        request: Transaction,
        client: Client,
        change: Change,
        made: dict[str, str],
        inverse: Inverse,
        result: dict[str, Any],
    ) -> dict[str, Any]:
        change.commit()
        for name in change.dropped:
            self._on_drop(name)
            self._rings.drop(name)
        self._patch.revision += 1
        facts = {"revision": self._patch.revision, "at": result.get("at")}
        self._owners.kept(client, request.edits, request.keep)
        self._history.kept(client, self._patch.revision, int(result.get("at") or 0), request.edits, inverse)
        if made:
            facts["rings"] = made
        self._events.publish("patch", {"event": "edited", "author": client.label, "edits": len(request.edits), **facts})
        return facts
