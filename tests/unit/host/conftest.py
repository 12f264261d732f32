"""An engine's host in a thread of the test, with a fake audio process as its real child."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from asmu_engine.config import EngineConfig
from asmu_engine.host import audio as audio_module
from asmu_engine.host.claim import claim_engine, release_engine
from asmu_engine.host.endpoint import LocalEndpoint
from asmu_engine.host.engine import Engine
from asmu_engine.host.loop import Loop
from asmu_engine.host.server import Server
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.shm.status import create_status

FAKE = Path(__file__).with_name("fake_audio.py")
ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 15.0


class HostInThread:
    """The parts of a host, run by the test; requests are made through its sockets."""

    def __init__(self, log: Path, device: str = "virtual") -> None:
        self.log = log
        self.loop = Loop()
        self.config = EngineConfig(name="fake", device=device, samplerate=48000, blocksize=256, ring_seconds=10)
        self.claim = claim_engine("fake")
        create_status("fake").close()
        self.ready: list[AsmuError | None] = []
        self.engine = Engine(self.loop, self.config, private=True, on_ready=self.ready.append, on_ended=self.loop.stop)
        self.context = zmq.Context()
        self.endpoint = LocalEndpoint(self.context, self.claim.folder)
        self.server = Server(self.engine.clients, self.engine.handle)
        self.engine.events.attach(self.endpoint.events)
        self.loop.add_socket(self.endpoint.requests, lambda: self.server.read(self.endpoint))
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(self.endpoint.requests_endpoint)
        self.events = self.context.socket(zmq.SUB)
        self.events.connect(self.endpoint.events_endpoint)
        self.events.subscribe(b"")
        self.number = 0
        self.seen: list[dict[str, Any]] = []
        self.engine.launch()
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Poll until `condition` gives something true."""
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited for {what}; events: {self.seen}"
            time.sleep(0.002)
        return value

    def up(self) -> HostInThread:
        """Wait until it is ready and the subscription holds."""
        self.until(lambda: self.ready, "the audio process")
        assert self.ready == [None]
        self.result("hello", name="test", beat=True)
        self.until(lambda: self.ask("announce", service="x", endpoint="") and self.events.poll(20), "the subscription")
        return self

    def send(self, kind: str, **fields: Any) -> int:
        """Send a request; its id."""
        self.number += 1
        self.socket.send(msgpack.packb({"v": 1, "id": self.number, "type": kind, **fields}))
        return self.number

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        while True:
            assert self.socket.poll(PATIENCE * 1000), f"no answer; events: {self.seen}"
            answer = msgpack.unpackb(self.socket.recv())
            if answer["type"] != "beat":
                return answer

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """One request and its answer."""
        number = self.send(kind, **fields)
        answer = self.answer()
        assert answer["id"] == number
        return answer

    def result(self, kind: str, **fields: Any) -> dict[str, Any]:
        """One request that must work."""
        answer = self.ask(kind, **fields)
        assert answer["type"] == "reply", answer
        return answer["result"]

    def event(self, topic: str, what: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields."""

        def look() -> dict[str, Any] | None:
            while self.events.poll(0):
                self.seen.append(msgpack.unpackb(self.events.recv_multipart()[1]))
            wanted = {"topic": topic, "event": what, **fields}
            return next((event for event in self.seen if wanted.items() <= event.items()), None)

        return self.until(look, f"{topic} {what} {fields}")

    def commands(self) -> list[dict[str, Any]]:
        """Every command that the fake process, or its successors, got."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def close(self) -> None:
        """End everything."""
        self.loop.post(self.engine.end)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self.engine.close()
        self.endpoint.close(0)
        self.socket.close(0)
        self.events.close(0)
        self.context.term()
        self.loop.close()
        release_engine(self.claim)


@pytest.fixture
def make_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., HostInThread]]:
    """Start a host with a fake audio process that fails as planned."""
    made: list[HostInThread] = []

    def make(**plan: str) -> HostInThread:
        log = tmp_path / "commands"
        monkeypatch.setenv("FAKE_AUDIO", json.dumps({**plan, "log": str(log)}))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setattr(audio_module, "python_command", lambda module: [sys.executable, str(FAKE)])
        made.append(HostInThread(log))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def real_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], HostInThread]]:
    """Start a host with a real audio process on a device."""
    made: list[HostInThread] = []

    def make(device: str) -> HostInThread:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        made.append(HostInThread(tmp_path / "commands", device))
        return made[-1].up()

    yield make
    for host in made:
        host.close()
