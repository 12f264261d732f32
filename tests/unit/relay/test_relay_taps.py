"""How the relay follows an engine: its taps, their changes, its end and return; without an engine."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import Any

import pytest

from asmu_control.events import Event
from asmu_control.relay import taps as taps_module
from asmu_control.relay.taps import TapWatch
from asmu_engine.protocol.errors import AsmuError, EngineError, EngineTimeout

OFFER = ("tcp://*:5557", {"format": "float32"})


def nodes(**rings: str) -> dict[str, Any]:
    """A patch with these taps, a feed and a gain."""
    found = {name: {"ring": ring, "inputs": 1, "outputs": 0} for name, ring in rings.items()}
    return {"nodes": {**found, "feed1": {"ring": "feed", "inputs": 0, "outputs": 1}, "gain1": {"ring": "", "outputs": 1}}}


class FakeEngine:
    """Makes clients that get what the test puts into `happens`: events, errors to raise, None for nothing within the time."""

    def __init__(self) -> None:
        self.happens: queue.Queue = queue.Queue()
        self.present = nodes()
        self.refuse: AsmuError | None = None
        self.looks = self.connections = 0
        self.announced: list = []
        self.there = True
        self.engine = "lab"
        self.pid = 7

    def connect(self, engine: str) -> FakeEngine:
        assert engine == "lab"
        if self.refuse is not None:
            raise self.refuse
        self.connections += 1
        return self

    def announce(self, *offer) -> None:
        self.announced.append(offer)

    def status(self) -> dict[str, Any]:
        return {"pid": self.pid}

    def patch(self) -> dict[str, Any]:
        self.looks += 1
        return self.present

    def alive(self) -> bool:
        return self.there

    def events(self, *topics: str) -> FakeEngine:
        assert topics == ("patch", "engine")
        self.happens.put(Event("snapshot", 0, {"patch": self.present}))
        return self

    def next(self, timeout: float) -> Event | None:
        try:
            item = self.happens.get(timeout=0.005)
        except queue.Empty:
            return None
        if isinstance(item, AsmuError):
            raise item
        return item

    def __enter__(self) -> FakeEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setattr(taps_module, "_AGAIN_SECONDS", 0.005)
    return FakeEngine()


@pytest.fixture
def watch(engine: FakeEngine):
    made = TapWatch("lab", engine.connect, OFFER)
    yield made
    made.close()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return value


def test_it_announces_the_relay_and_knows_the_taps(engine: FakeEngine) -> None:
    engine.present = nodes(tap1="ring1", tap2="ring2")
    watch = TapWatch("lab", engine.connect, OFFER)
    until(lambda: watch.now.rings == {"tap1": "ring1", "tap2": "ring2"})
    assert watch.now.run == "lab 7"
    assert engine.announced == [("relay", *OFFER)]
    watch.close()


def test_new_rings_are_looked_for_and_other_edits_cost_nothing(engine: FakeEngine, watch: TapWatch) -> None:
    until(lambda: watch.now.run)
    before = engine.looks
    for revision in range(50):
        engine.happens.put(Event("patch", revision, {"event": "edited", "revision": revision}))
    engine.present = nodes(tap1="ring1")
    engine.happens.put(Event("patch", 50, {"event": "edited", "rings": {"tap1": "ring1"}}))
    until(lambda: watch.now.rings == {"tap1": "ring1"})
    assert engine.looks == before + 1


@pytest.mark.parametrize("why", ["lost", "asked"])
def test_it_looks_when_events_were_lost_or_somebody_asks(engine: FakeEngine, watch: TapWatch, why: str) -> None:
    until(lambda: watch.now.run)
    engine.present = nodes(tap1="ring1")
    if why == "lost":
        engine.happens.put(Event("lost", 0, {"topic": "patch", "from": 3, "count": 2}))
    else:
        look = watch.look()
        until(lambda: watch.now.asked >= look)
        assert watch.now.rings == {"tap1": "ring1"}
    until(lambda: watch.now.rings == {"tap1": "ring1"})


@pytest.mark.parametrize("how", ["ending", "gone", "silent"])
def test_an_engine_that_ends_has_no_taps(engine: FakeEngine, how: str, caplog: pytest.LogCaptureFixture) -> None:
    engine.present = nodes(tap1="ring1")
    watch = TapWatch("lab", engine.connect, OFFER)
    until(lambda: watch.now.rings)
    gone = EngineError("engine 'lab' ended without a word", code="engine_gone")
    engine.refuse = EngineError("no engine 'lab' is running", code="engine_unknown")
    with caplog.at_level(logging.WARNING):
        if how == "silent":
            engine.there = False
        else:
            engine.happens.put(Event("engine", 1, {"event": "ending"}) if how == "ending" else gone)
        until(lambda: not watch.now.rings)
        assert watch.now.run == ""
        until(lambda: "no engine 'lab' is running" in caplog.text)
        number = watch.now.number
        until(lambda: watch.now.number > number + 5)
        assert caplog.text.count("no engine 'lab' is running") == 1
    engine.pid, engine.there, engine.refuse, engine.present = 8, True, None, nodes(tap1="ring2")
    until(lambda: watch.now.rings == {"tap1": "ring2"})
    assert watch.now.run == "lab 8"
    watch.close()


def test_an_engine_that_merely_does_not_answer_keeps_its_taps(engine: FakeEngine) -> None:
    engine.present = nodes(tap1="ring1")
    watch = TapWatch("lab", engine.connect, OFFER)
    until(lambda: watch.now.rings)
    engine.happens.put(EngineTimeout("engine 'lab' did not answer", code="timeout"))
    until(lambda: engine.connections == 2)
    assert watch.now.rings == {"tap1": "ring1"}
    assert watch.now.run == "lab 7"
    watch.close()


def test_a_look_that_was_asked_for_is_answered_where_no_engine_is(engine: FakeEngine) -> None:
    engine.refuse = EngineError("no engine 'lab' is running", code="engine_unknown")
    watch = TapWatch("lab", engine.connect, OFFER)
    look = watch.look()
    until(lambda: watch.now.asked >= look)
    assert (watch.now.run, watch.now.rings) == ("", {})
    watch.close()
