"""Messages that are large, or become large, floods of them, and connections that speak no ZeroMQ: nobody else is held up."""

from __future__ import annotations

import socket

import pytest
import zmq
from besieged import Bystander, Sizes
from hostile import Hostile, heavy
from plain_engine import PlainEngine, until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

REFUSALS = {"bad_message", "message_too_large", "protocol_version", "unknown_request", "unknown_node"}
GIVEN_BACK_MIB = 64.0
"""What a heavy message may leave in the host."""


@pytest.mark.parametrize("name", heavy())
def test_heavy_message_is_refused_before_it_becomes_heavier(engine: PlainEngine, bystander: Bystander, name: str) -> None:
    size = Sizes(engine.pids()[:2])
    before = size.memory()
    stranger = engine.connect(role="operator")
    for _ in range(3):
        stranger.number = 0  # ids begin anew with the hello
        stranger.hello(role="operator")
        answer = stranger.raw(heavy()[name])
        bystander.ping()
        assert answer["type"] == "error"
        assert answer["code"] in REFUSALS
        assert len(answer["message"]) < 1100
    until(lambda: size.memory() - before < GIVEN_BACK_MIB, "the memory to be given back")
    bystander.check()


@pytest.mark.parametrize("name", ["65 536 edits of nobody", "maps in 60 lists", "a name of 7 MiB"])
def test_flood_of_heavy_messages_holds_up_nobody_else(engine: PlainEngine, bystander: Bystander, name: str) -> None:
    count = 15
    size = Sizes(engine.pids()[:2])
    before = size.memory()
    attackers = []
    for _ in range(3):
        client = engine.connect(role="operator", beat=False)
        client.requests.sndhwm = 0
        attackers.append(client)
    message = heavy()[name]
    for number in range(2, 2 + count):
        for client in attackers:
            client.requests.send(message.replace(b"\xa2id\x02", b"\xa2id" + bytes([number]), 1))
    answered = [0] * len(attackers)

    def all_answered() -> bool:
        for index, client in enumerate(attackers):
            while client.requests.poll(0):
                assert client.answer()["code"] in REFUSALS
                answered[index] += 1
        bystander.ping()
        bystander.edit()
        return min(answered) == count

    until(all_answered, "the answers", 120.0)
    until(lambda: size.memory() - before < GIVEN_BACK_MIB, "the memory to be given back")
    bystander.check()


def test_what_is_no_zeromq_is_turned_away(engine: PlainEngine, bystander: Bystander) -> None:
    path = engine.info["requests"].removeprefix("ipc://")
    open_files = Sizes(engine.pids()[:1]).things()
    chance = Hostile(4, "nowhere")
    for number in range(200):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
            raw.sendall(b"".join(chance.message(number).frames) or b"\0")
    bystander.ping()
    bystander.check()
    until(lambda: Sizes(engine.pids()[:1]).things() == open_files, "the connections to be closed")


def test_a_flood_of_subscriptions_is_forgotten_with_its_sender(engine: PlainEngine, bystander: Bystander) -> None:
    size = Sizes(engine.pids()[:1])
    before = size.memory()
    for _ in range(5):
        subscriber = engine.context.socket(zmq.SUB)
        subscriber.connect(engine.info["events"])
        for number in range(20_000):
            subscriber.subscribe(f"topic {number}".encode())
        bystander.ping()
        subscriber.close(0)
    bystander.check()
    assert size.memory() - before < 100


def test_observer_ends_nothing(engine: PlainEngine, bystander: Bystander) -> None:
    observer = engine.connect(role="observer")
    for kind in ("shutdown", "stop", "start", "step", "reset"):
        assert observer.ask(kind)["code"] == "not_allowed"
    bystander.check()
