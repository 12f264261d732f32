"""What a client may not do to others, tried with plain pyzmq on a real engine: leases, what it leaves behind, what floods."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgpack
import pytest
from plain_engine import PlainEngine, add, until
from remote_client import RemoteClient, new_key

from asmu_engine.protocol.patch_replies import HistoryEntry
from asmu_engine.protocol.topics import Edited

pytestmark = pytest.mark.e2e


def set_gain(node: str, gain: float) -> dict[str, object]:
    return {"op": "set", "node": node, "parameters": {"gain": gain}}


def test_what_another_has_scheduled_already_does_not_touch_a_leased_node() -> None:
    with PlainEngine(device="offline:stepped=1,inputs=1,outputs=1") as engine:
        anna, bert = engine.connect(name="anna"), engine.connect(name="bert")
        anna.edit(add("g", "gain", 1, 1))
        engine.client.result("start")
        number = bert.result("transaction", edits=[set_gain("g", 0.25)], at=1000)["scheduled"]  # the audio process has it
        mine = anna.result("transaction", edits=[set_gain("g", 0.5)], at=900)["scheduled"]
        anna.result("lease", nodes=["g"])
        outcome = bert.result("scheduled", scheduled=number)["outcome"]
        assert (outcome["state"], outcome["code"]) == ("dropped", "leased")
        engine.client.result("step", blocks=8)
        until(lambda: anna.result("scheduled", scheduled=mine)["outcome"], "what the holder has scheduled")
        assert anna.result("value", node="g", parameter="gain")["value"] == 0.5


@pytest.mark.parametrize("drop", [0, 2])
def test_a_reset_of_cores_that_another_holds_is_refused(drop: int) -> None:
    with PlainEngine() as engine:
        anna, bert = engine.connect(name="anna"), engine.connect(name="bert")
        anna.edit(add("g", "gain", 1, 1))
        anna.result("lease", nodes=["g"])
        refused = bert.ask("reset", drop=drop)
        assert (refused["code"], refused["where"], refused["retry"]) == ("leased", "g", True)
        anna.result("reset", drop=drop)
        anna.result("release")
        anna.result("lease", outputs=[1])
        assert bert.ask("reset", drop=drop)["type"] == ("error" if drop else "reply")


@pytest.mark.skipif(os.name != "posix", reason="the audio process ends by a signal")
def test_what_waits_for_its_turn_does_not_outlive_a_client_that_left(tmp_path: Path) -> None:
    with PlainEngine() as engine:
        engine.client.edit(add("g", "gain", 1, 1), add("t", "tap", 1))
        ghost = engine.connect(name="ghost")
        audio = engine.client.result("status")["processes"]["audio"]["pid"]
        os.kill(audio, signal.SIGSTOP)
        waiting = engine.connect(name="waiting")
        waiting.requests.send(msgpack.packb({"v": 1, "id": 9, "type": "transaction", "edits": [add("x", "gain", 1, 1)]}))
        requests = [
            {"type": "lease", "nodes": ["g"], "outputs": [1]},
            {"type": "record", "node": "t", "path": str(tmp_path / "x.wav")},
            {"type": "transaction", "edits": [set_gain("g", 0.5)], "at": 2**40},
            {"type": "goodbye"},
        ]
        for number, request in enumerate(requests, 10):
            ghost.requests.send(msgpack.packb({"v": 1, "id": number, **request}))
        assert ghost.answer()["id"] == 13  # the rest still waits
        os.kill(audio, signal.SIGCONT)
        assert [ghost.answer().get("code") for _ in range(3)] == ["hello_first"] * 3
        assert waiting.answer()["type"] == "reply"
        engine.client.result("lease", nodes=["g"], outputs=[1])
        assert engine.client.result("status")["jobs"] == []
        assert engine.client.result("scheduled") == {"scheduled": []}


@pytest.mark.skipif(os.name != "posix", reason="the audio process is stopped by a signal")
def test_a_client_leaves_properly_while_too_much_waits(tmp_path: Path) -> None:
    with PlainEngine() as engine:
        engine.client.edit(add("g", "gain", 1, 1), add("t", "tap", 1))
        anna, flood = engine.connect(name="anna"), engine.connect(name="flood")
        anna.result("transaction", edits=[set_gain("g", 0.5)], at=2**40)
        job = anna.result("record", node="t", path=str(tmp_path / "x.wav"))["job"]
        audio = engine.client.result("status")["processes"]["audio"]["pid"]
        os.kill(audio, signal.SIGSTOP)
        number, answer = 100, {"type": "beat"}
        while answer["type"] == "beat":  # the first answer is the refusal of one too many
            number += 1
            flood.requests.send(msgpack.packb({"v": 1, "id": number, "type": "transaction", "edits": [set_gain("g", 0.3)]}))
            if flood.requests.poll(1):
                answer = msgpack.unpackb(flood.requests.recv_multipart()[-1])
        assert answer["code"] == "engine_state"
        anna.requests.send(msgpack.packb({"v": 1, "id": 10, "type": "goodbye"}))
        until(lambda: engine.client.result("job", job=job)["state"] == "finished", "its recording to be whole")
        os.kill(audio, signal.SIGCONT)
        assert anna.answer()["type"] == "reply"
        until(lambda: not engine.client.result("scheduled")["scheduled"], "what it had scheduled to go")


def test_an_operator_from_elsewhere_cannot_keep_others_from_coming_in() -> None:
    key = new_key("op", "operator")
    with PlainEngine("far", listen="tcp://127.0.0.1:*") as engine:
        bad = RemoteClient(engine, key, name="bad")
        assert bad.ask("announce", service="s", endpoint="tcp://*:1", facts={"a": "b" * 4_000_000})["code"] == "bad_message"
        facts = {f"{number:03d}" + "k" * 252: "v" * 255 for number in range(32)}
        offered = [RemoteClient(engine, key, name=f"bad{number}") for number in range(9)]
        answers = [one.ask("announce", service=f"s{n}", endpoint="tcp://*:1", facts=facts) for one in offered for n in range(16)]
        assert [answer["type"] for answer in answers].count("reply") == 128
        assert engine.connect(name="good").facts["client"]
        for _ in range(20):
            bad.hello(name="bad", pid=0)
        assert [event["event"] for event in engine.client.seen if event.get("name") == "bad"] in ([], ["joined"])


def test_a_device_in_its_wire_form_starts() -> None:
    with PlainEngine(device={"kind": "virtual", "inputs": 1, "outputs": 2}) as engine:
        assert engine.client.result("start")["device"]["outputs"] == [1, 2]


def test_the_engines_own_edits_are_signed_as_the_page_says() -> None:
    with PlainEngine() as engine:
        engine.client.listen()
        guest = engine.connect(name="guest")
        guest.edit(add("g", "gain", 1, 1))
        guest.result("goodbye")
        until(lambda: engine.client.event("client", "left"), "its end")
        removed = [event for event in engine.client.seen if event.get("event") == "edited"][-1]
        assert (removed["author"], removed["client"], removed["edits"]) == ("engine", "engine", 1)
        entry = engine.client.result("history")["entries"][-1]
        assert (entry["author"], entry["client"]) == ("engine", "engine")
    for model in (Edited, HistoryEntry):
        assert "`engine` for the engine itself" in str(model.model_fields["client"].description)
