"""Requests about the clients and the engine as a whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import asmu_engine
from asmu_engine.host.access import check_there
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.processes import child_facts, resident_bytes
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import AsmuError, EngineError
from asmu_engine.protocol.version import BEAT_SECONDS, PROTOCOL_VERSION, SILENT_SECONDS

if TYPE_CHECKING:
    from asmu_engine.host.engine import Engine

MAX_SERVICES: Final = 16
"""Services that one client offers."""

MAX_ALL_SERVICES: Final = 128
"""Services that all clients offer: every hello is answered with a list of them."""


class ClientHandlers:
    """Tells clients of the engine and of one another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begun = time.monotonic()
        self.handlers: Handlers = {
            messages.Hello: self._hello,
            messages.Goodbye: self._goodbye,
            messages.Ping: lambda request, client, answer: answer({}, None),
            messages.Status: lambda request, client, answer: answer(self.status(), None),
            messages.Snapshot: self._snapshot,
            messages.Lease: self._lease,
            messages.Release: self._release,
            messages.Announce: self._announce,
            messages.Shutdown: lambda request, client, answer: engine.end(answer),
        }

    def _hello(self, request: messages.Hello, client: Client, answer: Answer) -> None:
        self._engine.presence.joined(client, resumed=bool(request.resume) or client.away is not None)
        position, monotonic_ns, utc_ns, _ = self._engine.page.clock()
        own = {
            "client": client.id,
            "role": client.role,
            "token": client.token,
            "grace": client.grace,
            "beat_seconds": BEAT_SECONDS,
            "silent_seconds": SILENT_SECONDS,
            "clock": {"frame_position": position, "monotonic_ns": monotonic_ns, "utc_ns": utc_ns},
            "numbers": dict(self._engine.events.numbers),
            "endpoints": {"events_port": client.line.endpoint.events_port if client.line else None, "services": self._services()},
        }
        answer({**self.facts(), **own}, None)

    def _goodbye(self, request: messages.Goodbye, client: Client, answer: Answer) -> None:
        if self._engine.ending:
            answer({}, None)  # all goes anyhow
        else:
            self._engine.presence.leave(client, lambda: answer({}, None), final=True)

    def _snapshot(self, request: messages.Snapshot, client: Client, answer: Answer) -> None:
        def look() -> None:
            result = {
                "status": self.status(),
                "patch": self._engine.patch_facts(),
                "scheduled": self._engine.scheduled_facts(),
                "numbers": dict(self._engine.events.numbers),
            }
            answer(result, None)

        self._engine.look(look, answer)

    def _lease(self, request: messages.Lease, client: Client, answer: Answer) -> None:
        def lease(done: Callable[[], None]) -> None:
            try:
                check_there(client)
                self._engine.owners.lease(client, request.nodes, request.outputs)
                answer(self._engine.leases.of(client), None)
            except AsmuError as error:
                answer(None, error)
            finally:
                done()

        # What others have scheduled, and the audio process has already, is looked at again.
        self._engine.by_itself(lease)

    def _release(self, request: messages.Release, client: Client, answer: Answer) -> None:
        def release() -> None:
            self._engine.leases.release(client, request.nodes, request.outputs)
            answer(self._engine.leases.of(client), None)

        self._engine.in_turn(release, answer)

    def _announce(self, request: messages.Announce, client: Client, answer: Answer) -> None:
        if not request.endpoint:
            client.services.pop(request.service, None)
        else:
            if request.service not in client.services:
                self._check_services(request.service, client)
            client.services[request.service] = {"endpoint": request.endpoint, "facts": request.facts}
        what = {"service": request.service, "endpoint": request.endpoint, "facts": request.facts, "client": client.id}
        self._engine.publish("client", {"event": "announced", **what})
        answer({}, None)

    def _check_services(self, service: str, client: Client) -> None:
        """EngineError ``engine_state`` where one more is too many."""
        own, all_of_them = len(client.services), sum(len(one.services) for one in self._engine.clients.present())
        if own >= MAX_SERVICES or all_of_them >= MAX_ALL_SERVICES:
            whose, limit = (
                ("this client offers", MAX_SERVICES) if own >= MAX_SERVICES else ("all clients offer", MAX_ALL_SERVICES)
            )
            raise EngineError(
                f"{whose} {limit} services, which is the limit; take one back with an empty endpoint",
                code="engine_state",
                where=service,
            )

    def _services(self) -> list[dict[str, Any]]:
        return [
            {"service": service, **offered, "client": client.id}
            for client in self._engine.clients.present()
            for service, offered in client.services.items()
        ]

    def facts(self) -> dict[str, Any]:
        """What a client must know of the engine."""
        engine = self._engine
        return {
            "name": engine.config.name,
            "version": asmu_engine.__version__,
            "protocol": PROTOCOL_VERSION,
            "samplerate": engine.config.samplerate,
            "blocksize": engine.config.blocksize,
            "state": engine.audio.run.state,
            "reason": engine.audio.run.reason,
            "device": engine.audio.run.device,
            "revision": engine.patch.revision,
            "frame_position": engine.page.counter("frame_position"),
        }

    def status(self) -> dict[str, Any]:
        """Everything but the patch."""
        engine = self._engine
        return {
            **self.facts(),
            "pid": os.getpid(),
            "private": engine.private,
            "counters": engine.page.snapshot(),
            "realtime": engine.audio.realtime,
            "processes": {
                "host": {"pid": os.getpid(), "rss": resident_bytes(os.getpid())},
                "audio": child_facts(engine.audio.child, engine.audio.restarts),
                "disk": child_facts(engine.jobs.child, engine.jobs.restarts),
            },
            "clients": [{**client.facts(), "leases": engine.leases.of(client)} for client in engine.clients.present()],
            "services": self._services(),
            "owners": engine.owners.all(),
            "jobs": engine.jobs.facts(),
            "said": engine.said.facts(),
            "clock_fit": engine.clocks.fit.model_dump() if engine.clocks.fit else None,
            "uptime": time.monotonic() - self._begun,
        }
