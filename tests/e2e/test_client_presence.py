"""Clients as the others see them, by plain pyzmq: they come, die, hang, come back, leave, and hold things for themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import soundfile
import zmq
from plain_engine import PlainClient, PlainEngine, add, connect, until

from asmu_engine.shm.status import StatusPage

pytestmark = pytest.mark.e2e

RATE = 48000

PUPPET = """
import json, re, sys, msgpack, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.setsockopt(zmq.IDENTITY, b"puppet")
socket.connect(sys.argv[1])
for line in sys.stdin:
    if line.strip() == "busy":
        re.match("(a+)+b", "a" * 64)  # for years, in one call that holds the interpreter's lock
    message = json.loads(line)
    socket.send(msgpack.packb(message))
    while (answer := msgpack.unpackb(socket.recv()))["id"] != message["id"]:
        pass
    print(json.dumps(answer), flush=True)
"""


class Puppet:
    """A client in a process of its own, which sends what it is told to."""

    def __init__(self, engine: PlainEngine, **hello: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUPPET, engine.info["requests"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.number = 0
        self.facts = self.result("hello", **{"name": "puppet", "pid": self.process.pid, "beat": True, **hello})
        self.id = self.facts["client"]

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def result(self, kind: str, **fields: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        self.number += 1
        self.tell(json.dumps({"v": 1, "id": self.number, "type": kind, **fields}))
        answer = json.loads(self.process.stdout.readline())
        assert answer["type"] == "reply", answer
        return answer["result"]

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def engine() -> Iterator[PlainEngine]:
    """Running, with a client that listens."""
    with PlainEngine("lab") as engine:
        engine.client.listen()
        engine.client.result("start")
        yield engine


@pytest.fixture
def make_puppet(engine: PlainEngine) -> Iterator[Any]:
    """Clients in processes of their own."""
    made: list[Puppet] = []

    def make(**hello: Any) -> Puppet:
        made.append(Puppet(engine, **hello))
        return made[-1]

    yield make
    for puppet in made:
        puppet.close()


def told(client: PlainClient, what: str, identifier: str) -> dict[str, Any]:
    """Wait for an event about one client; test_host_presence.py shows that it comes within 5 s, with a clock of its own."""

    def look() -> dict[str, Any] | None:
        while client.events.poll(0):
            client.seen.append(msgpack.unpackb(client.events.recv_multipart()[1]))
        return next((e for e in client.seen if e["topic"] == "client" and (e["event"], e["id"]) == (what, identifier)), None)

    return until(look, f"client {what} of {identifier}")


def said(client: PlainClient, identifier: str) -> list[str]:
    """What was told so far about one client."""
    return [e["event"] for e in client.seen if e["topic"] == "client" and e.get("id") == identifier]


def nodes(engine: PlainEngine) -> dict[str, str]:
    """Nodes of the patch with their owners."""
    return {name: node["owner"] for name, node in engine.client.result("patch")["nodes"].items()}


# -- handshake --------------------------------------------------------------------------------------------------------


def test_hello_comes_first_and_tells_all_that_a_client_must_know(engine: PlainEngine) -> None:
    stranger = engine.stranger()
    for kind in ("status", "patch", "goodbye", "start", "snapshot"):
        answer = stranger.ask(kind)
        assert (answer["type"], answer["code"], answer["family"]) == ("error", "hello_first", "protocol")
    assert stranger.ask("ping") == {"v": 1, "id": stranger.number, "type": "reply", "result": {}}

    facts = stranger.hello(name="notebook", grace=2.5)
    assert facts["client"].startswith("c")
    assert (facts["name"], facts["protocol"], facts["samplerate"], facts["blocksize"]) == ("lab", 1, 48000.0, 256)
    assert (facts["role"], facts["grace"], facts["beat_seconds"], facts["silent_seconds"]) == ("admin", 2.5, 1.0, 4.0)
    assert facts["revision"] == 0
    assert len(facts["token"]) == 32
    assert facts["endpoints"] == {"events_port": None, "services": []}
    assert set(facts["numbers"]) == {"engine", "patch", "xrun", "node", "device", "disk", "client"}
    clock = until(lambda: (f := stranger.hello()["clock"])["frame_position"] > 0 and f, "a block")
    assert set(clock) == {"frame_position", "monotonic_ns", "utc_ns"}
    assert clock["monotonic_ns"] > 0

    listed = next(c for c in engine.client.result("status")["clients"] if c["id"] == facts["client"])
    assert {key: listed[key] for key in ("name", "pid", "role", "address", "away", "leases")} == {
        "name": "plain",
        "pid": os.getpid(),
        "role": "admin",
        "address": "",
        "away": False,
        "leases": {"nodes": [], "outputs": []},
    }


def test_client_of_another_protocol_version_gets_a_clear_refusal(engine: PlainEngine) -> None:
    stranger = engine.stranger()
    answer = stranger.raw(msgpack.packb({"v": 99, "id": 1, "type": "hello", "name": "future"}))
    assert (answer["code"], answer["id"]) == ("protocol_version", 1)
    assert "99" in answer["message"]
    assert "speaks version 1" in answer["message"]


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("observer", ["status", "patch", "snapshot", "catalogue", "ping", "history"], ["transaction", "lease", "start", "keys"]),
        ("operator", ["status", "transaction", "lease", "release"], ["start", "stop", "shutdown", "fault", "keys"]),
    ],
)
def test_role_that_a_client_asks_for_bounds_it(engine: PlainEngine, role: str, may: list[str], may_not: list[str]) -> None:
    client = engine.connect(role=role)
    fields = {"transaction": {"edits": [add("gain1", "gain", 1, 1)]}, "fault": {"fault": "back"}}
    assert client.facts["role"] == role
    for kind in may:
        client.result(kind, **fields.get(kind, {}))
    revision = engine.client.result("patch")["revision"]
    for kind in may_not:
        answer = client.ask(kind, **fields.get(kind, {}))
        assert (answer["code"], answer["family"], answer["where"]) == ("not_allowed", "access", kind)
        assert f"this client is {role}" in answer["message"]
    assert engine.client.result("patch")["revision"] == revision
    assert engine.client.result("status")["state"] == "running"


def test_message_that_is_replayed_or_out_of_order_is_refused(engine: PlainEngine) -> None:
    client = engine.connect()
    first, second = (
        msgpack.packb({"v": 1, "id": number, "type": "transaction", "edits": [add(f"gain{number}", "gain", 1, 1)]})
        for number in (10, 20)
    )
    answer = client.raw(second)
    assert answer["result"]["revision"] == 1
    assert client.raw(first)["code"] == "out_of_order"
    assert client.raw(second) == answer  # a repetition: answered again, done once
    assert client.raw(msgpack.packb({"v": 1, "id": 20, "type": "status"}))["code"] == "out_of_order"
    assert client.raw(msgpack.packb({"v": 1, "id": 0, "type": "ping"}))["type"] == "reply"
    assert list(nodes(engine)) == ["gain20"]


# -- coming and going -------------------------------------------------------------------------------------------------


def test_client_that_is_killed_is_gone_with_its_nodes_and_leases(engine: PlainEngine, make_puppet: Any) -> None:
    puppet = make_puppet(grace=3600)
    puppet.result("transaction", edits=[add("gone", "gain", 1, 1)])
    puppet.result("transaction", edits=[add("stays", "gain", 1, 1)], keep=True)
    puppet.result("lease", nodes=["gone", "stays"], outputs=[2])
    assert nodes(engine) == {"gone": puppet.id, "stays": ""}
    assert engine.client.result("status")["owners"] == {"gone": puppet.id}
    refused = engine.client.ask("transaction", edits=[{"op": "remove", "node": "stays"}])
    assert (refused["code"], refused["family"], refused["where"]) == ("leased", "access", "stays")
    assert f"puppet ({puppet.id})" in refused["message"]

    puppet.signal(signal.SIGKILL)
    told(engine.client, "left", puppet.id)  # its process is gone, which no grace can mend
    assert nodes(engine) == {"stays": ""}
    edited = [e for e in engine.client.seen if e["topic"] == "patch"][-1]
    assert (edited["author"], edited["edits"]) == ("engine", 1)
    assert puppet.id not in [c["id"] for c in engine.client.result("status")["clients"]]
    engine.client.edit({"op": "remove", "node": "stays"})


def test_client_that_is_stopped_is_noticed_and_comes_back_as_the_same(engine: PlainEngine, make_puppet: Any) -> None:
    puppet = make_puppet(grace=60)
    puppet.result("transaction", edits=[add("own", "gain", 1, 1)])
    puppet.result("lease", nodes=["own"], outputs=[1])
    puppet.signal(signal.SIGSTOP)
    told(engine.client, "away", puppet.id)
    listed = next(c for c in engine.client.result("status")["clients"] if c["id"] == puppet.id)
    assert (listed["away"], listed["leases"]) == (True, {"nodes": [], "outputs": []})
    engine.client.edit({"op": "set", "node": "own", "parameters": {"gain": 0.5}})  # which was leased
    assert nodes(engine) == {"own": puppet.id}

    puppet.signal(signal.SIGCONT)
    told(engine.client, "back", puppet.id)
    assert puppet.result("lease", nodes=["own"]) == {"nodes": ["own"], "outputs": []}
    assert said(engine.client, puppet.id) == ["joined", "away", "back"]


def test_stopped_client_without_grace_has_left_and_must_say_hello_again(engine: PlainEngine, make_puppet: Any) -> None:
    puppet = make_puppet()
    puppet.result("transaction", edits=[add("own", "gain", 1, 1)])
    puppet.signal(signal.SIGSTOP)
    told(engine.client, "left", puppet.id)
    assert nodes(engine) == {}
    puppet.signal(signal.SIGCONT)
    with pytest.raises(AssertionError, match="hello_first"):
        puppet.result("status")
    resumed = puppet.result("hello", name="again", resume=puppet.facts["token"], beat=True)
    assert resumed["client"] == puppet.id
    told(engine.client, "back", puppet.id)


def test_client_whose_python_is_busy_stays_and_one_that_says_nothing_does_not(engine: PlainEngine, make_puppet: Any) -> None:
    puppet = make_puppet()
    puppet.result("transaction", edits=[add("own", "gain", 1, 1)])
    puppet.tell("busy")
    for _ in range(2):  # each takes as long as it takes to give up a client that says nothing, so: twice that long
        silent = engine.connect(name="silent", beat=False)
        told(engine.client, "left", silent.facts["client"])
        assert silent.ask("status")["code"] == "hello_first"
    assert said(engine.client, puppet.id) == ["joined"]
    assert nodes(engine) == {"own": puppet.id}
    listed = next(c for c in engine.client.result("status")["clients"] if c["id"] == puppet.id)
    assert listed["away"] is False


@pytest.mark.parametrize("identity", [b"fixed", None])
def test_host_that_is_stopped_for_a_while_blames_no_client(engine: PlainEngine, identity: bytes | None) -> None:
    client = engine.connect(identity, name="innocent", grace=60 if identity is None else 0)
    client.edit(add("own", "gain", 1, 1))
    page = StatusPage.attach("lab")
    try:
        os.kill(engine.process.pid, signal.SIGSTOP)
        begin = page.counter("frame_position")
        until(lambda: page.counter("frame_position") > begin + 5 * RATE, "five seconds of audio, which goes on")
        os.kill(engine.process.pid, signal.SIGCONT)
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
        page.close()
    silent = engine.connect(name="silent", beat=False)
    told(engine.client, "left", silent.facts["client"])  # so long was there to find fault with anybody
    again = client.ask("status")
    if again["type"] == "error":  # ZeroMQ gave up the connection meanwhile and made another, of another name
        assert (identity, again["code"]) == (None, "hello_first")
        assert client.hello(name="innocent", resume=client.facts["token"])["client"] == client.facts["client"]
    assert "left" not in said(engine.client, client.facts["client"])
    assert nodes(engine) == {"own": client.facts["client"]}


def test_client_hears_a_beat_while_nothing_else_is_said(engine: PlainEngine) -> None:
    client = engine.connect()
    for _ in range(2):
        assert client.requests.poll(5000)
        assert msgpack.unpackb(client.requests.recv()) == {"v": 1, "id": 0, "type": "beat"}


def test_connection_that_is_lost_is_resumed_with_the_token(engine: PlainEngine) -> None:
    first = engine.connect(grace=60)
    first.edit(add("own", "gain", 1, 1))
    first.close()
    told(engine.client, "away", first.facts["client"])
    second = engine.connect(resume=first.facts["token"])
    assert second.facts["client"] == first.facts["client"]
    told(engine.client, "back", first.facts["client"])
    assert nodes(engine) == {"own": first.facts["client"]}
    wrong = engine.stranger().ask("hello", name="thief", resume="0" * 32)
    assert (wrong["code"], wrong["family"], wrong["where"]) == ("token_unknown", "access", "resume")


def test_goodbye_is_answered_when_everything_is_gone(engine: PlainEngine) -> None:
    client = engine.connect()
    client.edit(add("own", "gain", 1, 1))
    client.result("lease", outputs=[1])
    assert client.result("goodbye") == {}
    assert nodes(engine) == {}
    engine.client.result("lease", outputs=[1])
    told(engine.client, "left", client.facts["client"])
    assert client.ask("status")["code"] == "hello_first"
    assert client.ask("hello", name="again", resume=client.facts["token"])["code"] == "token_unknown"


def test_what_a_client_that_left_had_scheduled_is_not_done(engine: PlainEngine) -> None:
    client = engine.connect()
    far = client.facts["frame_position"] + 3600 * RATE
    own = client.result("transaction", edits=[add("later", "gain", 1, 1)], at=far)["scheduled"]
    kept = client.result("transaction", edits=[add("kept", "gain", 1, 1)], at=far, keep=True)["scheduled"]
    assert [s["scheduled"] for s in engine.client.result("scheduled")["scheduled"]] == [own, kept]
    client.result("goodbye")
    assert [s["scheduled"] for s in engine.client.result("scheduled")["scheduled"]] == [kept]


# -- recordings -------------------------------------------------------------------------------------------------------


def chain(name: str) -> list[dict[str, Any]]:
    one, half, tap = f"{name}-one", f"{name}-half", f"{name}-tap"
    return [
        add(one, "constant", 0, 1, value=1.0),
        add(half, "gain", 1, 1, gain=0.5),
        add(tap, "tap", 1),
        add(f"{name}-aside", "gain", 1, 1),
        connect(one, half),
        connect(half, tap),
        connect(one, f"{name}-aside"),
    ]


def test_kept_recording_outlives_its_client_and_another_one_ends_whole(
    engine: PlainEngine, make_puppet: Any, tmp_path: Path
) -> None:
    puppet = make_puppet()
    jobs = {}
    for name, keep in (("kept", True), ("other", False)):
        puppet.result("transaction", edits=chain(name))
        jobs[name] = puppet.result("record", node=f"{name}-tap", path=str(tmp_path / f"{name}.wav"), keep=keep)["job"]
    until(lambda: engine.client.result("job", job=jobs["other"])["frames"] > RATE // 10, "frames")
    puppet.signal(signal.SIGKILL)
    told(engine.client, "left", puppet.id)

    assert set(nodes(engine)) == {"kept-one", "kept-half", "kept-tap"}
    other = engine.client.result("job", job=jobs["other"])
    assert (other["state"], other["lost_frames"]) == ("finished", 0)
    assert "puppet left" in other["reason"]
    data, samplerate = soundfile.read(tmp_path / "other.wav", dtype="float32")
    assert (samplerate, len(data)) == (RATE, other["frames"])
    assert np.all(data == 0.5)

    frames = engine.client.result("job", job=jobs["kept"])["frames"]
    until(lambda: engine.client.result("job", job=jobs["kept"])["frames"] > frames + RATE // 10, "more frames")
    kept = engine.client.result("job_stop", job=jobs["kept"])
    assert (kept["state"], kept["lost_frames"]) == ("finished", 0)
    data, _ = soundfile.read(tmp_path / "kept.wav", dtype="float32")
    assert len(data) == kept["frames"]
    assert np.all(data == 0.5)
    until(lambda: nodes(engine) == {}, "the end of what the recording needed")


# -- leases, services, snapshot ---------------------------------------------------------------------------------------


def test_leases_are_refused_with_the_holder_and_end_with_release(engine: PlainEngine) -> None:
    anna, bert = engine.connect(name="anna", role="operator"), engine.connect(name="bert", role="operator")
    anna.edit(add("mine", "gain", 1, 1), add("src", "sine", 0, 1), connect("src", "mine"))
    assert anna.result("lease", nodes=["mine"], outputs=[2, 1]) == {"nodes": ["mine"], "outputs": [1, 2]}
    bert.edit(add("tap1", "tap", 1), connect("mine", "tap1"))  # to read it stays free
    before = engine.client.result("patch")
    holder = f"anna ({anna.facts['client']})"
    for edit, where in (
        ({"op": "set", "node": "mine", "parameters": {"gain": 2.0}}, "mine"),
        ({"op": "remove", "node": "src"}, "mine"),
        ({"op": "disconnect", "target": "mine", "input": 0}, "mine"),
        (connect("src", "out"), "out:0"),
    ):
        answer = bert.ask("transaction", edits=[add("new", "gain", 1, 1), edit])
        assert (answer["code"], answer["where"], answer["retry"]) == ("leased", where, True)
        assert holder in answer["message"]
    answer = bert.ask("lease", outputs=[3, 2])
    assert (answer["code"], answer["where"]) == ("leased", "out:1")
    assert bert.ask("lease", nodes=["src"])["code"] == "not_allowed"
    assert bert.ask("lease", nodes=["nobody"])["code"] == "unknown_node"
    assert bert.ask("play", node="mine", path="/tmp/x.wav")["code"] == "leased"
    assert engine.client.result("patch") == before
    listed = {c["name"]: c["leases"] for c in engine.client.result("status")["clients"]}
    assert listed["anna"] == {"nodes": ["mine"], "outputs": [1, 2]}
    assert listed["bert"] == {"nodes": [], "outputs": []}

    assert anna.result("release", outputs=[1]) == {"nodes": ["mine"], "outputs": [2]}
    bert.edit(connect("src", "out"))
    assert anna.result("release") == {"nodes": [], "outputs": []}
    bert.edit({"op": "set", "node": "mine", "parameters": {"gain": 2.0}})


def test_player_of_a_leased_feed_is_its_holders_alone(engine: PlainEngine, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros((60 * RATE, 1), np.float32), RATE, "FLOAT")
    anna, bert = engine.connect(name="anna"), engine.connect(name="bert")
    anna.edit(add("feed1", "feed", 0, 1))
    job = anna.result("play", node="feed1", path=str(sound))["job"]
    anna.result("lease", nodes=["feed1"])
    for kind, fields in (
        ("play", {"node": "feed1", "path": str(sound)}),
        ("seek", {"job": job, "position": 0}),
        ("job_stop", {"job": job}),
    ):
        answer = bert.ask(kind, **fields)
        assert (answer["code"], answer["where"]) == ("leased", "feed1")
    anna.result("seek", job=job, position=RATE)
    anna.result("release")
    assert bert.result("job_stop", job=job)["state"] == "finished"


def test_transaction_and_lease_in_one_go_are_done_in_that_order(engine: PlainEngine) -> None:
    client = engine.connect()
    requests = (
        {"type": "transaction", "edits": [add("mine", "gain", 1, 1)]},
        {"type": "lease", "nodes": ["mine"]},
        {"type": "transaction", "edits": [{"op": "remove", "node": "mine"}]},
        {"type": "lease", "nodes": ["mine"]},
    )
    for number, message in enumerate(requests, 100):
        client.requests.send(msgpack.packb({"v": 1, "id": number, **message}))
    answers = [client.answer() for _ in requests]
    assert [answer.get("code", "reply") for answer in answers] == ["reply", "reply", "reply", "unknown_node"]


def test_service_that_a_client_announces_is_seen_until_it_leaves(engine: PlainEngine) -> None:
    relay = engine.connect(name="relay")
    relay.result("announce", service="relay", endpoint="tcp://*:5557", facts={"format": "float32"})
    offered = {
        "service": "relay",
        "endpoint": "tcp://*:5557",
        "facts": {"format": "float32"},
        "client": relay.facts["client"],
    }
    assert engine.client.result("status")["services"] == [offered]
    assert engine.connect().facts["endpoints"]["services"] == [offered]
    event = engine.client.event("client", "announced")
    assert {key: event[key] for key in offered} == offered
    for number in range(15):
        relay.result("announce", service=f"other{number}", endpoint="tcp://*:1")
    refused = relay.ask("announce", service="toomany", endpoint="tcp://*:1")
    assert (refused["code"], refused["where"]) == ("engine_state", "toomany")
    relay.result("announce", service="other3", endpoint="")
    assert len(engine.client.result("status")["services"]) == 15
    relay.result("goodbye")
    assert engine.client.result("status")["services"] == []


def test_snapshot_is_all_of_one_moment_and_events_go_on_from_it(engine: PlainEngine) -> None:
    client = engine.connect()
    client.edit(add("gain1", "gain", 1, 1))
    number = client.result("transaction", edits=[add("gain2", "gain", 1, 1)], at=2**40)["scheduled"]
    snapshot = client.result("snapshot")
    assert set(snapshot) == {"status", "patch", "scheduled", "numbers"}
    assert list(snapshot["patch"]["nodes"]) == ["gain1"]
    assert snapshot["patch"]["nodes"]["gain1"]["owner"] == client.facts["client"]
    assert [s["scheduled"] for s in snapshot["scheduled"]] == [number]
    assert snapshot["status"]["revision"] == snapshot["patch"]["revision"] == 1

    client.edit({"op": "set", "node": "gain1", "parameters": {"gain": 2.0}})
    edited = until(
        lambda: (
            engine.client.event("patch", "edited")
            and next((e for e in engine.client.seen if e["topic"] == "patch" and e.get("revision") == 2), None)
        ),
        "the edit",
    )
    assert edited["number"] == snapshot["numbers"]["patch"] + 1
    assert (edited["author"], edited["client"]) == ("plain", client.facts["client"])
    assert client.hello()["numbers"]["patch"] == edited["number"]


def test_many_clients_die_at_once_and_all_are_noticed(engine: PlainEngine) -> None:
    """Sixteen connections of one process, each with nodes of its own, cut without a word."""
    clients = [engine.connect(name=f"many{number}", pid=0) for number in range(16)]
    for number, client in enumerate(clients):
        client.edit(add(f"node{number}", "gain", 1, 1))
    assert len(nodes(engine)) == 16
    for client in clients:
        client.requests.close(0)
    for client in clients:
        told(engine.client, "left", client.facts["client"])
    assert nodes(engine) == {}
    assert [c["name"] for c in engine.client.result("status")["clients"]] == ["listener"]


def test_req_socket_is_a_client_too(engine: PlainEngine) -> None:
    with engine.context.socket(zmq.REQ) as requests:
        requests.connect(engine.info["requests"])
        for number, message in enumerate(({"type": "hello", "name": "req"}, {"type": "patch"}, {"type": "goodbye"}), 1):
            requests.send(msgpack.packb({"v": 1, "id": number, **message}))
            assert requests.poll(15_000)
            assert msgpack.unpackb(requests.recv())["type"] == "reply"
