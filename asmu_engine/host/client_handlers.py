"""Requests about the clients and the engine as a whole."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import asmu_engine
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.processes import child_facts, resident_bytes
from asmu_engine.protocol import messages
from asmu_engine.protocol.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from asmu_engine.host.engine import Engine


class ClientHandlers:
    """Tells clients of the engine and of one another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begun = time.monotonic()
        self.handlers: Handlers = {
            messages.Hello: self._hello,
            messages.Ping: lambda request, client, answer: answer({}, None),
            messages.Status: lambda request, client, answer: answer(self.status(), None),
            messages.Shutdown: lambda request, client, answer: engine.end(answer),
        }

    def check(self) -> None:
        """Note who has left."""
        for client in self._engine.clients.forget_dead():
            self._engine.publish("client", {"event": "left", **client.facts()})

    def _hello(self, request: messages.Hello, client: Client, answer: Answer) -> None:
        client.name, client.pid = request.name, request.pid
        self._engine.publish("client", {"event": "joined", **client.facts()})
        answer({**self.facts(), "client": client.id}, None)

    def facts(self) -> dict[str, Any]:
        """What a client must know of the engine."""
        engine = self._engine
        return {
            "name": engine.config.name,
            "version": asmu_engine.__version__,
            "protocol": PROTOCOL_VERSION,
            "samplerate": engine.config.samplerate,
            "blocksize": engine.config.blocksize,
            "state": engine.audio.state,
            "device": engine.audio.device,
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
            "clients": [present.facts() for present in engine.clients.present()],
            "jobs": engine.jobs.facts(),
            "said": engine.said(),
            "uptime": time.monotonic() - self._begun,
        }
