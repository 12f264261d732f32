"""A link to an engine that is not there: it answers as told and keeps what it was asked.

`asmu_control.testing.FakeLink` is a whole engine and answers what is right; here a test says what comes back, also what no
engine would say, and nothing runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

import pytest

from asmu_control.client import Client
from asmu_engine.protocol.codec import unpack
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.messages import parse_request, refusal, reply


class ScriptedSubscription:
    """The events that the test puts into the link."""

    joined = True

    def __init__(self, events: deque[dict[str, Any]], topics: Collection[str], queue: int) -> None:
        self.events, self.topics, self.queue = events, tuple(topics), queue
        self.closed = False

    def receive(self, timeout: float) -> dict[str, Any] | None:
        return self.events.popleft() if self.events and not self.closed else None

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


class ScriptedLink:
    """Every request is checked against the protocol; `answers` by type: a result, an error, or None for silence."""

    name = "fake"
    remote = False
    connections = 1

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.inbox: deque[dict[str, Any]] = deque()
        self.events: deque[dict[str, Any]] = deque()
        self.subscriptions: list[ScriptedSubscription] = []
        self.greetings: list[dict[str, Any]] = []
        self.there = True
        self.closed = False
        self.answers: dict[str, Any] = {
            "hello": {"name": "fake", "samplerate": 48000.0, "blocksize": 256, "state": "stopped", "device": None},
            "status": {
                "state": "running",
                "samplerate": 48000.0,
                "blocksize": 256,
                "counters": {"blocks": 3, "frame_position": 768},
            },
            "transaction": {"revision": 1, "at": 0},
            "start": {"position": 1024},
            "record": {"job": 1, "state": "running", "path": "x"},
            "play": {"job": 2, "state": "running"},
        }

    def send(self, data: bytes) -> None:
        message = unpack(data)
        parse_request(message)
        self.requests.append(message)
        answer = self.answers.get(message["type"], {"nodes": self.nodes()} if message["type"] == "patch" else {})
        if isinstance(answer, AsmuError):
            self.inbox.append(refusal(message["id"], answer))
        elif answer is not None:
            self.inbox.append(reply(message["id"], answer))

    def receive(self, timeout: float) -> dict[str, Any] | None:
        return self.inbox.popleft() if self.inbox else None

    def fileno(self) -> None:
        return None

    def greeted(self, facts: dict[str, Any]) -> None:
        self.greetings.append(facts)

    def subscribe(self, topics: Collection[str], queue: int = 10) -> ScriptedSubscription:
        self.subscriptions.append(ScriptedSubscription(self.events, topics, queue))
        return self.subscriptions[-1]

    def alive(self) -> bool:
        return self.there

    def close(self) -> None:
        self.closed = True

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """The requests of one type, without what all carry."""
        return [{k: v for k, v in r.items() if k not in ("v", "id", "type")} for r in self.requests if r["type"] == kind]

    def nodes(self) -> dict[str, Any]:
        """What the edits so far have added and not removed."""
        nodes: dict[str, Any] = {}
        for edit in self.edits():
            if edit["op"] == "add":
                nodes[edit["node"]] = {"ring": f"ring of {edit['node']}"}
            elif edit["op"] == "remove":
                nodes.pop(edit["node"], None)
        return nodes

    def edits(self) -> list[dict[str, Any]]:
        """All edits so far, in order."""
        return [edit for request in self.asked("transaction") for edit in request["edits"]]


@pytest.fixture
def link() -> ScriptedLink:
    return ScriptedLink()


@pytest.fixture
def client(link: ScriptedLink) -> Client:
    return Client(link)
