"""Cores of plugins: whose code runs is marked on the counters page, and what stands for one that is left out."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asmu_engine.audio.builder import Builder
from asmu_engine.audio.compiler import Wiring
from asmu_engine.audio.kinds import Kinds
from asmu_engine.protocol.errors import PatchError
from asmu_engine.rt.runner import Runner
from asmu_engine.shm.segment import remove_segments
from asmu_engine.shm.status import StatusPage, core_mark, create_status

PLUGIN = """
from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import ADelayLine, AEffect

SEEN = []
PAGE = []


def look(what):
    SEEN.append((what, *(PAGE[0].words[48:50])))


class AWatched(AEffect):
    kind = "watched"
    parameters = (Parameter("level", default=1.0),)
    calls = ("kick",)

    def prepare(self):
        look("prepare")

    def process(self, inputs, outputs):
        look("process")
        outputs[:] = self.level

    def changed(self, name):
        look("changed")

    def kick(self):
        look("kick")

    def reset(self):
        look("reset")

    def close(self):
        look("close")


class AFails(AEffect):
    kind = "fails"

    def process(self, inputs, outputs):
        raise ValueError


class ARing(ADelayLine):
    kind = "line"

    def shortest(self, name="", value=None):
        return 16

    def process(self, inputs, outputs):
        self.emit(outputs)
        look("between")
        self.absorb(inputs)

    def emit(self, outputs):
        look("emit")
        outputs[:] = 1

    def absorb(self, inputs):
        look("absorb")
"""
BLOCK = 16


class Process:
    """Builder and runner as the audio process has them, with a plugin; `run` calls back for a block."""

    def __init__(self, plugin: Path, page: StatusPage | None) -> None:
        self.kinds = Kinds([str(plugin)])
        self.module: Any = sys.modules[plugin.stem]
        self.runner = Runner(48000, BLOCK, page)
        self.builder = Builder(self.kinds, 48000, BLOCK, self.runner.context, page)
        self.builder.wiring = Wiring({0: 0, 1: 1}, {0: 0, 1: 1})
        self.seen: list[tuple[str, int, int]] = self.module.SEEN

    def edit(self, *edits: dict[str, Any]) -> None:
        self.runner.mailbox.post(self.builder.build(list(edits)))

    def run(self) -> Any:
        out = np.empty((BLOCK, 2), np.float32)
        self.runner(np.zeros((BLOCK, 2), np.float32), out, 0, 0, 0, 0.0)
        return out

    def tidy(self) -> None:
        """Close and forget what edits have replaced."""
        for edit in self.runner.mailbox.collect():
            for core in edit.retired:
                core.close()


@pytest.fixture
def page() -> Iterator[StatusPage]:
    create_status("lab").close()
    page = StatusPage.attach("lab")
    yield page
    page.close()
    remove_segments("lab")


@pytest.fixture
def process(page: StatusPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    plugin = tmp_path / "watched_plugin.py"
    plugin.write_text(PLUGIN)
    process = Process(plugin, page)
    process.module.PAGE.append(page)
    yield process
    del sys.modules["watched_plugin"]


def add(node: str, kind: str, inputs: int = 1, outputs: int = 1, **more: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": {}, **more}


def connect(source: str, target: str, output: int = 0, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def level(node: str, value: float) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": {"level": value}}


# -- under watch ------------------------------------------------------------------------------------------------------


def test_whatever_of_a_plugin_runs_is_marked_while_it_does(process: Process, page: StatusPage) -> None:
    mark = core_mark("mine")
    process.edit(add("mine", "watched"), connect("mine", "out"))
    assert process.run()[:, 0].tolist() == [1.0] * BLOCK
    process.edit(
        level("mine", 3.0), {"op": "call", "node": "mine", "call": "kick"}, {"op": "call", "node": "mine", "call": "reset"}
    )
    assert process.run()[:, 0].tolist() == [3.0] * BLOCK
    process.edit({"op": "disconnect", "target": "out", "input": 0}, {"op": "remove", "node": "mine"})
    process.run()
    process.tidy()
    assert process.seen == [
        ("prepare", 0, mark),
        ("process", mark, 0),
        ("changed", mark, 0),
        ("kick", mark, 0),
        ("reset", mark, 0),
        ("process", mark, 0),
        ("close", 0, mark),
    ]
    assert page.marked_cores() == set()


def test_method_that_calls_another_stays_marked_after_it(process: Process, page: StatusPage) -> None:
    process.edit(add("d", "line"))
    process.run()
    mark = core_mark("d")
    assert process.seen == [("emit", mark, 0), ("between", mark, 0), ("absorb", mark, 0)]
    assert page.marked_cores() == set()


def test_mark_goes_when_the_code_raises(process: Process, page: StatusPage) -> None:
    process.edit(add("bad", "fails"))
    process.run()
    assert page.marked_cores() == set()
    assert page.counter("core_exceptions") == 1


def test_our_own_cores_are_what_they_are_and_a_watched_one_is_its_plugins(process: Process) -> None:
    process.edit(add("gain1", "gain"), add("mine", "watched"))
    cores = process.builder.graph.cores
    assert type(cores["gain1"]) is process.kinds["gain"]
    assert isinstance(cores["mine"], process.module.AWatched)
    assert type(cores["mine"]).__name__ == "AWatched"
    assert process.kinds.foreign == {"watched", "fails", "line"}


def test_watched_core_goes_with_its_last_reference(process: Process) -> None:
    """The audio process collects no garbage: a core that was tied into a cycle would stay for ever."""
    process.edit(add("mine", "watched"))
    process.run()
    gone = weakref.ref(process.builder.graph.cores["mine"])
    gc.collect()
    gc.disable()
    try:
        process.edit({"op": "remove", "node": "mine"})
        process.run()
        process.tidy()
        process.builder.settle()
        assert gone() is None
    finally:
        gc.enable()


def test_marks_of_a_process_that_died_are_forgotten(page: StatusPage, process: Process, tmp_path: Path) -> None:
    page.mark_core(core_mark("old"))
    page.mark_core(core_mark("older"), outside=True)
    assert page.marked_cores() == {core_mark("old"), core_mark("older")}
    Builder(process.kinds, 48000, BLOCK, process.runner.context, page)
    assert page.marked_cores() == set()


# -- left out ---------------------------------------------------------------------------------------------------------


def test_core_that_is_left_out_is_silent_and_the_others_go_on(process: Process) -> None:
    process.edit(
        add("mine", "watched", left_out=True), add("one", "constant", 0, 1), connect("mine", "out"), connect("one", "out", port=1)
    )
    process.edit(
        level("mine", 0.5),
        {"op": "call", "node": "mine", "call": "kick"},
        {"op": "set", "node": "one", "parameters": {"value": 0.25}},
    )
    out = process.run()
    assert not out[:, 0].any()
    assert out[:, 1].tolist() == [0.25] * BLOCK
    assert process.seen == []  # none of its code


def test_it_stays_left_out_when_it_gets_other_ports_and_comes_back_as_a_new_node(process: Process) -> None:
    process.edit(add("mine", "watched", left_out=True), connect("mine", "out"))
    process.edit({"op": "resize", "node": "mine", "inputs": 2, "outputs": 2}, connect("mine", "out", 1, 1))
    process.edit({"op": "resize", "node": "mine", "inputs": 1, "outputs": 1}, {"op": "call", "node": "mine", "call": "reset"})
    assert not process.run().any()
    process.edit({"op": "disconnect", "target": "out", "input": 0}, {"op": "remove", "node": "mine"})
    process.edit(add("mine", "watched"), connect("mine", "out"))
    assert process.run()[:, 0].all()


def test_cycle_through_a_delay_line_that_is_left_out_stays_sound(process: Process) -> None:
    loop = [connect("d", "gain1"), connect("gain1", "d"), connect("gain1", "out")]
    process.edit(add("d", "line", left_out=True), add("gain1", "gain"), *loop)
    assert not process.run().any()
    with pytest.raises(PatchError, match="cycle"):
        process.edit(
            add("gain2", "gain"), add("mine", "watched", left_out=True), connect("mine", "gain2"), connect("gain2", "mine")
        )
