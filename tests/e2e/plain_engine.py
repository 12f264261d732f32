"""An engine as a stranger sees it: a process, two ZeroMQ sockets, msgpack. Nothing here uses the client library."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import zmq

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 15.0


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Poll until `condition` gives something true, and return that."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience:g} s for {what}"
        time.sleep(0.005)
    return value


def alive(pid: int) -> bool:
    """True while a process runs; one that nobody has waited for yet is dead."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


class PlainEngine:
    """A host process started by hand, and one client of it. `resume`: it goes on with what one of its name has left."""

    def __init__(self, name: str = "lab", *, private: bool = True, resume: bool = False, **settings: Any) -> None:
        usual = {} if resume else {"device": "virtual:inputs=2,outputs=2", "samplerate": 48000.0, "blocksize": 256}
        config = {"name": name, **usual, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asmu_engine", "--stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        data = msgpack.packb({"config": config, "private": private, "resume": resume})
        self.process.stdin.write(struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()
        head = self.process.stdout.read(4)
        assert len(head) == 4, self.process.stderr.read().decode()
        self.greeting = msgpack.unpackb(self.process.stdout.read(*struct.unpack("<I", head)))
        self.info = self.greeting.get("info")
        self.context = zmq.Context()
        self.context.linger = 0
        self.clients: list[PlainClient] = []
        if self.info:
            self.client = self.stranger(b"own")  # by this name it is known again should the connection ever break
            self.client.grace = 60.0  # and on a busy machine that may take a while
            self.client.hello()

    def connect(self, identity: bytes | None = None, **hello: Any) -> PlainClient:
        """Another client, which has said hello with these fields."""
        client = self.stranger(identity)
        client.hello(**hello)
        return client

    def stranger(self, identity: bytes | None = None) -> PlainClient:
        """Another connection, whose hello is still to come."""
        client = PlainClient(self.context, self.info, identity)
        self.clients.append(client)
        return client

    def pids(self) -> list[int]:
        """Host, audio and, where there is one, disk process."""
        processes = self.client.result("status")["processes"]
        return [process["pid"] for process in processes.values() if process]

    def end(self) -> int:
        """End it as its owner does; exit status."""
        for client in self.clients:
            client.close()
        self.context.destroy(linger=0)
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.words = self.process.stderr.read().decode()
            self.process.stderr.close()
        return status

    def __enter__(self) -> PlainEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.returncode is None or not self.process.stdout.closed:
            self.end()


class PlainClient:
    """Requests and events by hand. `grace`, s: which it asks for where its hello names no other."""

    grace = 0.0

    def __init__(self, context: zmq.Context, info: dict[str, Any], identity: bytes | None = None) -> None:
        self.requests = context.socket(zmq.DEALER)
        if identity is not None:
            self.requests.setsockopt(zmq.IDENTITY, identity)
        self.requests.connect(info["requests"])
        self.events = context.socket(zmq.SUB)
        self.events.connect(info["events"])
        self.events.subscribe(b"")
        self.number = 0
        self.seen: list[dict[str, Any]] = []

    def raw(self, *frames: bytes, patience: float = PATIENCE) -> dict[str, Any]:
        """Send these very frames; the answer."""
        self.requests.send_multipart(frames)
        return self.answer(patience)

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next answer; what only shows that the engine is there is no answer."""
        deadline = time.monotonic() + patience
        while True:
            assert self.requests.poll(max(0.0, deadline - time.monotonic()) * 1000), "no answer"
            answer = msgpack.unpackb(self.requests.recv_multipart()[-1], strict_map_key=False)
            if answer["type"] != "beat":
                return answer

    def ask(self, kind: str, *, patience: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """One request; its answer, reply or error."""
        self.number += 1
        message = self.raw(msgpack.packb({"v": 1, "id": self.number, "type": kind, **fields}), patience=patience)
        assert message["id"] == self.number
        return message

    def result(self, kind: str, **fields: Any) -> dict[str, Any]:
        """One request that must work; its result. `patience`, s, may be among the fields."""
        message = self.ask(kind, **fields)
        assert message["type"] == "reply", message
        return message["result"]

    def hello(self, **fields: Any) -> dict[str, Any]:
        """Say who this is; the connection is watched, so that nothing else need be said."""
        usual = {"name": "plain", "pid": os.getpid(), "beat": True, "grace": self.grace}
        self.facts = self.result("hello", **{**usual, **fields})
        return self.facts

    def edit(self, *edits: dict[str, Any]) -> dict[str, Any]:
        """A transaction that must work."""
        return self.result("transaction", edits=list(edits))

    def event(self, topic: str, what: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait for an event."""

        def look() -> dict[str, Any] | None:
            while self.events.poll(0):
                self.seen.append(msgpack.unpackb(self.events.recv_multipart()[1]))
            return next((event for event in self.seen if event["topic"] == topic and event.get("event") == what), None)

        return until(look, f"event {what} of {topic}, got {self.seen}", patience)

    def listen(self) -> None:
        """Return once events arrive: a subscription takes a moment."""

        def told() -> bool:
            self.hello(name=f"listener{self.number}")  # under another name it is news
            return bool(self.events.poll(20))

        until(told, "the subscription")
        self.hello(name="listener")

    def close(self) -> None:
        """Close both sockets."""
        self.requests.close(0)
        self.events.close(0)


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, target: str, output: int = 0, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def segments() -> list[str]:
    """Names of all segments."""
    return sorted(file.name for file in Path(os.environ["ASMU_SHM_DIR"]).iterdir())


def published(name: str) -> dict[str, Any]:
    """What an engine says of itself in its folder."""
    return json.loads((Path(os.environ["ASMU_RUNTIME_DIR"]) / name / "engine.json").read_text())
