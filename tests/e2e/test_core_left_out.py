"""A plugin whose code takes the audio process with it: the engine comes back, and after three times does without that core."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plain_engine import PlainEngine, add, connect, until

pytestmark = pytest.mark.e2e

PLUGIN = """
import ctypes
import os
import time
from asmu_control.acore import AEffect, AGenerator, Parameter


class ACrashes(AEffect):
    kind = "crashes"
    parameters = (Parameter("gain", default=1.0), Parameter("fatal", default=0.0))

    def prepare(self):
        if self.fatal == 4:
            os.abort()

    def process(self, inputs, outputs):
        if self.fatal == 1:
            ctypes.string_at(1)  # a segmentation fault
        if self.fatal == 2:
            os.abort()
        if self.fatal == 3:
            while True:
                time.sleep(0.01)
        outputs[:] = inputs
        outputs *= self.gain


class ATwo(AGenerator):
    kind = "two"

    def process(self, inputs, outputs):
        outputs[:] = 2.0
"""
RATE = 48000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PlainEngine]:
    """Two plugin cores in a row into out 1 and a tap; out 2 has a constant of our own."""
    plugin = tmp_path / "fatal_plugin.py"
    plugin.write_text(PLUGIN)
    with PlainEngine("lab", plugins=[str(plugin)], reopen=True) as engine:
        engine.client.listen()
        engine.client.edit(
            add("two", "two", 0, 1),
            add("bad", "crashes", 1, 1),
            add("one", "constant", 0, 1, value=0.5),
            add("tap1", "tap", 2),
            connect("two", "bad"),
            connect("bad", "tap1"),
            connect("one", "tap1", port=1),
        )
        engine.client.result("start")
        yield engine


def status(engine: PlainEngine) -> dict[str, Any]:
    return engine.client.result("status")


def goes_on(engine: PlainEngine) -> None:
    until(lambda: status(engine)["state"] == "running", "the device")
    blocks = status(engine)["counters"]["blocks"]
    until(lambda: status(engine)["counters"]["blocks"] > blocks + 20, "blocks")


def events(engine: PlainEngine, what: str) -> list[dict[str, Any]]:
    return [event for event in engine.client.seen if event["event"] == what]


@pytest.mark.parametrize(("fatal", "death"), [(1, "signal 11"), (2, "signal 6")])
def test_core_that_crashes_the_audio_process_three_times_is_left_out(engine: PlainEngine, fatal: int, death: str) -> None:
    before = engine.client.result("patch")["connections"]
    # The process may be dead before it has answered that the edit holds: then it is taken back, and given once more.
    until(lambda: engine.client.ask("transaction", edits=[fatal_edit(fatal)])["type"] == "reply" or left_out(engine), "the edit")
    told = engine.client.event("node", "left_out")
    assert (told["node"], told["crashes"]) == ("bad", 3)
    goes_on(engine)
    engine.client.event("engine", "audio_restarted")
    ended = events(engine, "audio_ended")
    assert {event["status"] for event in ended} == {death}
    assert status(engine)["processes"]["audio"]["restarts"] == len(ended) >= 3
    assert engine.client.result("patch")["connections"] == before
    # It still takes edits; taken away and added again it is a core like any other.
    engine.client.edit({"op": "set", "node": "bad", "parameters": {"gain": 0.5}})
    engine.client.edit(
        {"op": "remove", "node": "bad"}, add("bad", "crashes", 1, 1), connect("two", "bad"), connect("bad", "tap1")
    )
    goes_on(engine)
    assert status(engine)["processes"]["audio"]["restarts"] == len(ended)


def test_core_whose_code_never_returns_is_left_out_too(engine: PlainEngine) -> None:
    engine.client.ask("transaction", edits=[fatal_edit(3)])
    told = engine.client.event("node", "left_out", patience=30.0)
    assert (told["node"], told["crashes"]) == ("bad", 3)
    goes_on(engine)
    assert len(events(engine, "device_lost")) == 3


def test_core_that_cannot_even_be_made_any_more_is_left_out(engine: PlainEngine) -> None:
    engine.client.edit(fatal_edit(4))  # of the next process
    os.kill(status(engine)["processes"]["audio"]["pid"], signal.SIGKILL)
    assert engine.client.event("node", "left_out")["crashes"] == 3
    goes_on(engine)
    assert [event["status"] for event in events(engine, "audio_ended")] == ["signal 9", *["signal 6"] * 3]
    assert engine.client.event("engine", "audio_restarted")["restarts"] == 4


def test_node_whose_making_crashes_is_refused_and_the_engine_goes_on(engine: PlainEngine) -> None:
    for attempt in range(6):
        answer = engine.client.ask("transaction", edits=[add(f"new{attempt}", "crashes", 1, 1, fatal=4.0)])
        assert (answer["type"], answer["code"]) == ("error", "engine_failed")
        goes_on(engine)
    assert engine.client.result("patch")["revision"] == 1
    assert not left_out(engine)


def test_process_killed_from_outside_blames_nobody(engine: PlainEngine) -> None:
    for death in range(3):
        until(lambda d=death: status(engine)["processes"]["audio"]["restarts"] == d, "a restart")
        goes_on(engine)
        os.kill(status(engine)["processes"]["audio"]["pid"], signal.SIGKILL)
    until(lambda: status(engine)["processes"]["audio"]["restarts"] == 3, "a restart")
    goes_on(engine)
    assert not left_out(engine)


def fatal_edit(fatal: int) -> dict[str, Any]:
    return {"op": "set", "node": "bad", "parameters": {"fatal": float(fatal)}}


def left_out(engine: PlainEngine) -> bool:
    return bool(events(engine, "left_out"))
