"""What one client may cost the others: frames, unread answers, topics, questions at the door, repetitions, work in its turn."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from asmu_engine.host import disk_handlers as disk_module
from asmu_engine.host import endpoint as endpoint_module
from asmu_engine.host import lane as lane_module
from asmu_engine.host import once as once_module
from asmu_engine.host import schedule as schedule_module
from asmu_engine.host.access import check_there
from asmu_engine.host.clients import Client
from asmu_engine.host.disk_handlers import DiskHandlers
from asmu_engine.host.endpoint import LocalEndpoint, Peer
from asmu_engine.host.inbox import FRAMES_A_TURN, MAX_FRAMES
from asmu_engine.host.job import Job
from asmu_engine.host.lane import MAX_WAITING, Lane
from asmu_engine.host.leases import Leases
from asmu_engine.host.node import Node
from asmu_engine.host.once import Once
from asmu_engine.host.patch import Patch
from asmu_engine.host.schedule import Schedule
from asmu_engine.network import door as door_module
from asmu_engine.network.door import Door
from asmu_engine.protocol import messages
from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind
from asmu_engine.protocol.errors import AccessError, AsmuError, DiskError, EngineError, PatchError, ProtocolError
from asmu_engine.protocol.keys import KeyRing
from asmu_engine.protocol.zap import ZAP_ENDPOINT, Refusals

PATIENCE = 15.0
Told = list[tuple[Any, Any]]


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.002)
    return value


# -- what comes in, and what goes out -----------------------------------------------------------------------------------


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    context.linger = 0
    yield context
    context.destroy(0)


Open = Callable[[int], zmq.Socket[bytes]]


@pytest.fixture
def opened(context: zmq.Context[Any]) -> Iterator[Open]:
    """Opens sockets of strangers."""
    sockets: list[zmq.Socket[bytes]] = []

    def make(kind: int) -> zmq.Socket[bytes]:
        sockets.append(context.socket(kind))
        return sockets[-1]

    yield make
    for socket in sockets:
        socket.close(0)


@pytest.fixture
def endpoint(context: zmq.Context[Any], tmp_path: Path) -> Iterator[LocalEndpoint]:
    endpoint = LocalEndpoint(context, tmp_path)
    yield endpoint
    endpoint.close(0)


def test_a_message_of_many_frames_takes_no_more_than_its_turn(endpoint: LocalEndpoint, opened: Open) -> None:
    client = opened(zmq.DEALER)
    client.connect(endpoint.requests_endpoint)
    client.send_multipart([b"x"] * 50_000)
    client.send(b"the next")
    assert endpoint.requests.poll(PATIENCE * 1000)
    turns = 0

    def received() -> Any:
        nonlocal turns
        turns += 1
        return endpoint.receive()

    _, frames = until(received, "the end of it")
    assert frames == [b"x"] * (MAX_FRAMES - 1)
    assert turns > 50_000 // FRAMES_A_TURN
    assert until(endpoint.receive, "the next")[1] == [b"the next"]


def test_what_a_peer_does_not_read_is_bounded_in_bytes(
    endpoint: LocalEndpoint, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "UNREAD_BYTES", 1_000_000)
    client = opened(zmq.DEALER)
    client.rcvhwm = 1
    client.connect(endpoint.requests_endpoint)
    client.send(b"hello")
    peer, _ = until(endpoint.receive, "the peer")
    large = bytes(300_000)
    sent = endpoint._outbox

    def unread() -> int:
        assert endpoint.send(peer, [b"", large])
        waiting = sent._unread(peer.identity)
        assert waiting <= 1_000_000
        return waiting

    for _ in range(100):
        unread()
    until(lambda: unread() > 600_000, "the system to take no more")
    assert endpoint.send(peer, [b"small"])  # these are bounded in number
    count = 0
    while (frames := client.recv_multipart()) != [b"small"]:
        assert frames == [b"", large]
        count += 1
    assert 3 <= count < 100
    until(lambda: not sent._unread(peer.identity), "what was read to be forgotten")
    assert not sent._waiting
    assert endpoint.send(peer, [bytes(5_000_000)])  # one of any size is sent
    assert len(client.recv()) == 5_000_000
    assert not endpoint.send(Peer(b"nobody"), [large])


def test_connections_of_one_key_share_that_bound(endpoint: LocalEndpoint, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "UNREAD_BYTES", 3_000_000)
    large = bytes(300_000)
    peers = []
    for _ in range(2):
        client = opened(zmq.DEALER)
        client.rcvhwm = 1
        client.connect(endpoint.requests_endpoint)
        client.send(b"hello")
        peers.append(Peer(until(endpoint.receive, "the peer")[0].identity, user="anna"))
    for peer in peers:
        for _ in range(50):
            assert endpoint.send(peer, [large])
            assert endpoint._outbox._unread("anna") <= 3_000_000


def test_a_topic_of_any_length_is_not_listened_to(endpoint: LocalEndpoint, opened: Open) -> None:
    listener, other = (opened(zmq.SUB) for _ in range(2))
    reports = listener.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    listener.subscribe(b"x" * 100_000)
    other.subscribe(b"")
    for socket in (listener, other):
        socket.connect(endpoint.events_endpoint)
    until(lambda: (endpoint.events.send(b"event"), reports.poll(20))[1], "the connection to be ended")
    assert struct.unpack("=Hi", reports.recv_multipart()[0])[0] == zmq.EVENT_DISCONNECTED
    until(lambda: (endpoint.events.send(b"event"), other.poll(20))[1], "events of another")
    listener.disable_monitor()
    reports.close(0)


def test_the_door_answers_some_and_then_the_others(
    context: zmq.Context[Any], opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "QUESTIONS_A_TURN", 2)
    door = Door(context, KeyRing(tmp_path / "keys"), Refusals(lambda line: None))
    asking = opened(zmq.DEALER)
    asking.connect(ZAP_ENDPOINT)
    for number in range(3):
        asking.send_multipart([b"", b"1.0", str(number).encode(), b"asmu", b"10.0.0.1", b"", b"NULL"])
    answered = []
    for expected in ([b"0", b"1"], [b"0", b"1", b"2"]):
        door.answer()
        while asking.poll(50):
            answered.append(asking.recv_multipart()[2])
        assert answered == expected
    door.close()


# -- the lane -----------------------------------------------------------------------------------------------------------


def test_what_fails_in_its_turn_is_answered_and_nobody_else_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    lane, told, done = Lane(), [], []
    lane.pause()
    lane.in_turn(lambda: {}["missing"], lambda result, error: told.append(error))
    lane.in_turn(lambda: done.append(True), lambda result, error: told.append(error))
    lane.resume()
    assert done == [True]
    assert [error.code for error in told] == ["engine_failed"]
    assert "KeyError" in caplog.text


def test_a_full_lane_takes_what_is_the_engines_own() -> None:
    lane, done = Lane(), []
    lane.pause()
    for _ in range(MAX_WAITING):
        lane.submit(lambda end: end(), alone=lambda: True)
    with pytest.raises(EngineError, match="waiting"):
        lane.submit(lambda end: end(), alone=lambda: True)
    lane.submit(lambda end: (done.append(True), end()), alone=lambda: True, ours=True)  # type: ignore[arg-type, return-value, func-returns-value]
    lane.resume()
    assert done == [True]


def test_who_only_looks_takes_no_room_from_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "MAX_LOOKING", 3)
    monkeypatch.setattr(lane_module, "MAX_WAITING", 2)
    lane, done, told = Lane(), [], []
    lane.pause()
    for _ in range(3):
        lane.look(lambda: done.append("looked"), lambda result, error: told.append(error))
    with pytest.raises(EngineError, match="3 requests to look") as caught:
        lane.look(lambda: done.append("looked"), lambda result, error: told.append(error))
    assert caught.value.retry
    for _ in range(2):
        lane.in_turn(lambda: done.append("done"), lambda result, error: told.append(error))
    with pytest.raises(EngineError, match="2 transactions"):
        lane.in_turn(lambda: done.append("done"), lambda result, error: told.append(error))
    lane.resume()
    assert done == ["looked"] * 3 + ["done"] * 2
    assert told == []
    lane.look(lambda: {}["missing"], lambda result, error: told.append(error.code))
    assert told == ["engine_failed"]


# -- keys of transactions, and what is scheduled --------------------------------------------------------------------------


def transaction(identifier: int = 1) -> messages.Transaction:
    return messages.Transaction(id=identifier, edits=[{"op": "call", "node": "n", "call": "reset"}])


def test_answers_of_keys_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_module, "MAX_BYTES", 1000)
    once = Once()
    for key in "abc":
        answer = once.begin(key, transaction(), lambda result, error: None)
        assert answer is not None
        answer({"rings": "x" * 600}, None)
    told: Told = []
    assert once.begin("c", transaction(), lambda result, error: told.append((result, error))) is None
    assert told == [({"rings": "x" * 600}, None)]
    assert once.begin("b", transaction(), lambda result, error: None) is not None  # forgotten
    assert once._bytes <= 1000


def test_one_that_comes_too_often_while_it_is_worked_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_module, "MAX_REPEATED", 2)
    once, told = Once(), []
    answer = once.begin("k", transaction(), lambda result, error: told.append(result))
    assert answer is not None
    for identifier in (2, 3):
        assert once.begin("k", transaction(identifier), lambda result, error: told.append(result)) is None
    with pytest.raises(EngineError, match="is being worked on") as caught:
        once.begin("k", transaction(4), lambda result, error: told.append(result))
    assert caught.value.retry
    answer({"revision": 1}, None)
    assert told == [{"revision": 1}] * 3


def test_edits_of_structure_that_wait_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "MAX_SCHEDULED_EDITS", 3)
    schedule = Schedule()
    edits = transaction().edits * 2
    values = schedule.make(1, Client("c1"), edits * 2, False, 1)
    values.structural = False  # of these there may be any number
    schedule.add(values)
    schedule.add(schedule.make(2, Client("c1"), edits, False, 1))
    with pytest.raises(PatchError, match="2 edits that change structure") as caught:
        schedule.make(3, Client("c1"), edits, False, 1)
    assert caught.value.code == "scheduled_full"
    schedule.remove(schedule.entries[1], state="cancelled")
    schedule.make(3, Client("c1"), edits, False, 1)


# -- recordings and players -----------------------------------------------------------------------------------------------


class FakeJobs:
    """Jobs that tell how they are when the test says so."""

    def __init__(self) -> None:
        self.there: list[Job] = []
        self.asked: list[Callable[[Any, Any], None]] = []
        self.stopped: list[int] = []

    def open(self) -> list[Job]:
        return self.there

    def status(self, number: int, answer: Any) -> None:
        if number == 404:
            raise DiskError("there is no job 404", code="disk_job_unknown")
        self.asked.append(answer)

    def stop(self, number: int, answer: Any) -> None:
        self.stopped.append(number)
        answer({}, None)

    def begin(self, kind: str, answer: Any, **fields: Any) -> None:
        own = fields["command"] if kind == "acquire" else {"path": "x"}
        self.there.append(Job(len(self.there) + 1, kind, fields["node"], fields["ring"], "", own, fields["client_id"]))  # type: ignore[arg-type]
        answer({}, None)


class FakeAcquisitions:
    """Takes note of what a folder is to be written with."""

    def command(self, request: messages.Acquire, folder: str, settings: AcquisitionSettings, node: Node) -> dict[str, Any]:
        return {"folder": folder, "second": settings.second_folder, "node": node.name}

    def when_kept(self, then: Callable[[], None]) -> None:
        then()


class Studio:
    """Handlers of a patch with a tap and a feed, and two clients."""

    def __init__(self, recordings: str = "") -> None:
        self.patch = Patch(
            (
                Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"),
                Kind("feed", "generator", NO_PORTS, ANY_PORTS, ring="feed"),
            ),
            256,
        )
        adds = [
            {"op": "add", "node": "tap1", "kind": "tap", "inputs": 1},
            {"op": "add", "node": "feed1", "kind": "feed", "outputs": 1},
        ]
        self.patch.apply(messages.Transaction(id=1, edits=adds).edits)
        self.leases, self.jobs, self.lane = Leases(self.patch), FakeJobs(), Lane()
        others = (self.patch, self.leases, self.lane, self.jobs, FakeAcquisitions())
        self.handlers = DiskHandlers(*others, recordings).handlers  # type: ignore[arg-type]
        self.anna, self.bert = Client("c1", name="anna"), Client("c2", name="bert")

    def ask(self, request: messages.Request, client: Client) -> Told:
        told: Told = []
        try:
            self.handlers[type(request)](request, client, lambda result, error: told.append((result, error)))
        except AsmuError as error:
            told.append((None, error))
        return told


def refusal(told: Told) -> AsmuError:
    ((result, error),) = told
    assert result is None
    assert isinstance(error, AsmuError)
    return error


def test_the_disk_process_is_asked_once_for_all_who_want_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "MAX_ASKING", 3)
    studio = Studio()
    answers = [studio.ask(messages.JobStatus(id=n, job=7), studio.anna) for n in range(1, 4)]
    assert refusal(studio.ask(messages.JobStatus(id=5, job=7), studio.anna)).retry
    studio.ask(messages.JobStatus(id=6, job=8), studio.anna)
    assert len(studio.jobs.asked) == 2
    studio.jobs.asked[0]({"job": 7}, None)
    assert answers == [[({"job": 7}, None)]] * 3
    studio.ask(messages.JobStatus(id=7, job=7), studio.anna)
    assert len(studio.jobs.asked) == 3
    for _ in range(2):
        assert refusal(studio.ask(messages.JobStatus(id=8, job=404), studio.anna)).code == "disk_job_unknown"


def test_open_jobs_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "MAX_JOBS", 1)
    studio = Studio()
    record = messages.Record(id=1, node="tap1", path="/x.wav")
    assert studio.ask(record, studio.anna) == [({}, None)]
    error = refusal(studio.ask(record, studio.anna))
    assert (error.code, error.retry) == ("disk_failed", True)


def test_a_recording_into_a_folder_takes_a_tap_and_counts_among_the_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk_module, "MAX_JOBS", 1)
    studio = Studio(str(tmp_path))
    settings = AcquisitionSettings(on_full="second_folder", second_folder="b")
    acquire = messages.Acquire(id=1, node="tap1", folder="a", settings=settings)
    assert refusal(studio.ask(acquire.model_copy(update={"node": "feed1"}), studio.anna)).code == "unknown_node"
    assert studio.ask(acquire, studio.anna) == [({}, None)]
    assert studio.jobs.there[0].command == {"folder": str(tmp_path / "a"), "second": str(tmp_path / "b"), "node": "tap1"}
    assert studio.jobs.there[0].facts()["path"] == str(tmp_path / "a")
    assert refusal(studio.ask(acquire, studio.anna)).code == "disk_failed"


@pytest.mark.parametrize("where", ["folder", "second_folder"])
def test_a_client_of_another_machine_reaches_no_folder_but_that_for_recordings(tmp_path: Path, where: str) -> None:
    studio = Studio(str(tmp_path / "open"))
    folders = {"folder": "a", "second_folder": "b", where: str(tmp_path / "closed")}
    settings = AcquisitionSettings(on_full="second_folder", second_folder=folders["second_folder"])
    acquire = messages.Acquire(id=1, node="tap1", folder=folders["folder"], settings=settings)
    studio.anna.remote = True
    assert refusal(studio.ask(acquire, studio.anna)).code == "path_forbidden"
    assert studio.jobs.there == []


def test_a_lease_that_came_before_is_seen_in_the_turn() -> None:
    studio = Studio()
    studio.lane.pause()
    studio.lane.in_turn(lambda: studio.leases.take(studio.anna, ["feed1"], []), lambda result, error: None)
    told = studio.ask(messages.Play(id=1, node="feed1", path="/x.wav"), studio.bert)
    assert told == []
    studio.lane.resume()
    assert refusal(told).code == "leased"


def test_a_job_on_a_leased_node_is_ended_by_its_client_and_the_holder_alone() -> None:
    studio = Studio()
    studio.ask(messages.Record(id=1, node="tap1", path="/x.wav"), studio.anna)
    studio.ask(messages.Record(id=2, node="tap1", path="/y.wav"), studio.bert)
    studio.leases.take(studio.anna, ["tap1"], [])
    assert refusal(studio.ask(messages.JobStop(id=3, job=1), studio.bert)).code == "leased"
    studio.ask(messages.JobStop(id=4, job=2), studio.bert)  # its own, which only reads
    studio.ask(messages.JobStop(id=5, job=2), studio.anna)
    assert studio.jobs.stopped == [2, 2]


def test_no_recording_is_begun_for_a_client_that_left() -> None:
    studio = Studio()
    studio.lane.pause()
    told = [studio.ask(messages.Record(id=1, node="tap1", path="/x.wav", keep=keep), studio.anna) for keep in (False, True)]
    studio.anna.left = 1.0
    studio.lane.resume()
    assert refusal(told[0]).code == "hello_first"
    assert told[1] == [({}, None)]
    assert [job.client_id for job in studio.jobs.there] == ["c1"]
    with pytest.raises(ProtocolError):
        check_there(studio.anna)


def test_a_reset_is_refused_while_another_holds_a_node_or_what_it_would_silence() -> None:
    studio = Studio()
    studio.leases.take(studio.anna, ["tap1"], [])
    for outputs in (False, True):
        studio.leases.check_all(studio.anna, outputs=outputs)
        with pytest.raises(AccessError, match="'tap1' is leased by anna"):
            studio.leases.check_all(studio.bert, outputs=outputs)
    studio.leases.release(studio.anna, [], [])
    studio.leases.take(studio.anna, [], [2])
    studio.leases.check_all(studio.bert, outputs=False)
    with pytest.raises(AccessError, match="output channel 2"):
        studio.leases.check_all(studio.bert, outputs=True)


# -- with an engine around it ---------------------------------------------------------------------------------------------


def tap(name: str) -> dict[str, Any]:
    return {"op": "add", "node": name, "kind": "tap", "inputs": 1}


@pytest.mark.parametrize("part", ["make", "hold"])
def test_a_fault_of_the_host_in_a_transaction_is_answered_and_the_next_one_is_done(
    make_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    host = make_host().up()
    host.result("start")
    transactions = host.engine._transactions
    target = {"make": host.engine._rings, "hold": transactions._effects}[part]

    def fail(*arguments: Any, **fields: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(target, part, fail)
    assert host.ask("transaction", edits=[tap("tap1")])["code"] == "engine_failed"
    if part == "make":  # for a frame to come, too
        at = int(host.result("status")["frame_position"]) + 12_000
        assert host.ask("transaction", edits=[tap("tap1")], at=at)["code"] == "engine_failed"
        assert host.result("scheduled") == {"scheduled": []}
    monkeypatch.undo()
    assert host.result("transaction", edits=[tap("tap2")])["rings"]
    assert "no room" in caplog.text


def test_an_answer_without_a_wire_form_is_refused_instead(make_host: Callable[..., Any]) -> None:
    host = make_host().up()
    host.engine._handlers[messages.GetCatalogue] = lambda request, client, answer: host.loop.post(
        lambda: answer({"text": "\ud800"}, None)
    )
    assert host.ask("catalogue")["code"] == "bad_message"
    assert host.result("ping") == {}


def test_all_clients_together_offer_so_many_services(make_host: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host().up()
    monkeypatch.setattr("asmu_engine.host.client_handlers.MAX_ALL_SERVICES", 2)
    for service in ("a", "b", "a"):
        host.result("announce", service=service, endpoint="tcp://*:5557")
    answer = host.ask("announce", service="c", endpoint="tcp://*:5557")
    assert (answer["code"], answer["where"]) == ("engine_state", "c")
    host.result("announce", service="a", endpoint="")
    host.result("announce", service="c", endpoint="tcp://*:5557")
