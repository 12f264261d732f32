"""The journal: its lines, what becomes of it when the disk is full or slow, and that it never waits."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from asmu_engine.config import EngineConfig
from asmu_engine.host import journal as journal_module
from asmu_engine.host.clients import Client
from asmu_engine.host.history import Entry, History
from asmu_engine.host.journal import Journal
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter
from asmu_engine.protocol.device import Virtual
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import DiskError

_EDITS = TypeAdapter(list[Edit])
KINDS = (Kind("vector", "generator", NO_PORTS, ANY_PORTS, (Parameter("vector", type="array", default=None),)),)
PATIENCE = 10.0

Open = Callable[..., Journal]


@pytest.fixture
def failures() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def open_journal(file: Path, failures: list[dict[str, Any]]) -> Iterator[Open]:
    opened: list[Journal] = []

    def make(path: Path | str = file, **settings: Any) -> Journal:
        config = EngineConfig(name="lab", samplerate=48000, blocksize=64, **{"device": "virtual", **settings})
        opened.append(Journal(str(path), config, failures.append))
        return opened[-1]

    yield make
    for journal in opened:
        journal.close(0)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.005)


def entry(revision: int = 1) -> Entry:
    return Entry(revision, "me", "c1", 0.0, 0, 0, 0, False, done=b"\x90")  # of no edits


def test_it_begins_with_the_engine_and_ends_with_its_end(open_journal: Open, file: Path) -> None:
    device = Virtual(inputs=1, outputs=1, matrix=[[0.5]]).to_wire()
    open_journal(device=device, inputs=[1], plugins=("mine.py",)).close(4096)
    head, end = lines(file)
    assert {key: head[key] for key in head if key not in ("utc", "version")} == {
        "what": "session",
        "journal": 1,
        "engine": "lab",
        "protocol": 1,
        "samplerate": 48000.0,
        "blocksize": 64,
        "device": {
            "kind": "virtual",
            "inputs": 1,
            "outputs": 1,
            "matrix": {"array": "float64", "shape": [1, 1], "data": "AAAAAAAA4D8="},
        },
        "inputs": [1],
        "outputs": None,
        "plugins": ["mine.py"],
    }
    assert (end["what"], end["position"]) == ("ended", 4096)
    assert file.stat().st_mode & 0o777 == 0o600


def test_transactions_stand_in_it_whole(open_journal: Open, file: Path) -> None:
    journal = open_journal()
    patch = Patch(KINDS, 64)
    history = History(patch, journal)
    taps = Array("f4", (2,), b"\x00\x00\x80?\x00\x00\x00@")
    edits = [
        {"op": "add", "node": "v", "kind": "vector", "inputs": 0, "outputs": 1, "parameters": {"vector": taps}},
        {"op": "connect", "source": "v", "output": 0, "target": "out", "input": 3},
    ]
    history.kept(Client("c7", "ünïcode"), 5, 640, _EDITS.validate_python(edits), late=2, undoes=3)
    journal.close(0)
    line = lines(file)[1]
    assert line.pop("utc") == history.entries()["entries"][0]["utc"]
    array = {"array": "float32", "shape": [2], "data": "AACAPwAAAEA="}
    assert line == {
        "what": "transaction",
        "revision": 5,
        "author": "ünïcode",
        "client": "c7",
        "at": 640,
        "late": 2,
        "undoes": 3,
        "edits": [{**edits[0], "parameters": {"vector": array}}, edits[1]],
    }


def test_of_events_it_notes_what_the_device_did(open_journal: Open, file: Path) -> None:
    journal = open_journal()
    device = {"name": "virtual", "inputs": [1, 2], "outputs": [2], "paced": True}
    how = {"drop": 3, "reset": False, "end_block": 9}
    noted = [
        ("device", {"event": "started", "position": 64, "device": device, "samplerate": 48000.0, "blocksize": 64, **how}),
        ("engine", {"event": "state", "state": "running", "reason": "", "position": 64}),
        ("xrun", {"event": "xrun", "flags": ["input_overflow"], "lost": 0, "position": 128}),
        ("xrun", {"event": "xrun", "flags": ["input_overflow"], "lost": 7, "position": 135}),
        ("device", {"event": "reset", "position": 199, "drop": 1}),
        ("node", {"event": "node", "node": "a", "what": "finished", "position": 1}),
        ("engine", {"event": "audio_ended", "status": "signal 9", "position": 263}),
        ("engine", {"event": "audio_restarted", "position": 999, "gap": 736, "restarts": 1}),
        ("engine", {"event": "state", "state": "lost", "reason": "unplugged", "position": 1063}),
        ("device", {"event": "device_back", "position": 1500, "gap": 437, "device": device}),
        ("engine", {"event": "state", "state": "stopped", "reason": "", "position": 1564}),
    ]
    for topic, event in noted:
        journal.note(topic, event)
    journal.close(1564)
    assert lines(file)[1:-1] == [
        {"what": "started", "position": 64, "inputs": [1, 2], "outputs": [2], **how},
        {"what": "lost", "position": 135, "lost": 7, "flags": ["input_overflow"]},
        {"what": "reset", "position": 199, "drop": 1},
        {"what": "audio_ended", "position": 263, "status": "signal 9"},
        {"what": "audio_restarted", "position": 999, "gap": 736},
        {"what": "stopped", "position": 1063, "state": "lost", "reason": "unplugged"},
        {"what": "started", "position": 1500, "inputs": [1, 2], "outputs": [2], "drop": 0, "reset": False, "end_block": None},
        {"what": "stopped", "position": 1564, "state": "stopped", "reason": ""},
    ]


def test_it_is_written_while_the_engine_runs(open_journal: Open, file: Path) -> None:
    journal = open_journal()
    journal.transaction(entry())
    until(lambda: len(file.read_bytes().splitlines()) == 2, "the line")


def test_sessions_follow_one_another_also_after_one_that_was_torn(open_journal: Open, file: Path) -> None:
    file.write_bytes(b'{"what": "session"}\n{"what": "trans')
    open_journal().close(0)
    whole = file.read_bytes().split(b"\n")
    assert whole[1] == b'{"what": "trans'
    assert [json.loads(line)["what"] for line in whole[2:] if line] == ["session", "ended"]


def test_a_file_belongs_to_one_engine(open_journal: Open, file: Path) -> None:
    first = open_journal()
    with pytest.raises(DiskError) as caught:
        open_journal()
    assert caught.value.code == "file_unwritable"
    assert "another engine" in str(caught.value)
    first.close(0)
    open_journal()


def test_a_file_that_cannot_be_written_is_refused_at_the_start(open_journal: Open, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "journal"):
        with pytest.raises(DiskError) as caught:
            open_journal(path)
        assert caught.value.code == "file_unwritable"
        assert str(path) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_is_told_once_and_stops_nobody(open_journal: Open, failures: list[dict[str, Any]]) -> None:
    journal = open_journal("/dev/full")
    until(lambda: failures, "the failure")
    for revision in range(100):
        journal.transaction(entry(revision))
    journal.close(0)
    assert [failure["reason"] for failure in failures] == ["No space left on device"]
    assert failures[0]["lost"] == 1
    assert journal._lost == 102


def test_what_was_lost_stands_in_the_journal_when_there_is_room_again(
    open_journal: Open, file: Path, failures: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = threading.Event()
    write = os.write

    first = iter([10])

    def scarce(handle: int, data: Any) -> int:
        if room.is_set():
            return write(handle, data)
        for count in first:
            return write(handle, data[:count])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", scarce)
    journal = open_journal()
    until(lambda: failures, "the failure")
    room.set()
    until(lambda: b"journal_lost" in file.read_bytes(), "the account of it")
    journal.transaction(entry(2))
    journal.close(0)
    torn, *rest = file.read_bytes().splitlines()
    assert torn == b'{"what": "'
    told = [json.loads(line) for line in rest]
    assert told[0] == {"what": "journal_lost", "lines": 1, "reason": "No space left on device"}
    assert [line["what"] for line in told[1:]] == ["transaction", "ended"]


def test_a_disk_that_is_too_slow_costs_lines_not_time(
    open_journal: Open, file: Path, failures: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    write = os.write

    def slow(handle: int, data: Any) -> int:
        go_on.wait(PATIENCE)
        return write(handle, data)

    monkeypatch.setattr(journal_module.os, "write", slow)
    monkeypatch.setattr(journal_module, "MAX_LINES", 10)
    journal = open_journal()
    until(lambda: not journal._lines, "the first line to be taken")
    for revision in range(25):
        journal.transaction(entry(revision))
    assert failures == [{"reason": "the disk is too slow for what happens", "lost": 1}]
    go_on.set()
    until(lambda: b"journal_lost" in file.read_bytes(), "the account of it")
    journal.close(0)
    got = lines(file)
    assert [line["revision"] for line in got if line["what"] == "transaction"] == list(range(10))
    assert [line["lines"] for line in got if line["what"] == "journal_lost"] == [15]


def test_what_has_no_form_on_the_wire_is_counted_as_lost(open_journal: Open, failures: list[dict[str, Any]]) -> None:
    journal = open_journal()
    broken = entry(4)
    broken.done = None
    journal.transaction(broken)
    assert failures == [{"reason": "revision 4 has something that cannot be written", "lost": 1}]
