"""Who is there: clients that fall silent, come back and leave, and what becomes of what they owned."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import ENGINE, Client, Clients
from asmu_engine.host.events import Events
from asmu_engine.host.job import Job
from asmu_engine.host.jobs import Jobs
from asmu_engine.host.leases import Leases
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.edits import Remove
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.version import BEAT_SECONDS, SILENT_SECONDS

_log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.25

LOST_SECONDS: Final = 0.4
"""So long a connection must be broken: a client that lives connects again within 0.1 s, and was never away then."""

STALL_SECONDS: Final = 1.0
"""When the host itself stood still for so long it has heard nobody, which says nothing about them."""

_BEAT: Final = pack(messages.beat())


class Presence:
    """Sees to clients that are away or leave.

    Whether a connection stands is known from ZeroMQ's own heartbeats, which a client answers whatever its Python does, and shows
    when something is sent: so a client is told something each second, if it asked for that. One that did not must let itself
    be heard. The longest time until a death is noticed: 1 s until the next heartbeat, 2 s without an answer, 1 s until the
    next beat, `CHECK_SECONDS` and `LOST_SECONDS`, together less than 5 s.

    Parameters
    ----------
    submit
        Does a transaction in its turn.
    withdraw
        Called with the id of a client that left: what it has scheduled will not be done.
    """

    def __init__(
        self,
        *,
        clients: Clients,
        patch: Patch,
        owners: Owners,
        leases: Leases,
        jobs: Jobs,
        events: Events,
        submit: Callable[[messages.Transaction, Client, int, Answer], None],
        withdraw: Callable[[str], None] = lambda identifier: None,
    ) -> None:
        self._clients = clients
        self._patch = patch
        self._owners = owners
        self._leases = leases
        self._jobs = jobs
        self._events = events
        self._submit = submit
        self._withdraw = withdraw
        self._checked = time.monotonic()
        self._removing: set[str] = set()

    def check(self) -> None:
        """Look after everybody."""
        now = time.monotonic()
        stalled = now - self._checked > STALL_SECONDS
        self._checked = now
        for client in self._clients.present():
            if stalled:
                client.heard, client.lost = now, None
            if client.watched and _process_is_gone(client):
                self.leave(client)
                continue
            silent = self._silent(client, now)
            if client.away is None and silent:
                self._go_away(client, now)
            elif client.away is not None and client.beat and not silent:
                self.back(client)
            if client.away is not None and now - client.away >= client.grace:
                self.leave(client)
        self._clients.forget_old()
        for identifier in self._owners.gone():
            self._remove_nodes(identifier, lambda: None)

    def joined(self, client: Client, *, resumed: bool) -> None:
        """A client has said hello. `resumed`: as one that was here before. Said again, under the same name, it is no news."""
        news = client.away is not None or client.told_as != client.name
        client.away = None
        client.watched = not _process_is_gone(client)
        if news:
            client.told_as = client.name
            self._publish("back" if resumed else "joined", client)

    def back(self, client: Client) -> None:
        """A client that was away lets itself be heard."""
        if client.away is not None:
            client.away = None
            self._publish("back", client)

    def leave(self, client: Client, done: Callable[[], None] = lambda: None, *, final: bool = False) -> None:
        """End its leases and jobs, take what it owns out of the patch, then tell the others and call `done`.

        Nodes that another has leased become that client's. A recording that is kept goes on, and as long as it does so
        do its tap and all that feeds it. `final`: the client cannot come back.
        """
        self._clients.leave(client, final=final)
        client.told_as = ""
        self._leases.release(client, (), ())
        self._withdraw(client.id)
        waiting = 1

        def one_done() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                if client.left is not None:  # else it is back already
                    self._publish("left", client)
                done()

        for job in self._jobs_that_end(client):
            waiting += 1
            job.progress["reason"] = f"its client {client.label} left"
            self._jobs.stop(job.job, lambda result, error: one_done())
        self._remove_nodes(client.id, one_done)

    # -- being there ----------------------------------------------------------------------------------------------

    def _silent(self, client: Client, now: float) -> bool:
        if not client.beat:
            return now - client.heard >= SILENT_SECONDS
        quiet = now - max(client.heard, client.told) >= BEAT_SECONDS
        if quiet or client.lost is not None or client.line is None:
            if client.line is not None and client.line.send(_BEAT):
                client.told, client.lost = now, None
            elif client.lost is None:
                client.lost = now
        return client.lost is not None and now - client.lost >= LOST_SECONDS

    def _go_away(self, client: Client, now: float) -> None:
        client.away = now
        self._leases.release(client, (), ())
        self._publish("away", client)

    def _publish(self, event: str, client: Client) -> None:
        self._events.publish("client", {"event": event, **client.facts()})

    # -- what is left of it ---------------------------------------------------------------------------------------

    def _jobs_that_end(self, client: Client) -> list[Job]:
        needed = self._needed()
        return [
            job
            for job in self._jobs.open()
            # A player goes on where what it plays into does.
            if job.client_id == client.id
            and not job.keep
            and (job.kind != "play" or (self._owners.owner(job.node) and job.node not in needed))
        ]

    def _remove_nodes(self, identifier: str, done: Callable[[], None]) -> None:
        if identifier in self._removing:
            done()
            return
        needed = self._needed()
        nodes = []
        for node in self._owners.of(identifier):
            if self._leases.holder(node) is not None:
                self._owners.pass_on(node)
            elif node not in needed:
                nodes.append(node)
        if not nodes:
            done()
            return
        self._removing.add(identifier)

        def removed(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            # Where it could not be done, because a transaction before it took one of the nodes, the next check does it.
            self._removing.discard(identifier)
            done()

        request = messages.Transaction(id=0, edits=[Remove(node=node) for node in nodes])
        try:
            self._submit(request, ENGINE, 0, removed)
        except AsmuError as error:
            _log.warning("the nodes of client %s stay for now: %s", identifier, error)
            removed(None, error)

    def _needed(self) -> set[str]:
        """Taps whose recordings are kept, and every node that feeds them."""
        found: set[str] = set()
        waiting = [job.node for job in self._jobs.open() if job.kind != "play" and job.keep]
        while waiting:
            name = waiting.pop()
            node = self._patch.nodes.get(name)
            if node is not None and name not in found:
                found.add(name)
                waiting += [source for source, _ in node.sources.values()]
        return found


def _process_is_gone(client: Client) -> bool:
    """Whether the process of a client of this machine has ended."""
    if client.remote or not client.pid or os.name != "posix":
        return False  # on Windows os.kill would end it; its connection tells there
    try:
        os.kill(client.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return client.lost is not None and _is_zombie(client.pid)


def _is_zombie(pid: int) -> bool:
    """Ended, but nobody has asked for its exit status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] == b"Z"
    except OSError:
        return False
