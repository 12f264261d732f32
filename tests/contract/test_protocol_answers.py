"""What engines answer and publish is what the page says, field by field, for every request and every event."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from checked import FRAGILE, CheckedClient, CheckedEngine
from plain_engine import add, connect, until

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.replies import ANSWERS
from asmu_engine.protocol.topics import EVENTS, event_name

pytestmark = pytest.mark.e2e

VIRTUAL = "virtual:inputs=2,outputs=2,buffer_s=3600"
"""It loses nothing by itself, however late the machine is."""


def array(*values: float) -> msgpack.ExtType:
    import struct

    return msgpack.ExtType(1, Array("f4", (len(values), 1), struct.pack(f"<{len(values)}f", *values)).encode())


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin, and one for recordings."""
    base = tmp_path_factory.mktemp("contract")
    (base / "fragile.py").write_text(FRAGILE)
    (base / "takes").mkdir()
    return base


@pytest.fixture(scope="module")
def engine(module_folders: object, places: Path) -> Iterator[CheckedEngine]:
    """A virtual device that runs."""
    settings: dict[str, Any] = {"plugins": [str(places / "fragile.py")], "recordings": str(places / "takes")}
    with CheckedEngine("contract", device=VIRTUAL, journal=str(places / "journal.jsonl"), **settings) as engine:
        engine.client.listen()
        engine.client.result("start")
        engine.client.event("device", "started")
        engine.client.event("engine", "state", state="running")
        yield engine
        engine.client.take_events()


@pytest.fixture
def client(engine: CheckedEngine) -> CheckedClient:
    return engine.client


def test_clients_come_and_go(engine: CheckedEngine, client: CheckedClient) -> None:
    assert client.result("ping") == {}
    first = engine.connect(name="first", pid=0, grace=0)
    here = client.event("client", "joined", name="first")["id"]
    assert here == first.facts["client"]
    assert first.result("announce", service="relay", endpoint="tcp://*:5557", facts={"format": "float32"}) == {}
    client.event("client", "announced", service="relay")
    status = client.result("status")
    assert {"service": "relay", "endpoint": "tcp://*:5557", "facts": {"format": "float32"}, "client": here} in status["services"]
    assert here in [present["id"] for present in status["clients"]]
    assert first.result("goodbye") == {}
    client.event("client", "left", id=here)


def test_a_client_that_is_away_comes_back(engine: CheckedEngine, client: CheckedClient) -> None:
    lost = engine.connect(name="lost", pid=0, grace=600)
    lost.close()
    client.event("client", "away", id=lost.facts["client"])
    again = engine.connect(name="lost", pid=0, resume=lost.facts["token"])
    assert again.facts["client"] == lost.facts["client"]
    client.event("client", "back", id=lost.facts["client"])
    assert engine.stranger().refused("hello", name="nobody", resume="0" * 32) == "token_unknown"
    assert engine.stranger().refused("status") == "hello_first"
    again.result("goodbye")


def test_leases(engine: CheckedEngine, client: CheckedClient) -> None:
    client.edit(add("mine", "gain", 1, 1))
    assert client.result("lease", nodes=["mine"], outputs=[1]) == {"nodes": ["mine"], "outputs": [1]}
    other = engine.connect(name="other")
    assert other.refused("transaction", edits=[{"op": "set", "node": "mine", "parameters": {"gain": 2.0}}]) == "leased"
    assert other.refused("lease", nodes=["mine"]) == "leased"
    assert client.refused("lease", nodes=["nothing"]) == "unknown_node"
    assert client.result("release") == {"nodes": [], "outputs": []}
    other.result("goodbye")
    client.edit({"op": "remove", "node": "mine"})


def test_an_observer_looks(engine: CheckedEngine) -> None:
    observer = engine.connect(name="observer", role="observer")
    for request in ("status", "snapshot", "scheduled", "patch", "catalogue", "history"):
        observer.result(request)
    assert observer.refused("stop") == "not_allowed"
    observer.result("goodbye")


def test_transactions(client: CheckedClient) -> None:
    done = client.edit(add("a", "sine", 0, 1), add("b", "gain", 1, 1), add("t", "tap", 1), connect("a", "b"), connect("b", "t"))
    assert done["late"] == 0
    assert list(done["rings"]) == ["t"]
    told = client.event("patch", "edited", revision=done["revision"])
    assert (told["author"], told["edits"], told["rings"]) == (client.facts and "listener", 5, done["rings"])
    late = client.result("transaction", at=0, edits=[{"op": "set", "node": "b", "parameters": {"gain": 0.5}}])
    assert late["late"] == late["at"]
    assert client.refused("transaction", if_revision=0, edits=[{"op": "remove", "node": "b"}]) == "revision_changed"
    assert client.refused("transaction", edits=[add("a", "sine", 0, 1)]) == "duplicate_node"
    patch = client.result("patch")
    assert patch["nodes"]["b"]["parameters"] == {"gain": 0.5}
    assert ["a", 0, "b", 0] in patch["connections"]
    assert client.result("value", node="b", parameter="gain") == {"value": 0.5}
    assert client.refused("value", node="b", parameter="loudness") == "unknown_parameter"
    history = client.result("history", since=done["revision"] - 1, edits=True)["entries"]
    assert [entry["edits"] for entry in history] == [5, 1]
    client.result("undo", revision=late["revision"])
    assert client.refused("undo", revision=10**9) == "not_undoable"
    client.edit({"op": "remove", "node": "a"}, {"op": "remove", "node": "b"}, {"op": "remove", "node": "t"})
    assert client.result("snapshot")["patch"]["revision"] == client.result("patch")["revision"]


def test_what_is_scheduled() -> None:
    with CheckedEngine("stepped", device="offline:inputs=1,outputs=1,stepped=1") as engine:
        client = engine.client
        client.listen()
        client.result("start", drop=0)
        client.edit(add("s", "gain", 1, 1))
        far = client.result("status")["frame_position"] + 10**9
        waiting = client.result("transaction", at=far, edits=[{"op": "set", "node": "s", "parameters": {"gain": 0.5}}])
        assert [entry["scheduled"] for entry in client.result("scheduled")["scheduled"]] == [waiting["scheduled"]]
        assert len(client.result("snapshot")["scheduled"]) == 1
        client.result("cancel", scheduled=waiting["scheduled"])
        client.event("patch", "cancelled", scheduled=waiting["scheduled"])
        assert client.refused("cancel", scheduled=waiting["scheduled"]) == "scheduled_unknown"
        soon = client.result("status")["frame_position"] + 1000
        doomed = client.result("transaction", at=soon, edits=[{"op": "set", "node": "s", "parameters": {"gain": 0.5}}])
        client.edit({"op": "remove", "node": "s"})
        client.event("patch", "dropped", scheduled=doomed["scheduled"], code="unknown_node")
        assert client.result("scheduled", scheduled=doomed["scheduled"])["outcome"]["state"] == "dropped"
        assert client.refused("scheduled", scheduled=10**6) == "scheduled_unknown"
        client.edit(add("s", "gain", 1, 1))
        done = client.result("transaction", at=soon, edits=[{"op": "remove", "node": "s"}])
        client.result("step", blocks=4)
        edited = client.event("patch", "edited", scheduled=done["scheduled"])
        assert (edited["at"], edited["late"]) == (soon, 0)
        assert client.result("scheduled", scheduled=done["scheduled"])["outcome"]["at"] == soon


def test_what_nodes_say(client: CheckedClient) -> None:
    client.edit(
        add("burst", "sineburst", 0, 1, frequency=1000.0, periods=5.0),
        add("vector", "vector", 0, 1, vector=array(0.1, 0.2, 0.3)),
        add("envelope", "adsr", 1, 1, attack=0.0, release=0.001),
    )
    started = client.event("node", "node", node="burst", what="started")
    assert client.event("node", "node", node="burst", what="finished")["position"] == started["position"] + 240
    started = client.event("node", "node", node="vector", what="started")
    assert client.event("node", "node", node="vector", what="finished")["position"] == started["position"] + 3
    client.edit({"op": "call", "node": "envelope", "call": "start"})
    client.event("node", "node", node="envelope", what="triggered")
    client.edit({"op": "call", "node": "envelope", "call": "release_now"})
    released = client.event("node", "node", node="envelope", what="released")
    assert client.event("node", "node", node="envelope", what="finished")["position"] == released["position"] + 48
    assert client.result("status")["said"]["burst"].keys() == {"started", "finished"}
    client.edit(*({"op": "remove", "node": node} for node in ("burst", "vector", "envelope")))


def test_a_core_that_raises(client: CheckedClient) -> None:
    client.edit(add("fragile", "fragile", 1, 1))
    client.edit({"op": "call", "node": "fragile", "call": "break_now"})
    assert client.event("node", "core_failed", node="fragile")["error"] == "RuntimeError: broken"
    client.edit({"op": "remove", "node": "fragile"})


def test_recordings_and_players(client: CheckedClient, places: Path) -> None:
    client.edit(add("n", "noise", 0, 1), add("tap", "tap", 1), connect("n", "tap"))
    job = client.result("record", node="tap", path="take.wav", subtype="FLOAT")
    assert (job["node"], job["state"]) == ("tap", "running")
    client.event("disk", "job", job=job["job"], state="running")
    until(lambda: client.result("job", job=job["job"])["frames"] > 4800, "a tenth of a second")
    ended = client.result("job_stop", job=job["job"])
    assert ended["state"] == "finished"
    client.event("disk", "job", job=job["job"], state="finished")
    assert client.refused("job", job=10**6) == "disk_job_unknown"
    assert client.refused("record", node="n", path="take.wav") == "unknown_node"
    assert client.refused("record", node="tap", path="no/such/folder/take.wav") == "file_unwritable"
    client.edit(add("feed", "feed", 0, 1))
    job = client.result("play", node="feed", path=str(places / "takes" / "take.wav"), loop=True)
    assert client.refused("play", node="feed", path=str(places / "takes" / "take.wav")) == "feed_in_use"
    client.event("node", "node", node="feed", what="looped")
    assert client.result("seek", job=job["job"], position=100)["kind"] == "play"
    client.event("disk", "job", job=job["job"], state="running")
    client.result("job_stop", job=job["job"])
    job = client.result("play", node="feed", path=str(places / "takes" / "take.wav"), start=ended["frames"] - 480)
    client.event("node", "node", node="feed", what="finished")
    client.event("disk", "job", job=job["job"], state="finished")
    assert client.refused("seek", job=job["job"], position=0) == "disk_job_unknown"
    client.edit(*({"op": "remove", "node": node} for node in ("n", "tap", "feed")))


def test_the_device(client: CheckedClient) -> None:
    at = client.result("reset", drop=1)["at"]
    assert client.event("device", "reset", position=at)["drop"] == 1
    client.result("profile", enabled=True)
    client.edit(add("g", "gain", 1, 1), connect("in", "g"), connect("g", "out"))
    until(lambda: client.result("profile")["nodes"].get("g"), "a measured block")
    client.result("profile", enabled=False)
    client.result("fault", fault="lose", frames=100)
    assert client.event("xrun", "xrun", lost=100)["position"] > 0
    client.result("fault", fault="input_overflow")
    client.event("xrun", "xrun", flags=["input_overflow"])
    assert client.refused("start") == "engine_state"
    client.result("stop")
    client.event("engine", "state", state="stopped", reason="by request")
    assert client.refused("start", outputs=[2]) == "device_channels"
    client.result("stop")
    client.result("start")
    client.result("fault", fault="gone")
    client.event("device", "device_lost")
    client.event("engine", "state", state="lost")
    client.result("fault", fault="back")
    client.result("start")
    client.edit({"op": "remove", "node": "g"})


def test_keys(client: CheckedClient) -> None:
    assert client.result("keys")["keys"] == []
    assert client.refused("keys", action="revoke", name="nobody") == "key_unknown"


def test_processes_that_die(client: CheckedClient) -> None:
    client.edit(add("n", "noise", 0, 1), add("tap", "tap", 1), connect("n", "tap"))
    job = client.result("record", node="tap", path="whole.wav")
    os.kill(client.result("status")["processes"]["disk"]["pid"], signal.SIGKILL)
    client.event("disk", "disk_ended", status="signal 9")
    client.event("disk", "disk_restarted", jobs=[job["job"]])
    os.kill(client.result("status")["processes"]["audio"]["pid"], signal.SIGKILL)
    client.event("engine", "audio_ended", status="signal 9")
    client.event("engine", "audio_restarted", restarts=1)
    assert client.result("job_stop", job=job["job"])["state"] == "finished"
    client.edit({"op": "remove", "node": "n"}, {"op": "remove", "node": "tap"})


def test_recordings_into_folders(client: CheckedClient, places: Path) -> None:
    client.edit(add("n", "noise", 0, 1), add("tap", "tap", 1), connect("n", "tap"))
    settings = {"rollover_seconds": 1.0, "warn_seconds": 1e12, "on_full": "drop_oldest", "tags": {"title": "friday"}}
    channels = [{"name": "m", "device_channel": 1, "unit": "Pa", "factor": 2.5, "calibration": {"level": 94.0}}]
    job = client.result("acquire", node="tap", folder="friday", channels=channels, settings=settings, keep=True)
    assert (job["kind"], job["path"], job["state"]) == ("acquire", str(places / "takes" / "friday"), "running")
    assert client.refused("acquire", node="tap", folder="friday") == "file_unwritable"
    assert client.refused("acquire", node="n", folder="other") == "unknown_node"
    assert client.refused("acquire", node="tap", folder="other", channels=channels * 2) == "bad_message"
    assert client.refused("acquire", node="tap", folder="other", settings={"format": "TAPE"}) == "file_format"
    assert client.refused("acquire", node="tap", folder="other", resume=True) == "file_unreadable"
    assert client.refused("acquire", node="tap", folder="../other") == "path_forbidden"
    client.event("disk", "job", job=job["job"], state="running", kind="acquire")
    assert client.event("disk", "disk_warning", job=job["job"])["what"] == "full_soon"
    until(lambda: client.result("job", job=job["job"])["segments"] > 1, "two segments")
    client.result("fault", fault="clock_step", seconds=2.0)
    assert client.event("engine", "clock_step")["suspended"] is False
    until(lambda: client.result("status")["clock_fit"], "a fit of the clocks")
    client.result("fault", fault="gone")
    until(lambda: client.result("status")["state"] == "lost", "the loss")
    assert client.result("job", job=job["job"])["state"] == "running"
    client.result("fault", fault="back")
    assert client.event("device", "device_back")["gap"] > 0
    ended = client.result("job_stop", job=job["job"])
    assert (ended["state"], ended["lost"].keys()) == ("finished", {"device_lost"})
    client.event("disk", "job", job=job["job"], state="finished", kind="acquire")
    client.edit({"op": "remove", "node": "n"}, {"op": "remove", "node": "tap"})


def test_a_core_that_takes_the_audio_process_with_it(client: CheckedClient) -> None:
    client.edit(add("fatal", "fatal", 0, 1), connect("fatal", "out"))
    client.edit({"op": "call", "node": "fatal", "call": "die_now"})
    assert client.event("node", "left_out", node="fatal")["crashes"] == 3
    until(lambda: client.result("status")["state"] == "running", "the device")
    client.edit({"op": "remove", "node": "fatal"})


@pytest.mark.skipif(os.name != "posix", reason="the journal's disk is played by a named pipe")
def test_an_offline_device_and_a_journal_that_fails(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    reader = os.open(tmp_path / "journal", os.O_RDONLY | os.O_NONBLOCK)
    with CheckedEngine("stepped", device="offline:inputs=1,outputs=1,stepped=1", journal=str(tmp_path / "journal")) as engine:
        client = engine.client
        os.set_blocking(reader, True)
        assert os.read(reader, 65536).startswith(b'{"what": "session"')
        os.close(reader)
        client.listen()
        client.result("start")
        client.edit(add("s", "sine", 0, 1), connect("s", "out"))
        stepped = client.result("step", blocks=3)
        assert stepped["blocks"] == 3
        client.event("engine", "journal_failed")
        assert client.result("shutdown") == {}
        client.event("engine", "ending")


def test_a_state_that_cannot_be_kept(folders: Any) -> None:
    state = Path(os.environ["ASMU_STATE_DIR"]) / "standing"
    with CheckedEngine("standing", private=False, device=VIRTUAL) as engine:
        engine.client.listen()
        until((state / "axis.json").exists, "the state")
        shutil.rmtree(state)
        state.write_text("not a folder")
        engine.client.edit(add("g", "gain", 1, 1))
        assert engine.client.event("engine", "state_failed")["reason"]
        engine.client.result("shutdown")


def test_nothing_was_left_out() -> None:
    """Runs last in this file, and only with all of it."""
    types = {str(request.model_fields["type"].default) for request in ANSWERS}
    assert types - CheckedClient.asked == set()
    events = {(topic, event_name(model)) for topic, models in EVENTS.items() for model in models}
    assert events - CheckedClient.heard == set()
