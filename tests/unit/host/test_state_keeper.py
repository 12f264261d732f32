"""The state of an engine is kept up to date on the disk, and answers are held until it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asmu_engine.host import keeper as keeper_module
from asmu_engine.host.keeper import StateKeeper
from asmu_engine.host.loop import Loop
from asmu_engine.host.state import SavedAxis, State, read_state, write_state

AXIS = SavedAxis(position=1000, monotonic_ns=5, utc_ns=7, boot="x", rate=48_001.5, uncertainty=2.5, ppm=0.1)
PATIENCE = 10.0


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.002)
    return value


def where(folders: Any) -> Path:
    return Path(folders.base) / "state" / "lab"


class Bench:
    """A keeper in a loop of its own."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.version = 0
        self.asked = 0
        self.failed: list[str] = []
        self.keeper = StateKeeper(
            self.loop,
            "lab",
            version=lambda: self.version,
            state=self.state,
            axis=lambda: AXIS,
            on_failed=self.failed.append,
        )
        self.thread = threading.Thread(target=self.loop.run)
        self.loop.post(self.keeper.begin)
        self.thread.start()

    def state(self) -> State:
        self.asked += 1
        return State(config={}, path="", axis_name="", revision=self.version)

    def kept(self) -> int | None:
        state = read_state("lab")
        return None if state is None else state.revision

    def ask(self, count: int) -> list[int | None]:
        """So many answers are to be held; what each finds on the disk when it is given."""
        answers: list[int | None] = []
        for _ in range(count):
            self.loop.post(lambda: self.keeper.when_kept(lambda: answers.append(self.kept())))
        return answers

    def end(self, *, remove: bool) -> None:
        self.loop.stop()
        self.thread.join(PATIENCE)
        self.keeper.close(remove=remove)
        self.loop.close()


def test_a_change_is_kept_and_what_stays_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_SECONDS", 0.005)
    bench = Bench()
    until(lambda: bench.kept() == 0, "the first state")
    bench.version = 5
    until(lambda: bench.kept() == 5, "the change")
    assert bench.asked == 2
    bench.end(remove=False)
    assert bench.kept() == 5
    state = read_state("lab")
    assert state is not None
    assert state.axis == AXIS


def test_an_answer_is_held_until_the_state_of_now_is_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a look is not due, and another state is being written; what is there already is not written again."""
    monkeypatch.setattr(keeper_module, "LOOK_SECONDS", 3600.0)
    writing, go_on = threading.Event(), threading.Event()

    def slowly(name: str, state: State) -> None:
        writing.set()
        assert go_on.wait(PATIENCE)
        write_state(name, state)

    monkeypatch.setattr(keeper_module, "write_state", slowly)
    bench = Bench()
    assert writing.wait(PATIENCE), "the first state is being written"
    bench.version = 1
    answers = bench.ask(3)
    looped = threading.Event()
    bench.loop.post(looped.set)
    assert looped.wait(PATIENCE), "the loop goes on meanwhile"
    assert answers == []
    go_on.set()
    until(lambda: len(answers) == 3, "the answers")
    assert answers == [1, 1, 1], "each finds that state on the disk"
    answers = bench.ask(1)
    until(lambda: answers, "the answer")
    assert bench.asked == 2
    bench.end(remove=False)


def test_an_answer_does_not_wait_for_a_disk_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, state: State) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeper_module, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(keeper_module, "HELD_SECONDS", 3600.0)
    monkeypatch.setattr(keeper_module, "write_state", refuse)
    bench = Bench()
    until(lambda: bench.failed, "the report")
    answers = bench.ask(2)
    until(lambda: len(answers) == 2, "the answers")
    assert answers == [None, None]
    bench.end(remove=False)
    assert bench.failed == ["No space left on device"]


def test_an_answer_does_not_wait_for_ever_for_a_disk_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(keeper_module, "HELD_SECONDS", 0.02)
    monkeypatch.setattr(keeper_module, "write_state", lambda name, state: go_on.wait(PATIENCE))
    bench = Bench()
    answers = bench.ask(1)
    until(lambda: answers, "the answer")
    assert answers == [None]
    go_on.set()
    bench.end(remove=False)
    assert answers == [None], "given once"


def test_an_engine_that_ends_in_order_leaves_nothing(monkeypatch: pytest.MonkeyPatch, folders: Any) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_SECONDS", 0.005)
    bench = Bench()
    until(lambda: bench.kept() == 0, "the first state")
    bench.end(remove=True)
    assert not where(folders).exists()


def test_a_disk_that_refuses_is_told_of_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_SECONDS", 0.005)
    monkeypatch.setattr(keeper_module, "AXIS_SECONDS", 0.02)
    refusals = iter(range(3))

    def refuse(name: str, state: State) -> None:
        if next(refusals, None) is not None:
            raise OSError(28, "No space left on device")
        write_state(name, state)

    monkeypatch.setattr(keeper_module, "write_state", refuse)
    bench = Bench()
    until(lambda: bench.kept() == 0, "the state, at last")
    bench.end(remove=False)
    assert bench.failed == ["No space left on device"]
    assert bench.asked == 4
