"""Presence: silence, beats, grace, return, and what is done with what a client leaves behind. Time is the test's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from asmu_engine.host import presence as presence_module
from asmu_engine.host.clients import Client, Clients
from asmu_engine.host.endpoint import Line, Peer
from asmu_engine.host.events import Events
from asmu_engine.host.job import Job
from asmu_engine.host.leases import Leases
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.presence import CHECK_SECONDS, LOST_SECONDS, Presence
from asmu_engine.protocol import messages
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind
from asmu_engine.protocol.codec import unpack
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.version import BEAT_SECONDS, SILENT_SECONDS

_EDITS = TypeAdapter(list[Edit])
KINDS = (Kind("gain", "effect", ANY_PORTS, ANY_PORTS, paired=True), Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"))


class Wire:
    """An endpoint at which everybody is, or nobody."""

    events_port = None

    def __init__(self) -> None:
        self.up = True
        self.sent: list[dict[str, Any]] = []

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        if self.up:
            self.sent.append(unpack(frames[-1]))
        return self.up


class FakeJobs:
    """Jobs that end when the test lets them."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.stopped: dict[int, Any] = {}

    def open(self) -> list[Job]:
        return [job for job in self.jobs if job.open]

    def stop(self, number: int, answer: Any) -> None:
        self.stopped[number] = answer

    def add(self, kind: Any, node: str, client: Client, *, keep: bool = False) -> Job:
        job = Job(len(self.jobs) + 1, kind, node, node, client.name, {"path": "x"}, client.id, keep, "running")
        self.jobs.append(job)
        return job

    def finish(self, job: Job) -> None:
        job.state = "finished"
        if job.job in self.stopped:
            self.stopped[job.job]({}, None)


class Stage:
    """Presence with a clock that the test moves, and a patch that changes at once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: 5e9 + self.now)
        patch.setattr(presence_module, "time", clock)
        patch.setattr("asmu_engine.host.clients.time", clock)
        self.wire = Wire()
        self.clients = Clients()
        self.patch = Patch(KINDS, 256)
        self.leases = Leases(self.patch)
        self.owners = Owners(self.patch, self.leases, self.clients.get)
        self.jobs = FakeJobs()
        self.events: list[tuple[str, str]] = []
        self.done: list[tuple[str, list[str]]] = []
        self.refuse = 0
        self.withdrawn: list[str] = []
        events = Events()
        events.publish = lambda topic, fields: self.events.append((fields["event"], fields["id"]))  # type: ignore[method-assign]
        self.presence = Presence(
            clients=self.clients,
            patch=self.patch,
            owners=self.owners,
            leases=self.leases,
            jobs=self.jobs,  # type: ignore[arg-type]
            events=events,
            submit=self.submit,
            withdraw=self.withdrawn.append,
        )

    def submit(self, request: messages.Transaction, client: Client, size: int, answer: Any) -> None:
        if self.refuse:
            self.refuse -= 1
            raise EngineError("too many", code="engine_state", retry=True)
        self.owners.check(client, request.edits)
        self.patch.apply(request.edits)
        self.owners.kept(client, request.edits, request.keep)
        self.done.append((client.label, [getattr(edit, "node", "") for edit in request.edits]))
        answer({}, None)

    def hello(self, name: str = "guest", identity: bytes | None = None, **fields: Any) -> Client:
        request = messages.Hello(id=1, name=name, **fields)
        peer = Peer(identity or name.encode())
        client = self.clients.admit(request, Line(self.wire, peer))  # type: ignore[arg-type]
        self.presence.joined(client, resumed=bool(request.resume) or client.away is not None)
        return client

    def edit(self, client: Client, *edits: dict[str, Any], keep: bool = False) -> None:
        self.submit(messages.Transaction(id=1, edits=list(edits), keep=keep), client, 0, lambda result, error: None)
        self.done.clear()

    def spend(self, seconds: float) -> None:
        """Let time pass, with the checks that fall into it."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + CHECK_SECONDS)
            self.presence.check()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def add(node: str, kind: str = "gain") -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": 1, "outputs": int(kind == "gain")}


def connect(source: str, target: str) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": 0, "target": target, "input": 0}


# -- being there ------------------------------------------------------------------------------------------------------


def test_client_without_beat_is_away_after_silence_and_left_at_once_without_grace(stage: Stage) -> None:
    client = stage.hello()
    stage.spend(SILENT_SECONDS - CHECK_SECONDS)
    assert client.away is None
    assert stage.wire.sent == []  # it did not ask for it
    stage.spend(CHECK_SECONDS)
    assert stage.events == [("joined", "c1"), ("away", "c1"), ("left", "c1")]
    assert stage.clients.present() == []
    assert stage.clients.find(stage.wire, Peer(b"guest")) is None  # type: ignore[arg-type]


def test_client_without_beat_stays_as_long_as_it_is_heard(stage: Stage) -> None:
    client = stage.hello()
    for _ in range(20):
        stage.spend(2.0)
        assert stage.clients.find(stage.wire, Peer(b"guest")) is client  # type: ignore[arg-type]
    assert stage.events == [("joined", "c1")]


def test_client_with_beat_hears_one_each_second_in_which_nothing_else_is_said(stage: Stage) -> None:
    client = stage.hello(beat=True)
    stage.spend(60.0)
    assert stage.events == [("joined", "c1")]
    assert stage.wire.sent == [{"v": 1, "id": 0, "type": "beat"}] * 60
    stage.wire.sent.clear()
    for _ in range(40):
        stage.spend(0.5)
        client.heard = stage.now
        stage.spend(0.25)
        client.told = stage.now
    assert stage.wire.sent == []


def test_broken_connection_of_a_client_with_beat_is_noticed_in_time(stage: Stage) -> None:
    stage.hello(beat=True, grace=10.0)
    stage.wire.up = False
    # ZeroMQ's own heartbeats take 3 s at most.
    stage.spend(BEAT_SECONDS + LOST_SECONDS + 2 * CHECK_SECONDS)
    assert stage.events == [("joined", "c1"), ("away", "c1")]
    assert 3.0 + BEAT_SECONDS + LOST_SECONDS + 2 * CHECK_SECONDS < 5.0


def test_connection_that_stands_again_at_once_was_never_lost(stage: Stage) -> None:
    client = stage.hello(beat=True)
    for _ in range(10):
        stage.spend(BEAT_SECONDS - CHECK_SECONDS)
        stage.wire.up = False
        stage.spend(CHECK_SECONDS)
        stage.wire.up = True
        stage.spend(CHECK_SECONDS)
        assert client.lost is None
    assert stage.events == [("joined", "c1")]


def test_client_comes_back_within_its_grace_by_its_connection_alone(stage: Stage) -> None:
    client = stage.hello(beat=True, grace=10.0)
    stage.edit(client, add("mine"))
    stage.owners.lease(client, ["mine"], [1])
    stage.wire.up = False
    stage.spend(5.0)
    assert client.away is not None
    assert client.facts()["away"] is True
    assert stage.leases.of(client) == {"nodes": [], "outputs": []}  # they ended
    stage.wire.up = True
    stage.spend(CHECK_SECONDS)
    assert stage.events == [("joined", "c1"), ("away", "c1"), ("back", "c1")]
    assert stage.owners.of("c1") == ["mine"]
    stage.spend(60.0)
    assert len(stage.events) == 3


def test_silent_client_is_back_when_it_speaks(stage: Stage) -> None:
    client = stage.hello(grace=10.0)
    stage.spend(5.0)
    assert stage.clients.find(stage.wire, Peer(b"guest")) is client  # type: ignore[arg-type]
    stage.presence.back(client)
    stage.presence.back(client)  # said once
    stage.spend(1.0)
    assert stage.events == [("joined", "c1"), ("away", "c1"), ("back", "c1")]


def test_what_a_client_owned_is_gone_when_its_grace_is_over(stage: Stage) -> None:
    client = stage.hello(beat=True, grace=3.0)
    stage.edit(client, add("mine"))
    stage.edit(client, add("kept"), keep=True)
    stage.wire.up = False
    stage.spend(4.0)
    assert stage.events == [("joined", "c1"), ("away", "c1")]
    assert "mine" in stage.patch.nodes
    stage.spend(1.0)
    assert stage.events[2:] == [("left", "c1")]
    assert stage.done == [("engine", ["mine"])]
    assert "kept" in stage.patch.nodes
    assert stage.withdrawn == ["c1"]


def test_token_brings_a_client_back_before_and_after_it_left(stage: Stage) -> None:
    client = stage.hello(beat=True, grace=5.0)
    stage.wire.up = False
    stage.spend(3.0)
    stage.wire.up = True
    assert stage.hello(identity=b"new", resume=client.token, beat=True, grace=0.0) is client
    stage.wire.up = False
    stage.spend(3.0)
    stage.wire.up = True
    assert stage.hello(identity=b"newer", resume=client.token) is client
    assert [event for event, _ in stage.events] == ["joined", "away", "back", "away", "left", "back"]


def test_client_that_gave_up_its_connection_for_anothers_is_gone_soon(stage: Stage) -> None:
    one = stage.hello("one", beat=True)
    stage.hello("two", beat=True)
    stage.hello("two", resume=one.token, beat=True)
    stage.spend(1.0)
    assert stage.events == [("joined", "c1"), ("joined", "c2"), ("back", "c1"), ("away", "c2"), ("left", "c2")]


def test_host_that_stood_still_has_heard_nobody_and_blames_nobody(stage: Stage) -> None:
    stage.hello("quiet")
    beating = stage.hello("beating", beat=True)
    stage.wire.up = False
    stage.now += 100.0
    stage.presence.check()
    assert beating.away is None
    stage.wire.up = True
    stage.spend(1.0)
    assert stage.events == [("joined", "c1"), ("joined", "c2")]


# -- processes --------------------------------------------------------------------------------------------------------


def alive_only(patch: pytest.MonkeyPatch, *pids: int) -> None:
    def kill(pid: int, number: int) -> None:
        assert number == 0
        if pid == 1:
            raise PermissionError
        if pid not in pids:
            raise ProcessLookupError

    patch.setattr(presence_module, "os", SimpleNamespace(name="posix", kill=kill))


def test_client_whose_process_ends_has_left_at_once_whatever_its_grace(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    alive_only(monkeypatch, 77)
    client = stage.hello(pid=77, grace=3600.0, beat=True)
    root = stage.hello("root", pid=1)
    assert (client.watched, root.watched) == (True, True)
    stage.edit(client, add("mine"))
    stage.spend(0.5)
    alive_only(monkeypatch)
    stage.spend(CHECK_SECONDS)
    assert stage.events == [("joined", "c1"), ("joined", "c2"), ("left", "c1")]
    assert "mine" not in stage.patch.nodes


def test_process_that_cannot_be_seen_from_here_says_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    alive_only(monkeypatch)
    client = stage.hello(pid=77, beat=True)  # in a container, say
    stage.spend(10.0)
    assert not client.watched
    assert stage.events == [("joined", "c1")]


def test_process_ids_of_other_machines_and_of_windows_are_not_looked_at(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    alive_only(monkeypatch)
    away = Client("c9", pid=77, remote=True)
    assert not presence_module._process_is_gone(away)
    monkeypatch.setattr(presence_module, "os", SimpleNamespace(name="nt"))
    assert not presence_module._process_is_gone(Client("c9", pid=77))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a process that nobody has waited for is told apart through /proc")
def test_dead_process_that_nobody_has_waited_for_has_ended(stage: Stage) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        client = Client("c9", pid=process.pid)
        assert not presence_module._process_is_gone(client)
        client.lost = stage.now
        assert presence_module._process_is_gone(client)
        assert not presence_module._is_zombie(os.getpid())
    assert presence_module._process_is_gone(client)
    assert not presence_module._is_zombie(process.pid)


# -- what is left of it -----------------------------------------------------------------------------------------------


def leave(stage: Stage, client: Client) -> list[str]:
    said: list[str] = []
    stage.presence.leave(client, lambda: said.append("done"), final=True)
    return said


def test_goodbye_is_done_when_jobs_and_nodes_are_gone(stage: Stage) -> None:
    client = stage.hello()
    stage.edit(client, add("tap1", "tap"))
    job = stage.jobs.add("record", "tap1", client)
    other = stage.jobs.add("record", "tap1", Client("c9"))
    client.services["relay"] = {"endpoint": "tcp://*:1", "facts": {}}
    said = leave(stage, client)
    assert said == []
    assert list(stage.jobs.stopped) == [job.job]
    assert job.progress["reason"] == "its client guest left"
    assert other.progress == {}
    assert stage.done == [("engine", ["tap1"])]
    stage.jobs.finish(job)
    assert said == ["done"]
    assert stage.events == [("joined", "c1"), ("left", "c1")]
    assert client.services == {}


def test_kept_recording_keeps_its_tap_and_all_that_feeds_it_until_it_ends(stage: Stage) -> None:
    client = stage.hello()
    chain = [add("a"), add("b"), add("tap1", "tap"), add("aside"), connect("a", "b"), connect("b", "tap1")]
    stage.edit(client, *chain, {"op": "connect", "source": "a", "output": 0, "target": "aside", "input": 0})
    job = stage.jobs.add("record", "tap1", client, keep=True)
    player = stage.jobs.add("play", "a", client)  # feeds the recording
    aside = stage.jobs.add("play", "aside", client)
    said = leave(stage, client)
    assert list(stage.jobs.stopped) == [aside.job]
    stage.jobs.finish(aside)
    assert said == ["done"]
    assert stage.done == [("engine", ["aside"])]
    stage.spend(5.0)
    assert stage.done == [("engine", ["aside"])]
    job.state = "finished"
    stage.spend(CHECK_SECONDS)
    assert stage.done[1:] == [("engine", ["a", "b", "tap1"])]
    assert player.state == "running"  # ends with its node, as every job does


def test_player_into_a_kept_node_goes_on(stage: Stage) -> None:
    client = stage.hello()
    stage.edit(client, add("a"), keep=True)
    stage.jobs.add("play", "a", client)
    assert leave(stage, client) == ["done"]
    assert stage.jobs.stopped == {}


def test_node_that_another_has_leased_becomes_that_clients(stage: Stage) -> None:
    anna, root = stage.hello("anna"), stage.hello("root", beat=True)
    stage.edit(anna, add("a"), add("b"))
    stage.owners.lease(root, ["a"], [])
    assert leave(stage, anna) == ["done"]
    assert stage.done == [("engine", ["b"])]
    assert stage.owners.all() == {"a": "c2"}
    leave(stage, root)
    assert "a" not in stage.patch.nodes


def test_nodes_that_cannot_be_removed_now_are_removed_later(stage: Stage) -> None:
    client = stage.hello()
    stage.edit(client, add("a"))
    stage.refuse = 2
    assert leave(stage, client) == ["done"]
    stage.spend(CHECK_SECONDS)
    assert "a" in stage.patch.nodes
    stage.spend(CHECK_SECONDS)
    assert "a" not in stage.patch.nodes


def test_node_that_turns_up_after_its_client_left_is_removed(stage: Stage) -> None:
    client = stage.hello()
    leave(stage, client)
    stage.edit(client, add("late"))  # its transaction was waiting for its turn
    stage.spend(CHECK_SECONDS)
    assert stage.done == [("engine", ["late"])]


def test_client_that_is_back_before_its_jobs_have_ended_has_not_left(stage: Stage) -> None:
    client = stage.hello()
    stage.edit(client, add("tap1", "tap"))
    job = stage.jobs.add("record", "tap1", client)
    stage.presence.leave(client)
    stage.hello(resume=client.token)
    stage.jobs.finish(job)
    assert stage.events == [("joined", "c1"), ("back", "c1")]


def test_a_hello_that_is_said_again_is_no_news_unless_the_name_is_another(stage: Stage) -> None:
    client = stage.hello()
    for name in ("guest", "guest", "anna", "anna"):
        stage.hello(name, identity=b"guest")
    assert stage.events == [("joined", "c1")] * 2
    for _ in range(2):
        stage.hello("anna", identity=b"elsewhere", resume=client.token)
    assert stage.events == [("joined", "c1")] * 2
    stage.presence.leave(client)
    stage.hello("anna", identity=b"elsewhere", resume=client.token)
    assert stage.events == [*[("joined", "c1")] * 2, ("left", "c1"), ("back", "c1")]
