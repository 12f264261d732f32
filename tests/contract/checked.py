"""A stranger that believes nothing: every request, answer and event is held against the class that describes it."""

from __future__ import annotations

import time
from typing import Any

import msgpack
from plain_engine import PATIENCE, PlainClient, PlainEngine, until

from asmu_engine.protocol.codec import unpack
from asmu_engine.protocol.messages import parse_request
from asmu_engine.protocol.replies import ANSWERS, BeatMessage, RefusedMessage, WorkedMessage, check_result
from asmu_engine.protocol.reply import ANY_REFUSALS
from asmu_engine.protocol.topics import check_event

FRAGILE = '''
import os
from asmu_engine.rt.acore import AEffect, AGenerator


class AFragile(AEffect):
    """Breaks when told to."""

    kind = "fragile"
    calls = ("break_now",)
    _broken = False

    def process(self, inputs, outputs):
        if self._broken:
            raise RuntimeError("broken")
        outputs[...] = inputs

    def break_now(self):
        self._broken = True


class AFatal(AGenerator):
    """Takes its process with it once it was told to, and so does each that follows."""

    kind = "fatal"
    calls = ("die_now",)

    def process(self, inputs, outputs):
        if os.path.exists(__file__ + ".die"):
            os.abort()
        outputs.fill(0)

    def die_now(self):
        open(__file__ + ".die", "w").close()
'''
"""A plugin with cores that fail."""


class CheckedClient(PlainClient):
    """Requests and events by hand, each checked.

    `asked` are the types of the requests that worked, `heard` the (topic, event) that came, of all such clients.
    """

    asked: set[str] = set()
    heard: set[tuple[str, str]] = set()

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next answer."""
        deadline = time.monotonic() + patience  # beats go on, whatever else may not
        while True:
            assert self.requests.poll(max(0, deadline - time.monotonic()) * 1000), "no answer"
            message = unpack(self.requests.recv_multipart()[-1])
            if message["type"] != "beat":
                return message
            BeatMessage.model_validate(message)

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """One request; its answer, a reply that is what the page says, or a refusal with a code that it names."""
        self.number += 1
        message = {"v": 1, "id": self.number, "type": kind, **fields}
        request = type(parse_request(message))
        answer = self.raw(msgpack.packb(message))
        assert answer["id"] == self.number
        if answer["type"] == "reply":
            WorkedMessage.model_validate(answer)
            check_result(request, answer["result"])
            self.asked.add(kind)
        else:
            RefusedMessage.model_validate(answer)
            allowed = {*ANY_REFUSALS, *ANSWERS[request].refusals}
            assert answer["code"] in allowed, f"{kind} was refused with {answer}, of which the page says nothing"
        return answer

    def refused(self, kind: str, **fields: Any) -> str:
        """One request that must be refused; the code."""
        answer = self.ask(kind, **fields)
        assert answer["type"] == "error", answer
        return str(answer["code"])

    def event(self, topic: str, what: str, /, patience: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields; all that come are checked, and their numbers."""

        def look() -> dict[str, Any] | None:
            self.take_events()
            return next((e for e in self.seen if (e["topic"], e["event"]) == (topic, what) and fields.items() <= e.items()), None)

        return until(look, f"event {what} of {topic} with {fields}, got {self.seen}", patience)

    def take_events(self) -> None:
        """Check all that has come."""
        while self.events.poll(0):
            topic, data = self.events.recv_multipart()
            message = unpack(data)
            assert topic.decode() == message["topic"]
            before = [event["number"] for event in self.seen if event["topic"] == message["topic"]]
            self.seen.append(message)
            assert not before or message["number"] == before[-1] + 1, message
            check_event(message)
            self.heard.add((message["topic"], message["event"]))


class CheckedEngine(PlainEngine):
    """A host with such clients."""

    def stranger(self, identity: bytes | None = None) -> CheckedClient:
        """Another connection, whose hello is still to come."""
        client = CheckedClient(self.context, self.info, identity)
        self.clients.append(client)
        return client
