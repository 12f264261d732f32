"""What a client can ask of an engine: one method a request, for the blocking and for the awaited client."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asmu_control.exchange import Exchange, Steps
from asmu_control.shared import adopt, shared

if TYPE_CHECKING:
    from asmu_control.timeouts import Timeout
    from asmu_control.typing import Edit, PathLike


class Verbs:
    """The requests of `asmu_engine.protocol.messages` as methods.

    Each takes `timeout`, seconds: None waits as long as it takes, ``"default"`` as long as the client's `Timeouts` say. Each
    raises what the engine refuses it with: PatchError, DeviceError, DiskError …, AccessError ``not_allowed`` where
    this client's role is not enough, EngineTimeout, and EngineError ``engine_gone``.
    """

    _exchange: Exchange

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        adopt(cls, Verbs)

    def _ask(self, kind: str, timeout: Timeout, **fields: Any) -> Steps[dict[str, Any]]:
        seconds = self._exchange.timeouts.request if timeout == "default" else timeout
        return self._exchange.request({"type": kind, **fields}, seconds)

    def _ask_device(self, kind: str, timeout: Timeout, **fields: Any) -> Steps[dict[str, Any]]:
        return self._ask(kind, self._exchange.timeouts.start if timeout == "default" else timeout, **fields)

    @shared
    def request(self, message: Mapping[str, Any], timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Send a request and wait for its result; for all that has no method of its own.

        Parameters
        ----------
        message
            The request without ``v`` and ``id``, which are filled in; see `asmu_engine.protocol.messages`.
        """
        seconds = self._exchange.timeouts.request if timeout == "default" else timeout
        return (yield from self._exchange.request(message, seconds))

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
            See `asmu_engine.protocol.edits`.
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
        given = {"at": at, "if_revision": if_revision, "key": key, "keep": keep or None}
        fields = {name: value for name, value in given.items() if value is not None}
        return (yield from self._ask("transaction", timeout, edits=list(edits), **fields))

    @shared
    def scheduled(self, timeout: Timeout = "default") -> Steps[list[dict[str, Any]]]:
        """The transactions that wait for their frame position, in the order of these."""
        return list((yield from self._ask("scheduled", timeout)).get("scheduled") or ())

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
    def undo(self, revision: int, timeout: Timeout = "default", *, key: str | None = None) -> Steps[dict[str, Any]]:
        """Take back what the transaction of that revision did, by a new one; answered as `edit` is.

        Raises
        ------
        PatchError
            ``not_undoable``: it is too long ago, or a later one stands in the way.
        """
        return (yield from self._ask("undo", timeout, revision=revision, **({} if key is None else {"key": key})))

    @shared
    def release(self, nodes: Sequence[str] = (), outputs: Sequence[int] = (), timeout: Timeout = "default") -> Steps[None]:
        """End leases of these nodes and output channels; with none named, all of this client."""
        yield from self._ask("release", timeout, nodes=list(nodes), outputs=list(outputs))

    # -- device -----------------------------------------------------------------------------------------------------

    @shared
    def start(
        self,
        inputs: Sequence[int] | None = None,
        outputs: Sequence[int] | None = None,
        *,
        end_block: int | None = None,
        drop: int = 0,
        reset: bool = True,
        timeout: Timeout = "default",
    ) -> Steps[dict[str, Any]]:
        """Run the device; for an admin.

        Parameters
        ----------
        inputs, outputs
            Channels in use, from 1; None: all that the device has.
        end_block
            Stop by itself after so many blocks.
        drop
            Blocks at the start that play silence and process nothing.
        reset
            Every core goes back to its start.
        """
        fields = {"end_block": end_block, "drop": drop, "reset": reset}
        channels = {name: None if some is None else list(some) for name, some in (("inputs", inputs), ("outputs", outputs))}
        return (yield from self._ask_device("start", timeout, **channels, **fields))

    @shared
    def stop(self, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Stop the device; for an admin. Patch, rings and clients stay."""
        return (yield from self._ask_device("stop", timeout))

    @shared
    def step(self, blocks: int = 1, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Process `blocks` blocks of the device ``offline:stepped=1``; for an admin."""
        return (yield from self._ask_device("step", timeout, blocks=blocks))

    @shared
    def reset(self, drop: int = 0, timeout: Timeout = "default") -> Steps[int]:
        """Every core back to its start, all with the same frame, whose position this returns; then `drop` silent blocks."""
        return int((yield from self._ask("reset", timeout, drop=drop))["at"])

    # -- sound files ------------------------------------------------------------------------------------------------

    @shared
    def record(
        self,
        node: str,
        path: PathLike,
        format: str = "WAV",
        subtype: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        at: int | None = None,
        keep: bool = False,
        timeout: Timeout = "default",
    ) -> Steps[dict[str, Any]]:
        """Write the tap `node` to a file of the engine's machine; answered with the status of the ``job``.

        Parameters
        ----------
        path
            Absolute, or within the engine's folder for recordings; from another machine only that.
        format, subtype
            libsndfile's names; an empty subtype is the finest that the format holds.
        at
            Frame position of the file's first frame; None: the oldest that the tap's ring holds.
        keep
            The recording, with its tap and what feeds that, goes on when this client leaves.
        """
        fields: dict[str, Any] = {"format": format, "subtype": subtype, "tags": dict(tags or {})}
        if at is not None:
            fields["at"] = at
        if keep:
            fields["keep"] = True
        return (yield from self._ask("record", timeout, node=node, path=os.fspath(path), **fields))

    @shared
    def play(
        self, node: str, path: PathLike, *, loop: bool = False, start: int = 0, timeout: Timeout = "default"
    ) -> Steps[dict[str, Any]]:
        """Read a file of the engine's machine into the feed `node`, from frame `start`; the status of the ``job``."""
        return (yield from self._ask_device("play", timeout, node=node, path=os.fspath(path), loop=loop, start=start))

    @shared
    def seek(self, job: int, position: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Have a player go on at frame `position` of its file; its status."""
        return (yield from self._ask_device("seek", timeout, job=job, position=position))

    @shared
    def job(self, job: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """How far a recording or player is."""
        return (yield from self._ask("job", timeout, job=job))

    @shared
    def stop_job(self, job: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Stop a player, or a recording once it has what its ring holds; its final status."""
        return (yield from self._ask_device("job_stop", timeout, job=job))
