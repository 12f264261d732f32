"""The audio process collects no garbage, so nothing that an edit makes may need that."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from asmu_engine.audio.engine import AudioEngine

GAIN = {"op": "add", "node": "gain", "kind": "gain", "inputs": 2, "outputs": 2, "parameters": {"gain": [0.5, 0.25]}}
LIFE: list[dict[str, Any]] = [
    GAIN,
    {"op": "connect", "source": "in", "output": 0, "target": "gain", "input": 0},
    {"op": "set", "node": "gain", "parameters": {"gain": 0.5}},
    {"op": "resize", "node": "gain", "inputs": 4, "outputs": 4},
    {"op": "disconnect", "target": "gain", "input": 0},
    {"op": "remove", "node": "gain"},
]


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def engine() -> Iterator[AudioEngine]:
    engine = AudioEngine("offline:stepped=1,inputs=2,outputs=2", 48000, 64)
    engine.start()
    yield engine
    engine.close()


def live_a_life(engine: AudioEngine) -> None:
    for edit in LIFE:
        engine.edit([edit])
        engine.step(1)
        engine.tidy()


def test_edits_leave_nothing_that_only_a_collection_frees(engine: AudioEngine, no_collection: None) -> None:
    live_a_life(engine)
    gc.collect()
    for _ in range(20):
        live_a_life(engine)
    assert gc.collect() == 0


def test_scheduled_and_withdrawn_edits_leave_nothing_either(engine: AudioEngine, no_collection: None) -> None:
    def once(tag: int) -> None:
        at = engine.runner.position + 10
        engine.arm([{"tag": tag, "at": at, "edits": [GAIN]}])
        engine.step(1)
        engine.tidy()
        engine.edit([{"op": "remove", "node": "gain"}])
        engine.arm([{"tag": tag + 1, "at": at + 10_000, "edits": [GAIN]}])
        engine.withdraw()
        engine.step(1)
        engine.tidy()

    once(1)
    gc.collect()
    for number in range(20):
        once(3 + 2 * number)
    assert gc.collect() == 0
