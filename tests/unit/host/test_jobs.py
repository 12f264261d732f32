"""Recordings, and a disk process that dies, warns, and is told when to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asmu_engine.host import jobs as module
from asmu_engine.host.jobs import Jobs
from asmu_engine.protocol.errors import AsmuError, DiskError, EngineError
from asmu_engine.protocol.topics import check_event

FOLDER = {"folder": "/friday", "settings": {}, "resume": False, "why": "new"}
FILE = {"path": "/take.wav"}


class FakeLoop:
    """Notes what is to be called later."""

    def __init__(self) -> None:
        self.later_calls: list[tuple[float, Callable[[], None]]] = []

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Nobody is overdue here."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.later_calls.append((seconds, call))


class FakeChild:
    """A disk process of which the test says what it does."""

    made: list[FakeChild] = []

    def __init__(self, loop: Any, name: str, command: Any, on_event: Any, on_end: Any, *, in_order: bool) -> None:
        self.on_event, self.on_end = on_event, on_end
        self.asked: list[tuple[dict[str, Any], Any, float | None]] = []
        self.ended = self.killed = False
        self.made.append(self)

    def request(self, message: dict[str, Any], answer: Any, timeout: float | None) -> None:
        self.asked.append((message, answer, timeout))

    def answer(self, do: str, result: dict[str, Any] | None = None, error: AsmuError | None = None) -> None:
        """The oldest open request of that kind is done."""
        index = next(index for index, (message, _, _) in enumerate(self.asked) if message["do"] == do)
        self.asked.pop(index)[1](result if error is None else None, error)

    def die(self) -> None:
        """As `Child` tells of its end."""
        self.ended = True
        asked, self.asked = self.asked, []
        for _, answer, _ in asked:
            answer(None, EngineError("died", code="engine_failed", retry=True))
        self.on_end(-9)

    def kill(self) -> None:
        self.killed = True

    def close_pipe(self) -> None:
        pass

    def told(self) -> list[dict[str, Any]]:
        return [message for message, _, _ in self.asked]


class Studio:
    """Jobs with such a process, and what they publish."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.events: list[dict[str, Any]] = []
        self.answers: list[tuple[Any, Any]] = []
        self.jobs = Jobs(self.loop, self)  # type: ignore[arg-type]

    def publish(self, topic: str, fields: dict[str, Any]) -> None:
        check_event({"v": 1, "number": 1, "topic": topic, **fields})
        self.events.append(fields)

    @property
    def child(self) -> FakeChild:
        return FakeChild.made[-1]

    def begin(self, kind: Any, command: dict[str, Any], node: str = "tap") -> None:
        """One that runs."""
        self.jobs.begin(kind, self.answer, node=node, ring=f"ring.{node}", client="anna", command=command)
        self.child.answer(kind, {"state": "running"})

    def answer(self, result: Any, error: Any) -> None:
        self.answers.append((result, error))


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    FakeChild.made.clear()
    monkeypatch.setattr(module, "Child", FakeChild)
    return Studio()


def test_the_next_disk_process_goes_on_with_a_folder_where_the_one_before_died(studio: Studio) -> None:
    studio.jobs.resuming = lambda job: {"why": "disk", "clock": None}
    studio.begin("acquire", {**FOLDER, "start": 7})
    first = studio.child
    first.die()
    assert studio.child is not first
    assert studio.child.told() == [
        {"do": "acquire", "job": 1, "ring": "ring.tap", **FOLDER, "start": 7, "resume": True, "why": "disk", "clock": None}
    ]
    studio.child.answer("acquire", {"state": "running", "position": 5})
    assert studio.jobs.facts()[0]["position"] == 5
    assert [event["event"] for event in studio.events] == ["disk_ended", "disk_restarted"]


def test_one_that_cannot_be_gone_on_with_failed_and_the_others_do_not_mind(studio: Studio) -> None:
    studio.begin("acquire", FOLDER)
    studio.begin("record", FILE)
    studio.child.die()
    studio.child.answer("acquire", error=DiskError("the folder is gone", code="file_unreadable"))
    studio.child.answer("record", {"state": "running"})
    assert [job["state"] for job in studio.jobs.facts()] == ["failed", "running"]
    assert studio.jobs.facts()[0]["error"]["code"] == "file_unreadable"


def test_a_stop_that_its_process_took_along_is_told_to_the_next(studio: Studio) -> None:
    stopping: list[int] = []
    studio.jobs.stopping = lambda job: stopping.append(job.job)
    studio.begin("acquire", FOLDER)
    studio.answers.clear()
    studio.jobs.stop(1, studio.answer)
    assert studio.child.told() == [{"do": "stop", "job": 1, "until": None, "reason": "by request"}]
    studio.child.die()
    assert [message["do"] for message in studio.child.told()] == ["acquire", "stop"]
    assert (stopping, studio.answers) == ([1, 1], [])
    studio.child.answer("acquire", {"state": "running"})
    studio.child.answer("stop", {"state": "finished"})
    ((result, error),) = studio.answers
    assert (result["state"], error) == ("finished", None)


def test_a_lost_device_ends_recordings_of_one_file_and_nothing_else(studio: Studio) -> None:
    studio.begin("record", FILE)
    studio.begin("acquire", FOLDER)
    studio.begin("play", FILE, "feed")
    studio.jobs.stop_recordings("the device was lost")
    assert [(message["job"], message["reason"]) for message in studio.child.told()] == [(1, "the device was lost")]
    studio.jobs.stop_recordings("the audio process failed", ("record", "acquire"))
    assert [message["job"] for message in studio.child.told()] == [1, 2]
    assert studio.jobs.acquiring
    studio.child.answer("stop", {})
    studio.child.answer("stop", {})
    assert not studio.jobs.acquiring
    assert studio.jobs.facts()[1]["reason"] == "the audio process failed"


def test_warnings_of_the_disk_are_events_as_long_as_there_is_the_recording(studio: Studio) -> None:
    studio.begin("acquire", FOLDER)
    warning = {"event": "disk_warning", "folder": "/friday", "what": "full_soon", "text": "soon"}
    studio.child.on_event({**warning, "job": 1})
    studio.child.on_event({**warning, "job": 2})
    assert studio.events == [{**warning, "job": 1}]


def test_only_what_goes_on_can_be_told_something(studio: Studio) -> None:
    studio.begin("acquire", FOLDER)
    (job,) = studio.jobs.open()
    studio.jobs.tell(job, {"do": "note", "entries": []}, studio.answer)
    assert studio.child.asked[-1][0] == {"do": "note", "entries": [], "job": 1}
    assert studio.child.asked[-1][2] is None, "a disk that is slow to take a note is no reason to replace its process"
    studio.child.ended = True
    with pytest.raises(EngineError) as caught:
        studio.jobs.tell(job, {"do": "note", "entries": []}, studio.answer)
    assert caught.value.code == "engine_failed"


def test_one_that_a_dead_engine_had_and_that_cannot_go_on_is_shown_as_failed(studio: Studio) -> None:
    error = DiskError("the folder is gone", code="file_unreadable", where="/friday")
    studio.jobs.lost("acquire", node="tap", client="anna", command=FOLDER, error=error)
    (facts,) = studio.jobs.facts()
    assert (facts["kind"], facts["path"], facts["state"], facts["error"]) == ("acquire", "/friday", "failed", error.to_wire())
    assert studio.events == [{"event": "job", **facts}]
    studio.begin("record", FILE)
    assert [job["job"] for job in studio.jobs.facts()] == [1, 2]


@pytest.mark.parametrize(("kind", "command", "patience"), [("record", FILE, 3.0), ("acquire", FOLDER, 60.0)])
def test_the_last_segment_may_take_its_time(studio: Studio, kind: str, command: dict[str, Any], patience: float) -> None:
    studio.begin(kind, command)
    done: list[None] = []
    studio.jobs.close(lambda: done.append(None), 3.0, 60.0)
    assert [message["do"] for message in studio.child.told()] == ["stop", "quit"]
    ((seconds, force),) = studio.loop.later_calls
    assert seconds == patience
    force()
    assert studio.child.killed
    studio.child.die()
    assert done == [None]
