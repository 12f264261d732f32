"""What is done when a transaction holds: the patch follows, and everyone who keeps account of it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from asmu_engine.host.change import Change
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AsmuError, EngineError, PatchError
from asmu_engine.protocol.messages import Transaction, Undo

if TYPE_CHECKING:
    from asmu_engine.host.clients import Client
    from asmu_engine.host.history import History


_log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Who tells the clients."""

    def publish(self, topic: Literal["patch"], fields: dict[str, Any]) -> None:
        """One event."""


class Ownership(Protocol):
    """Who keeps account of owners."""

    def kept(self, client: Client, edits: Sequence[Edit], keep: bool) -> None:
        """A transaction holds."""


class Effects:
    """Takes note of transactions in the order in which they took effect.

    Parameters
    ----------
    on_drop
        Called with the name of each ring before it is removed.
    """

    def __init__(
        self,
        *,
        patch: Patch,
        rings: Rings,
        events: Publisher,
        owners: Ownership,
        history: History,
        on_drop: Callable[[str], None],
    ) -> None:
        self._patch = patch
        self._rings = rings
        self._events = events
        self._owners = owners
        self._history = history
        self._on_drop = on_drop

    def hold(
        self,
        client: Client,
        edits: Sequence[Edit],
        change: Change,
        *,
        at: int,
        late: int,
        keep: bool,
        rings: dict[str, str],
        undoes: int = 0,
        **more: Any,
    ) -> dict[str, Any]:
        """A transaction holds from frame position `at`, `late` frames after the one that it was for; what to answer.

        `undoes`: the revision that it takes back, or 0. `more` stands in the event too.
        """
        change.redo()
        for name in change.dropped:
            self._on_drop(name)
            self._rings.drop(name)
        self._patch.revision += 1
        facts: dict[str, Any] = {"revision": self._patch.revision, "at": at, "late": late}
        if rings:
            facts["rings"] = rings
        self._owners.kept(client, edits, keep)
        self._history.kept(client, self._patch.revision, at, edits, late=late, undoes=undoes)
        author = {"author": client.label, "client": client.id}
        self._events.publish("patch", {"event": "edited", **author, "edits": len(edits), **facts, **more})
        return facts


def as_ours(error: Exception) -> AsmuError:
    """What is told of an error in a transaction; one that is none of ours is logged."""
    if isinstance(error, AsmuError):
        return error
    _log.error("a transaction failed inside the host", exc_info=error)
    return EngineError(f"the host failed in this transaction: {error!r}", code="engine_failed", where="transaction")


def check_revision(patch: Patch, request: Transaction | Undo) -> None:
    """PatchError ``revision_changed`` where a transaction is meant for another revision of the patch."""
    wanted = request.if_revision if isinstance(request, Transaction) else None
    if wanted is not None and wanted != patch.revision:
        raise PatchError(
            f"the patch has revision {patch.revision}, not {wanted}: it was changed meanwhile; look at it anew",
            code="revision_changed",
            where="if_revision",
        )
