"""What a client can ask of an engine, its other clients and the patch: one method a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asmu_control.asking import Asking
from asmu_control.exchange import Steps
from asmu_control.shared import shared

if TYPE_CHECKING:
    from asmu_control.timeouts import Timeout
    from asmu_control.typing import Edit


class PatchVerbs(Asking):
    """Requests on the engine, its clients and the patch."""

    # -- engine and clients -----------------------------------------------------------------------------------------

    @shared
    def ping(self, timeout: Timeout = "default") -> Steps[None]:
        """Return once the engine has answered."""
        yield from self._ask("ping", timeout)

    @shared
    def status(self, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """State, device, counters, processes, real-time grants, clients, leases, jobs."""
        return (yield from self._ask("status", timeout))

    @shared
    def snapshot(self, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """``status``, ``patch`` and ``scheduled`` at one moment, and ``numbers``: of each topic the last event they include."""
        return (yield from self._ask("snapshot", timeout))

    @shared
    def clients(self, timeout: Timeout = "default") -> Steps[list[dict[str, Any]]]:
        """Who is connected: ``id``, ``name``, ``pid``, ``role``, ``address``, ``since``, ``leases``, ``away``."""
        return list((yield from self._ask("status", timeout)).get("clients") or ())

    @shared
    def announce(
        self, service: str, endpoint: str, facts: Mapping[str, str] | None = None, timeout: Timeout = "default"
    ) -> Steps[None]:
        """Offer a service to the other clients, until this one leaves; an empty `endpoint` takes the offer back."""
        yield from self._ask("announce", timeout, service=service, endpoint=endpoint, facts=dict(facts or {}))

    @shared
    def keys(self, timeout: Timeout = "default") -> Steps[list[dict[str, Any]]]:
        """The keys with which clients may come from other machines; for an admin."""
        return list((yield from self._ask("keys", timeout)).get("keys") or ())

    @shared
    def revoke_key(self, name: str, timeout: Timeout = "default") -> Steps[None]:
        """Let clients with that key in no more, and end their connections; for an admin."""
        yield from self._ask("keys", timeout, action="revoke", name=name)

    @shared
    def shutdown(self, timeout: Timeout = "default") -> Steps[None]:
        """End the engine: recordings are closed first; for an admin."""
        yield from self._ask_device("shutdown", timeout)

    # -- patch ------------------------------------------------------------------------------------------------------

    @shared
    def edit(
        self,
        edits: Iterable[Edit],
        timeout: Timeout = "default",
        *,
        at: int | None = None,
        if_revision: int | None = None,
        key: str | None = None,
        keep: bool = False,
    ) -> Steps[dict[str, Any]]:
        """Change the patch: all edits with the same frame, or none.

        Parameters
        ----------
        edits
            See `asmu_engine.protocol.edits`; a list, also of a single one.
        at
            Frame position of effect, in the middle of a block too; None: the next block.
        if_revision
            Only if the patch still has this revision; PatchError ``revision_changed`` otherwise.
        key
            A text that no other transaction has; one that comes twice with the same key is done once. Default: a new one.
        keep
            Nodes that it adds stay when this client leaves.

        Returns
        -------
        dict
            ``revision`` of the patch, ``at``: the frame position from which the edits hold, ``late``: frames after the one asked
            for; for one that waits for its frame position instead of `late` its number, ``scheduled``.
        """
        if isinstance(edits, Mapping):
            raise ValueError(f"edits={edits!r} is a single edit; give a list of edits, [edit]")
        given = {"at": at, "if_revision": if_revision, "key": key, "keep": keep or None}
        fields = {name: value for name, value in given.items() if value is not None}
        return (yield from self._ask("transaction", timeout, edits=list(edits), **fields))

    @shared
    def scheduled(self, timeout: Timeout = "default") -> Steps[list[dict[str, Any]]]:
        """The transactions that wait for their frame position, in the order of these."""
        return list((yield from self._ask("scheduled", timeout)).get("scheduled") or ())

    @shared
    def outcome(self, scheduled: int, timeout: Timeout = "default") -> Steps[dict[str, Any] | None]:
        """What became of the transaction that was scheduled under this number; None while it waits.

        Returns
        -------
        dict or None
            ``state``: ``"edited"``, with ``revision``, ``at`` and ``late``; ``"cancelled"``; or ``"dropped"``, with ``code`` and
            ``message``: what it takes was no longer there.

        Raises
        ------
        PatchError
            ``scheduled_unknown``: there was none of this number, or so long ago that it is forgotten.
        """
        return (yield from self._ask("scheduled", timeout, scheduled=scheduled)).get("outcome")

    @shared
    def cancel(self, scheduled: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Do not do a transaction that waits, and say which it was; its number is `scheduled`.

        Raises
        ------
        PatchError
            ``scheduled_unknown``: it waits no more.
        """
        return (yield from self._ask("cancel", timeout, scheduled=scheduled))

    @shared
    def patch(self, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """The patch: ``revision``, ``nodes``, ``connections``; of large arrays type and shape."""
        return (yield from self._ask("patch", timeout))

    @shared
    def value(self, node: str, parameter: str, timeout: Timeout = "default") -> Steps[Any]:
        """One parameter of a node, whole."""
        return (yield from self._ask("value", timeout, node=node, parameter=parameter)).get("value")

    @shared
    def catalogue(self, timeout: Timeout = "default") -> Steps[list[dict[str, Any]]]:
        """The kinds of core that the engine knows, with parameters, units, ranges and ports."""
        return list((yield from self._ask("catalogue", timeout))["kinds"])

    @shared
    def history(
        self, since: int = 0, limit: int | None = None, *, edits: bool = False, timeout: Timeout = "default"
    ) -> Steps[list[dict[str, Any]]]:
        """The last transactions, newest last: revision, author, time, frame position, number of edits.

        Parameters
        ----------
        since
            Only those of a greater revision.
        limit
            At most so many, 1 to 1000.
        edits
            With what each did, and what undoes it.
        """
        fields = {"since": since, "edits": edits, **({} if limit is None else {"limit": limit})}
        return list((yield from self._ask("history", timeout, **fields))["entries"])

    @shared
    def undo(
        self, revision: int, timeout: Timeout = "default", *, key: str | None = None, keep: bool = False
    ) -> Steps[dict[str, Any]]:
        """Take back what the transaction of that revision did, by a new one; answered as `edit` is.

        Parameters
        ----------
        revision
            The one that the transaction made; see `history`.
        key
            As of `edit`.
        keep
            Nodes that come back stay when this client leaves.

        Raises
        ------
        PatchError
            ``not_undoable``: it is too long ago, or a later one stands in the way.
        """
        given = {"key": key, "keep": keep or None}
        fields = {name: value for name, value in given.items() if value is not None}
        return (yield from self._ask("undo", timeout, revision=revision, **fields))

    @shared
    def release(self, nodes: Sequence[str] = (), outputs: Sequence[int] = (), timeout: Timeout = "default") -> Steps[None]:
        """End leases of these nodes and output channels; with none named, all of this client."""
        yield from self._ask("release", timeout, nodes=list(nodes), outputs=list(outputs))
