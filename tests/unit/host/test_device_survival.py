"""A device that is lost and looked for, and cores that are left out: the host's side, with a fake audio process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from asmu_engine.host import comeback as comeback_module
from asmu_engine.host.axis import Axis
from asmu_engine.host.crashes import blame, is_crash
from asmu_engine.host.lastrun import LastRun
from asmu_engine.host.node import Node
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.catalogue import ANY_PORTS, Kind
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.shm.status import core_mark

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comeback_module, "RETRY_SECONDS", 0.05)


def reopening(make: Make, monkeypatch: pytest.MonkeyPatch, **plan: str) -> Any:
    """A host whose device is awaited."""
    host = make(**plan)
    monkeypatch.setattr(host.engine, "device_awaited", lambda: True)
    return host.up()


def plan(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """What processes that are started from now on do."""
    monkeypatch.setenv("FAKE_AUDIO", json.dumps({**json.loads(os.environ["FAKE_AUDIO"]), **changes}))


def starts(host: Any) -> list[dict[str, Any]]:
    return [command for command in host.commands() if command["do"] == "start"]


# -- lost and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["virtual", "portaudio"])
def test_awaited_device_is_started_again_as_it_was(make_host: Make, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    host = reopening(make_host, monkeypatch, kind=kind)
    host.result("start", inputs=[2], outputs=[1], end_block=100_000, drop=3)
    host.until(lambda: host.result("status")["counters"]["blocks"] > 3, "blocks")
    host.ask("fault", fault="gone")
    lost = host.event("device", "device_lost")
    back = host.event("device", "device_back")
    first, again = starts(host)
    assert first.keys().isdisjoint({"axis", "cause", "uncertainty", "fixed_end"})
    assert (again["inputs"], again["outputs"], again["drop"], again["reset"]) == ([2], [1], 0, False)
    assert (again["cause"], again["fixed_end"]) == ("device_lost", True)
    assert again["end_block"] == (100_003 * 256 - again["position"]) // 256
    assert again["axis"][0] >= lost["position"] - 256
    assert again["axis"][2] == 48000.0
    assert again["uncertainty"] >= 257  # a block, and what 100 ppm make of the time
    assert back["position"] == again["position"] == lost["position"] + back["gap"]
    assert back["device"]["name"] == "fake"
    assert host.result("status")["state"] == "running"
    assert len(host.engine.audio._deaths) == 0


def test_attempts_go_on_until_the_device_is_there(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = reopening(make_host, monkeypatch, kind="portaudio")
    host.result("start")
    plan(monkeypatch, restart="error")
    host.ask("fault", fault="gone")
    host.until(lambda: len(starts(host)) >= 4, "three attempts")
    assert host.result("status")["state"] == "lost"
    plan(monkeypatch, restart="")
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)  # the next process finds it
    host.event("device", "device_back")


def test_lost_device_that_nobody_awaits_stays_lost(make_host: Make) -> None:
    host = make_host().up()
    host.result("start")
    host.result("fault", fault="gone")
    host.event("engine", "state", state="lost")
    run = host.engine.audio.run
    host.until(lambda: run._comeback.due, "the time of an attempt")
    watched: list[bool] = []
    host.loop.every(0.11, lambda: watched.append(True))
    host.until(lambda: len(watched) > 2, "two looks at the device")
    assert len(starts(host)) == 1
    assert host.result("status")["state"] == "lost"


def test_stop_ends_the_wait(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = reopening(make_host, monkeypatch, restart="error")
    host.result("start")
    host.result("fault", fault="gone")
    host.until(lambda: len(starts(host)) >= 2, "an attempt")
    host.result("stop")
    assert host.result("status")["state"] == "stopped"
    host.until(lambda: not host.engine.audio.run.commands.busy, "the end of the last attempt")
    attempts = len(starts(host))
    watched: list[bool] = []
    host.loop.every(0.11, lambda: watched.append(True))
    host.until(lambda: len(watched) > 2, "two looks at the device")
    assert len(starts(host)) == attempts


def test_run_that_is_over_meanwhile_is_not_taken_up_again(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = reopening(make_host, monkeypatch)
    host.result("start", end_block=1)  # the fake does not end it by itself
    host.result("fault", fault="gone")
    assert host.event("engine", "state", state="stopped")["reason"] == "finished"
    assert len(starts(host)) == 1


def test_stale_portaudio_is_looked_through_by_other_processes_without_a_word(
    make_host: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = reopening(make_host, monkeypatch, kind="portaudio")
    host.result("start")
    plan(monkeypatch, restart="stale")
    host.ask("fault", fault="gone")
    host.until(lambda: len(starts(host)) >= 4, "three attempts")
    plan(monkeypatch, restart="")
    host.event("device", "device_back")
    ended = [event for event in host.seen if event.get("event") == "audio_ended"]
    assert len(ended) == 1  # of the process that had the device
    assert (host.engine.audio.restarts, len(host.engine.audio._deaths)) == (1, 0)


def test_device_is_named_as_the_process_knew_it(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = reopening(make_host, monkeypatch, known="yes")
    assert "known" not in host.result("start")
    host.result("fault", fault="gone")
    back = host.event("device", "device_back")
    assert starts(host)[1]["known"] == {"input": None, "output": {"name": "fake"}}
    assert "known" not in back


# -- pieces -----------------------------------------------------------------------------------------------------------


def test_axis_runs_on_at_the_nominal_rate_and_gets_less_certain() -> None:
    axis = Axis(1000, 5_000_000_000, 48000.0, 256)
    assert axis.at(5_000_000_000) == 1000
    assert axis.at(65_000_000_000) == 1000 + 60 * 48000
    assert axis.uncertain(5_000_000_000) == 256
    assert axis.uncertain(65_000_000_000) == 256 + 288  # 100 ppm of a minute
    assert axis.to_wire() == [1000, 5_000_000_000, 48000.0]


def test_axis_of_a_clock_that_was_measured_is_better_known() -> None:
    fit = ClockFit(
        position=1000,
        monotonic_ns=5_000_000_000,
        utc_ns=0,
        samplerate=48_001.776,
        ppm=37.0,
        residual_ns=900.0,
        uncertainty_ns=1e6,
        ppm_uncertainty=0.5,
        seconds=60.0,
    )
    axis = Axis.fitted(fit, 256)
    assert axis.at(1_005_000_000_000) == 1000 + 48_001_776
    assert axis.uncertain(5_000_000_000) == 256 + 49  # 1 ms is 48.002 frames
    assert axis.uncertain(1_005_000_000_000) == 256 + 73  # and half a ppm of 48 001 776 another 24.0


def test_rest_of_a_run() -> None:
    run = LastRun(100)
    message = {"inputs": None, "outputs": [1], "end_block": 10, "drop": 2, "reset": True}
    run.begins(message, {"position": 500})
    run.runs({"device": {"name": "x"}, "known": {"input": None, "output": None}})
    assert run.rest(1550) == {
        **message,
        "end_block": 1,
        "drop": 0,
        "reset": False,
        "fixed_end": True,
        "known": {"input": None, "output": None},
    }
    assert run.rest(1601) is None
    run.ceases(1300, "restart")
    assert (run.cause, run.gap({"position": 1550})) == ("restart", {"position": 1550, "gap": 250})


# -- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "crash"), [(-4, True), (-6, True), (-7, True), (-8, True), (-11, True), (-9, False), (1, False)]
)
def test_signals_that_code_raises_are_crashes(status: int, crash: bool) -> None:
    assert is_crash(status) is crash


def test_third_crash_leaves_the_core_out() -> None:
    kind = Kind("mine", "effect", ANY_PORTS, ANY_PORTS)
    patch = Patch((kind,), 256)
    patch.nodes |= {name: Node(name, kind, 1, 1) for name in ("bad", "good")}
    told: list[dict[str, Any]] = []
    for crash in range(5):
        blame(patch, {core_mark("bad"), core_mark("gone")}, told.append, 100 * crash)
    assert told == [{"event": "left_out", "node": "bad", "crashes": 3, "position": 200}]
    assert [(edit["node"], edit.get("left_out", False)) for edit in patch.replay()] == [("bad", True), ("good", False)]
    assert patch.nodes["good"].crashes == 0


def test_core_that_crashes_every_process_is_left_out_and_the_engine_goes_on(
    make_host: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(crash="gain1").up()
    host.result(
        "transaction", edits=[{"op": "add", "node": "gain1", "kind": "gain", "inputs": 1, "outputs": 1, "parameters": {}}]
    )
    host.result("start")
    left_out = host.event("node", "left_out")
    assert (left_out["node"], left_out["crashes"]) == ("gain1", 3)
    host.until(lambda: host.engine.audio.restarts == 3 and host.result("status")["state"] == "running", "the engine")
    blocks = host.result("status")["counters"]["blocks"]
    host.until(lambda: host.result("status")["counters"]["blocks"] > blocks + 20, "blocks")
    assert host.engine.audio.restarts == 3
    assert len(host.engine.audio._deaths) == 0
    replayed = [command["edits"][0].get("left_out", False) for command in host.commands() if command["do"] == "edit"]
    assert replayed == [False, False, False, True]
