"""The engine in memory that scripts are tested with says what a real one says: each answer and event is of its class."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from asmu_control.client import Client
from asmu_control.exceptions import EngineError
from asmu_control.link import Message
from asmu_control.testing import FakeLink
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.messages import parse_request
from asmu_engine.protocol.replies import check_result
from asmu_engine.protocol.topics import check_event

ADD = [{"op": "add", "node": "one", "kind": "sineburst", "outputs": 1, "parameters": {"periods": 1, "frequency": 1000.0}}]


class CheckedLink(FakeLink):
    """Holds every answer against its class."""

    def _do(self, message: Message) -> Message:
        result = super()._do(message)
        try:
            check_result(type(parse_request(message)), unpack(pack(result), None))
        except ValidationError as error:
            raise AssertionError(f"answer to {message['type']}: {error}") from None
        return result


@pytest.fixture
def link() -> CheckedLink:
    return CheckedLink()


def test_answers_and_events(link: CheckedLink) -> None:
    with Client(link) as client:
        events = link.subscribe(())
        done: list[Any] = [
            client.edit(ADD),
            client.edit([{"op": "connect", "source": "one", "output": 0, "target": "out", "input": 0}], keep=True),
            client.edit([{"op": "call", "node": "one", "call": "restart"}], at=1000),
            client.scheduled(),
            client.start(),
            client.step(2),
            client.edit([{"op": "call", "node": "one", "call": "restart"}], at=10**9),
            client.cancel(client.scheduled()[0]["scheduled"]),
            client.undo(2),
            client.history(edits=True),
            client.status(),
            client.snapshot(),
            client.patch(),
            client.value("one", "frequency"),
            client.catalogue(),
            client.lease(nodes=["one"], outputs=[1]),
            client.clients(),
            client.release(),
            client.announce("relay", "tcp://*:1"),
            client.reset(),
            client.step(2),
            client.stop(),
        ]
        assert len(done) == 22
        link.lose_connection()
        client.ping()
        link.lose_connection(left=True)
        client.ping()
        client.status()
        heard = set()
        while (message := events.receive(0)) is not None:
            check_event(message)
            heard.add((message["topic"], message["event"]))
        assert heard == {
            ("patch", "edited"),
            ("patch", "cancelled"),
            ("engine", "state"),
            ("device", "started"),
            ("node", "node"),
            ("client", "announced"),
            ("client", "away"),
            ("client", "back"),
            ("client", "left"),
        }


def test_what_takes_a_device_is_refused_in_words(link: CheckedLink) -> None:
    with Client(link) as client, pytest.raises(EngineError, match="no device") as caught:
        client.request({"type": "profile", "enabled": True})
    assert caught.value.code == "engine_state"
