"""What happens is noted in the ledger of every recording into a folder, in order, and whatever becomes of the disk process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asmu_engine.config import EngineConfig
from asmu_engine.host import acquisitions as module
from asmu_engine.host.acquisitions import EDITED_SECONDS, Acquisitions
from asmu_engine.host.entries import Moments, entry_of
from asmu_engine.host.events import Topic
from asmu_engine.host.job import Job
from asmu_engine.host.node import Node
from asmu_engine.host.source import acquire_command, source_of
from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.errors import DiskError, EngineError, ProtocolError
from asmu_engine.protocol.messages import Acquire
from asmu_engine.recording.ledger import Clock, Event, Xrun, parse_entry
from asmu_engine.recording.manifest import Manifest, Source

XRUN = {"event": "xrun", "flags": ["input_overflow"], "lost": 64, "uncertainty": 3, "position": 4096}
FIT = ClockFit(
    position=0,
    monotonic_ns=1,
    utc_ns=2,
    samplerate=48_001.0,
    ppm=20.8,
    residual_ns=1.0,
    uncertainty_ns=1.0,
    ppm_uncertainty=0.1,
    seconds=1.0,
)
TAP = Node("tap", Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"), 2, 0)


class FakeLoop:
    """Makes the calls that are due when the test says so."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((seconds, call))

    def run(self) -> None:
        due, self.due = self.due, []
        for _, call in due:
            call()


class FakeJobs:
    """Jobs, and a disk process that answers when the test says so."""

    def __init__(self) -> None:
        self.there: list[Job] = []
        self.told: list[tuple[int, list[Any]]] = []
        self.answers: list[Any] = []
        self.gone = False

    def open(self) -> list[Job]:
        return [job for job in self.there if job.open]

    def tell(self, job: Job, command: dict[str, Any], answer: Any) -> None:
        if self.gone:
            raise EngineError("gone", code="engine_failed")
        assert command["do"] == "note"
        self.told.append((job.job, [parse_entry(json.loads(json.dumps(entry))) for entry in command["entries"]]))
        self.answers.append(answer)


class Desk:
    """Acquisitions of some jobs."""

    def __init__(self, *kinds: str, clock_seconds: float = 60.0) -> None:
        self.loop, self.jobs = FakeLoop(), FakeJobs()
        self.fit: ClockFit | None = None
        self.acquisitions = Acquisitions(self.loop, self.jobs, self.source, lambda: self.fit, 48_000)  # type: ignore[arg-type]
        settings = {"clock_seconds": clock_seconds}
        for number, kind in enumerate(kinds, 1):
            command = {"folder": f"/{number}", "settings": settings, "path": "x"}
            self.jobs.there.append(Job(number, kind, "tap", "ring", "", command, state="running"))  # type: ignore[arg-type]

    def source(self, node: str) -> dict[str, Any]:
        return {"engine": {"axis": "a"}, "node": node}

    def happened(self, topic: Topic, **fields: Any) -> None:
        self.acquisitions.happened(topic, fields)

    def noted(self) -> list[tuple[int, Any]]:
        """What the disk process was told since, one by one."""
        told, self.jobs.told = self.jobs.told, []
        return [(job, entry) for job, entries in told for entry in entries]


@pytest.fixture(autouse=True)
def nothing_is_noted_twice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Moments that two entries share would make one of them pass for the other."""
    given: list[int] = []
    original = Moments.next
    monkeypatch.setattr(Moments, "next", lambda self: given.append(original(self)) or given[-1])
    yield
    assert len(set(given)) == len(given)


def test_a_loss_is_noted_in_all_folders_and_nowhere_else() -> None:
    desk = Desk("acquire", "record", "acquire", "play")
    desk.happened("xrun", **XRUN)
    desk.loop.run()
    (one, first), (other, second) = desk.noted()
    assert (one, other) == (1, 3)
    assert first == second == Xrun(noted_ns=first.noted_ns, position=4096, flags=("input_overflow",), frames=64, uncertainty=3)


def test_without_a_folder_nothing_is_kept() -> None:
    desk = Desk("record")
    desk.happened("xrun", **XRUN)
    assert desk.loop.due == []


@pytest.mark.parametrize(
    ("topic", "fields", "position", "text"),
    [
        ("engine", {"event": "audio_ended", "status": "signal 9", "position": 5}, 5, "the audio process ended: signal 9"),
        ("engine", {"event": "clock_step", "seconds": -1.5, "position": 5, "suspended": False}, 5, "UTC was set by -1.5 s"),
        ("engine", {"event": "state", "state": "lost", "reason": "gone", "position": 5}, 5, "the device is lost: gone"),
        ("engine", {"event": "state", "state": "running", "reason": "", "position": 5}, 5, "the device is running"),
        ("device", {"event": "device_lost", "reason": "unplugged", "position": 5}, 5, "the device was lost: unplugged"),
        (
            "node",
            {"event": "left_out", "node": "fx", "crashes": 3, "position": 5},
            5,
            "fx is left out: the audio process died in it 3 times",
        ),
        ("patch", {"event": "edited", "author": "anna", "revision": 4, "at": 7}, 7, "anna changed the patch"),
        ("disk", {"event": "disk_ended", "status": "signal 9"}, None, "the disk process ended: signal 9"),
    ],
)
def test_what_explains_the_rest_is_an_event(topic: Topic, fields: dict[str, Any], position: int | None, text: str) -> None:
    entry = entry_of(topic, fields, 9)
    assert isinstance(entry, Event)
    assert (entry.noted_ns, entry.what, entry.position, entry.text) == (9, fields["event"], position, text)
    assert entry.facts == {key: value for key, value in fields.items() if key not in ("event", "position", "at")}


@pytest.mark.parametrize(("topic", "event"), [("disk", "job"), ("client", "joined"), ("node", "node"), ("engine", "ending")])
def test_what_explains_nothing_is_none(topic: Topic, event: str) -> None:
    assert entry_of(topic, {"event": event, "position": 1}, 1) is None


def test_what_came_together_goes_in_one_message_and_the_next_waits_for_its_answer() -> None:
    desk = Desk("acquire")
    for position in (1, 2):
        desk.happened("xrun", **{**XRUN, "position": position})
    desk.loop.run()
    desk.happened("xrun", **{**XRUN, "position": 3})
    desk.loop.run()
    assert [entry.position for _, entry in desk.noted()] == [1, 2]
    desk.jobs.answers.pop()({}, None)
    desk.loop.run()
    assert [entry.position for _, entry in desk.noted()] == [3]


def test_what_a_disk_process_took_to_its_grave_is_told_to_the_next_in_order() -> None:
    desk = Desk("acquire")
    desk.happened("xrun", **{**XRUN, "position": 1})
    desk.loop.run()
    before = desk.noted()
    desk.happened("xrun", **{**XRUN, "position": 2})
    desk.jobs.gone = True
    desk.jobs.answers.pop()(None, EngineError("died", code="engine_failed"))
    desk.loop.run()
    assert desk.noted() == []
    desk.jobs.gone = False
    desk.loop.run()
    after = desk.noted()
    assert [entry.position for _, entry in after] == [1, 2]
    assert after[0] == before[0], "with the same moment, by which the second is known as such"


def test_of_a_ledger_that_is_refused_only_its_own_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk("acquire", "acquire")
    desk.happened("xrun", **XRUN)
    desk.loop.run()
    desk.noted()
    desk.jobs.answers[0](None, DiskError("no such job", code="disk_job_unknown"))
    desk.jobs.answers[1]({}, None)
    assert "1 entries are missing in the ledger of /1" in caplog.text
    desk.loop.run()
    assert desk.noted() == []


def test_a_disk_that_takes_nothing_costs_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    monkeypatch.setattr(module, "MAX_SENT", 2)
    desk = Desk("acquire")
    for position in range(6):
        desk.happened("xrun", **{**XRUN, "position": position})
    desk.loop.run()
    desk.jobs.answers.pop()({}, None)
    desk.loop.run()
    *entries, (_, lost) = desk.noted()
    assert [entry.position for _, entry in entries] == [0, 1, 2]
    assert (lost.what, lost.facts) == ("entries_lost", {"entries": 3})


def test_what_is_still_to_be_noted_comes_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SENT", 2)
    desk = Desk("acquire")
    for position in range(3):
        desk.happened("xrun", **{**XRUN, "position": position})
    desk.jobs.stopping(desk.jobs.there[0])  # type: ignore[attr-defined]
    assert [entry.position for _, entry in desk.noted()] == [0, 1, 2]
    desk.loop.run()
    assert desk.noted() == []


def test_one_that_has_not_begun_is_told_when_it_has() -> None:
    desk = Desk("acquire")
    desk.jobs.there[0].state = "starting"
    desk.happened("xrun", **XRUN)
    desk.loop.run()
    assert desk.noted() == []
    desk.jobs.there[0].state = "running"
    desk.loop.run()
    assert len(desk.noted()) == 1


def test_of_many_transactions_in_a_second_the_last_is_noted() -> None:
    desk = Desk("acquire")
    for revision in (1, 2, 3):
        desk.happened("patch", event="edited", author="anna", client="c1", edits=1, revision=revision, at=revision, late=0)
    assert [seconds for seconds, _ in desk.loop.due] == [EDITED_SECONDS]
    desk.loop.run()
    desk.loop.run()
    ((_, entry),) = desk.noted()
    assert entry.facts["revision"] == 3


def test_fits_are_noted_as_often_as_a_recording_wants_and_at_once_after_a_step() -> None:
    desk = Desk("acquire", clock_seconds=2.0)
    for second in range(5):
        desk.acquisitions.fitted(FIT.model_copy(update={"position": second * 48_000}), 0)
    desk.acquisitions.fitted(FIT.model_copy(update={"position": 240_000}), -5)
    desk.loop.run()
    clocks = [entry for _, entry in desk.noted()]
    assert all(isinstance(entry, Clock) for entry in clocks)
    assert [(entry.fit.position, entry.step_ns) for entry in clocks] == [(0, 0), (96_000, 0), (192_000, 0), (240_000, -5)]


def test_the_next_disk_process_has_the_newest_fit() -> None:
    desk = Desk("acquire", "record")
    resuming = desk.jobs.resuming  # type: ignore[attr-defined]
    assert resuming(desk.jobs.there[0]) == {"why": "disk", "clock": None}
    desk.fit = FIT
    assert resuming(desk.jobs.there[0])["clock"] == FIT.model_dump(mode="json")
    assert resuming(desk.jobs.there[1]) == {}


# -- how one is begun ---------------------------------------------------------------------------------------------------


def test_the_command_carries_all_that_the_folder_is_to_say() -> None:
    desk = Desk()
    desk.fit = FIT
    facts = [ChannelFacts(name=name, unit="Pa", factor=2.5) for name in "ab"]
    request = Acquire(id=1, node="tap", folder="x", channels=facts, at=77)
    command = desk.acquisitions.command(request, "/x", AcquisitionSettings(rollover_seconds=60.0), TAP)
    assert (command["folder"], command["resume"], command["start"], command["why"]) == ("/x", False, 77, "new")
    assert AcquisitionSettings.model_validate(command["settings"]) == AcquisitionSettings(rollover_seconds=60.0)
    assert [ChannelFacts.model_validate(one) for one in command["channels"]] == facts
    assert ClockFit.model_validate(command["clock"]) == FIT
    assert command["source"] == {"engine": {"axis": "a"}, "node": "tap"}


@pytest.mark.parametrize(
    ("fields", "settings", "where"),
    [
        ({"channels": [ChannelFacts()]}, {}, "acquire.channels"),
        ({}, {"on_full": "second_folder"}, "acquire.settings.second_folder"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], settings: dict[str, Any], where: str) -> None:
    request = Acquire(id=1, node="tap", folder="x", **fields)
    with pytest.raises(ProtocolError) as caught:
        Desk().acquisitions.command(request, "/x", AcquisitionSettings(**settings), TAP)
    assert (caught.value.code, caught.value.where) == ("bad_message", where)


def test_only_a_folder_on_this_axis_can_be_gone_on_with(tmp_path: Path) -> None:
    request = Acquire(id=1, node="tap", folder="x", resume=True)

    def command(axis: str) -> dict[str, Any]:
        source = {"engine": {"axis": axis}}
        return acquire_command(request, str(tmp_path), request.settings, TAP, source=source, clock=None, gap_uncertainty=9)

    with pytest.raises(DiskError, match="is no recording folder") as caught:
        command("a")
    assert caught.value.code == "file_unreadable"
    Manifest(
        id="0" * 32,
        created="2026-01-01T00:00:00Z",
        state="failed",
        samplerate=48_000,
        channels=[],
        source=Source(engine={"axis": "a"}),
        software={},
        settings=AcquisitionSettings(),
    ).write(tmp_path)
    assert (command("a")["why"], command("a")["resume"], command("a")["gap_uncertainty"]) == ("host", True, 9)
    with pytest.raises(DiskError, match="of another run of an engine"):
        command("b")


def test_the_source_says_what_the_frames_come_from() -> None:
    patch = {"revision": 3, "nodes": {"fir": {"parameters": {"taps": Array("f4", (1,), b"\0\0\x80?")}}}, "connections": []}
    device = {"name": "virtual", "inputs": [1]}
    source = source_of(EngineConfig(name="lab", blocksize=64), axis="a", device=device, patch=patch, node="tap")
    known = Source.model_validate(source)
    assert (known.engine["name"], known.engine["axis"], known.blocksize, known.node) == ("lab", "a", 64, "tap")
    assert known.engine["libraries"].keys() >= {"numpy", "pyzmq"}
    assert known.device == device
    assert json.loads(known.model_dump_json())["patch"]["nodes"]["fir"]["parameters"]["taps"]["data"] == "AACAPw=="
