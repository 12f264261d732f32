"""History, undo and values on a real engine, among clients that do not know of one another."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from plain_engine import PlainEngine, add, connect, segments, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def engine() -> Iterator[PlainEngine]:
    with PlainEngine(device="offline:inputs=2,outputs=2,stepped=1") as engine:
        yield engine


def set_(node: str, **parameters: Any) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": parameters}


def asmu(*arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "asmu_control", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if not status or done.stdout else done.stderr


def test_undo_reaches_the_samples(engine: PlainEngine) -> None:
    client = engine.client
    client.edit(add("one", "constant", 0, 1, value=0.5), add("tap1", "tap", 1), connect("one", "tap1"), connect("one", "out"))
    client.edit(set_("one", value=0.25))
    client.result("start")
    client.result("step", blocks=1)
    undone = client.result("undo", revision=2)
    assert undone == {"revision": 3, "at": 256, "late": 0}
    assert client.result("value", node="one", parameter="value") == {"value": 0.5}
    ring = client.result("patch")["nodes"]["tap1"]["ring"]
    client.edit({"op": "remove", "node": "tap1"})
    assert segments() == [name for name in segments() if "tap1" not in name]
    back = client.result("undo", revision=4, keep=True)
    assert back["rings"] == {"tap1": ring}
    patch = client.result("patch")
    assert patch["nodes"]["tap1"]["owner"] == ""
    assert ["one", 0, "tap1", 0] in patch["connections"]
    refusal = client.ask("undo", revision=2)
    assert (refusal["code"], refusal["family"]) == ("not_undoable", "patch")
    assert "revision 3 of" in refusal["message"]


def test_undo_obeys_leases_and_revisions_and_is_done_once(engine: PlainEngine) -> None:
    mine, other = engine.client, engine.connect()
    other.result("hello", name="other", pid=os.getpid())
    mine.edit(add("gain1", "gain", 1, 1))
    mine.edit(set_("gain1", gain=2.0))
    mine.result("lease", nodes=["gain1"])
    refusal = other.ask("undo", revision=2)
    assert (refusal["code"], refusal["family"]) == ("leased", "access")
    mine.result("release", nodes=["gain1"])
    done = other.result("undo", revision=2, key="only-once")
    assert other.result("undo", revision=2, key="only-once") == done
    assert mine.result("patch")["revision"] == 3
    entries = mine.result("history")["entries"]
    assert [(entry["author"], entry["undoes"]) for entry in entries][1:] == [(entries[0]["author"], None), ("other", 2)]
    assert other.ask("undo", revision=1, key="only-once")["code"] == "key_reused"


def test_a_transaction_that_was_scheduled_stands_where_it_took_effect(engine: PlainEngine) -> None:
    client = engine.client
    client.edit(add("gain1", "gain", 1, 1))
    client.result("transaction", at=300, edits=[set_("gain1", gain=2.0)])
    client.edit(set_("gain1", gain=3.0))
    client.result("start")
    client.result("step", blocks=2)
    entries = until(lambda: len(found := client.result("history", edits=True)["entries"]) == 3 and found, "all three")
    assert [(entry["at"], entry["late"]) for entry in entries] == [(0, 0), (0, 0), (300, 0)]
    assert entries[1]["back"] == [set_("gain1", gain=1.0)]
    assert entries[2]["back"] == [set_("gain1", gain=3.0)]
    client.result("undo", revision=3)
    assert client.result("value", node="gain1", parameter="gain") == {"value": 3.0}


def test_whole_arrays_are_given_when_asked_for(engine: PlainEngine) -> None:
    client = engine.client
    data = struct.pack("<2000f", *range(2000))
    array = msgpack.ExtType(1, struct.pack("<2sB2Q", b"f4", 2, 2000, 1) + data)
    client.edit(add("vector1", "vector", 0, 1, vector=array))
    assert client.result("patch")["nodes"]["vector1"]["parameters"]["vector"] == {"array": "f4", "shape": [2000, 1]}
    assert client.result("value", node="vector1", parameter="vector")["value"] == array
    assert client.ask("value", node="vector1", parameter="none")["code"] == "unknown_parameter"
    assert client.ask("value", node="in", parameter="vector")["code"] == "unknown_node"


def test_the_history_goes_on_over_the_death_of_the_audio_process(engine: PlainEngine) -> None:
    client = engine.client
    client.edit(add("gain1", "gain", 1, 1))
    client.edit(set_("gain1", gain=2.0))
    audio = client.result("status")["processes"]["audio"]["pid"]
    os.kill(audio, 9)
    until(lambda: (client.result("status")["processes"]["audio"] or {}).get("pid") not in (None, audio), "another process")
    client.result("undo", revision=2)
    assert client.result("value", node="gain1", parameter="gain") == {"value": 1.0}


def test_an_engine_whose_journal_cannot_be_written_does_not_start(tmp_path: Path) -> None:
    engine = PlainEngine(device="offline", journal=str(tmp_path / "none" / "journal"))
    try:
        assert engine.greeting["error"]["code"] == "file_unwritable"
        assert "none/journal" in engine.greeting["error"]["message"]
    finally:
        assert engine.end() == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_journal_that_fails_is_told_and_the_engine_goes_on(tmp_path: Path) -> None:
    with PlainEngine(device="offline:stepped=1", journal="/dev/full") as engine:
        engine.client.listen()
        engine.client.edit(add("gain1", "gain", 1, 1))
        assert engine.client.result("patch")["revision"] == 1
    assert "the journal is not whole: No space left on device" in engine.words


def test_the_command_line(tmp_path: Path) -> None:
    with PlainEngine(name="lab", device="offline:inputs=2,outputs=2,stepped=1") as engine:
        client = engine.client
        file, other, picture = tmp_path / "patch.toml", tmp_path / "patch.json", tmp_path / "patch.svg"
        client.edit(
            add("sine1", "sine", 0, 1, frequency=250.0),
            add("gain1", "gain", 1, 1),
            connect("sine1", "gain1"),
            connect("gain1", "out"),
        )
        client.edit(set_("gain1", gain=0.5))
        shown = asmu("patch", "show", "lab")
        assert 'connections = [\n    "sine1:0 -> gain1:0",\n    "gain1:0 -> out:0",\n]' in shown
        assert json.loads(asmu("patch", "show", "lab", "--json"))["nodes"]["gain1"]["parameters"] == {"gain": 0.5}
        assert '"sine1" -> "gain1"' in asmu("patch", "show", "lab", "--dot")
        asmu("patch", "show", "lab", "--svg", str(picture))
        assert picture.read_text().startswith("<svg")
        assert "2 nodes and 2 connections" in asmu("patch", "save", "lab", str(file))
        assert file.read_text() == shown
        assert asmu("patch", "diff", "lab", str(file)) == "no difference\n"
        listed = asmu("patch", "history", "lab", "--edits")
        assert "set gain1.gain = 0.5" in listed
        assert "connect gain1:0 -> out:0" in listed
        assert "revision 2 is undone by revision 3" in asmu("patch", "undo", "lab")
        assert asmu("patch", "diff", str(file), "lab", status=1) == "~ gain1.gain: 0.5 → 1.0\n"
        assert "revision 1 is undone by revision 4" in asmu("patch", "undo", "lab")
        assert "nothing to undo" in asmu("patch", "undo", "lab", status=1)
        assert "revision 4 is undone by revision 5" in asmu("patch", "undo", "lab", "4")
        entries = json.loads(asmu("patch", "history", "lab", "--json", "--limit", "3"))
        assert [(entry["revision"], entry["undoes"], entry["author"]) for entry in entries] == [
            (3, 2, "asmu"),
            (4, 1, "asmu"),
            (5, 4, "asmu"),
        ]
        assert "from frame 0 on: 2 nodes" in asmu("patch", "load", "lab", str(file))
        asmu("patch", "save", "lab", str(other))
        assert asmu("patch", "diff", str(file), str(other)) == "no difference\n"
        # What the commands put there has stayed, though each of them was a client that left.
        assert {node["owner"] for node in client.result("patch")["nodes"].values()} == {""}
        file.write_text(file.read_text().replace("gain = 0.5", "gain = 'loud'"))
        refused = asmu("patch", "load", "lab", str(file), status=1)
        assert "gain1.gain: 'loud' is not a number" in refused
        assert asmu("patch", "diff", "lab", str(other)) == "no difference\n"
        assert "already there" in asmu("patch", "load", "lab", str(other), "--add", status=1)
