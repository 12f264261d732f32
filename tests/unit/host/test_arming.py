"""The host and an audio process that refuses, crashes or is stopped over transactions that wait."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from asmu_engine.host import arming as arming_module
from asmu_engine.host import child as child_module
from asmu_engine.host import devicecommands as devicecommands_module
from asmu_engine.shm.segment import list_segments

Make = Callable[..., Any]
FAR = 2**40
"""Frames beyond every horizon."""


def add(node: str, kind: str = "gain", inputs: int = 1, outputs: int = 1) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": {}}


def set_gain(node: str, gain: float) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": {"gain": gain}}


@pytest.fixture
def host(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(devicecommands_module, "HORIZON_SECONDS", 1e6)  # its frames never come, but they are always near
    host = make_host().up()
    host.result("transaction", edits=[add("gain1")])
    host.result("start")
    return host


def soon(host: Any) -> int:
    return int(host.result("status")["frame_position"]) + 10**9


def sent(host: Any, do: str) -> list[dict[str, Any]]:
    return [command for command in host.commands() if command["do"] == do]


def test_a_core_that_cannot_be_prepared_is_refused_when_it_is_scheduled(host: Any) -> None:
    at = soon(host)
    answer = host.ask("transaction", edits=[add("fails"), add("tap1", "tap", 1, 0)], at=at)
    assert (answer["code"], answer["where"]) == ("core_failed", "fails")
    assert host.result("scheduled") == {"scheduled": []}
    assert host.result("scheduled", scheduled=1)["outcome"]["state"] == "dropped"
    assert len(list_segments("fake")) == 1
    assert host.result("transaction", edits=[add("tap1", "tap", 1, 0)], at=at)["scheduled"] == 2
    assert len(list_segments("fake")) == 2


def test_one_that_is_refused_later_is_dropped_and_those_behind_it_go_on(host: Any) -> None:
    host.result("stop")
    at = soon(host)
    for edits in ([set_gain("gain1", 2)], [add("fails")], [set_gain("fails", 1)], [set_gain("gain1", 3)]):
        host.result("transaction", edits=edits, at=at)
    assert sent(host, "arm") == []
    host.result("start", reset=False)
    assert host.event("patch", "dropped", scheduled=2)["code"] == "core_failed"
    assert host.event("patch", "dropped", scheduled=3)["code"] == "unknown_node"
    assert [entry["scheduled"] for entry in host.result("scheduled")["scheduled"]] == [1, 4]
    assert [one["tag"] for one in sent(host, "arm")[-1]["armed"]][-1:] in ([4], [])


def test_an_edit_of_structure_withdraws_and_one_of_values_does_not(host: Any) -> None:
    at = soon(host)
    host.result("transaction", edits=[add("x"), {"op": "remove", "node": "gain1"}], at=at)
    host.result("transaction", edits=[add("gain2")])
    counted(host, withdraw=1, arm=2)
    host.result("transaction", edits=[set_gain("gain2", 2)])
    counted(host, withdraw=1, arm=2)
    host.result("transaction", edits=[set_gain("gain1", 2)])  # which one of the armed removes
    counted(host, withdraw=2, arm=3)
    host.result("transaction", edits=[set_gain("gain2", 3)], at=at - 1)
    counted(host, withdraw=2, arm=4)
    host.result("transaction", edits=[set_gain("gain1", 3)], at=at - 1)
    counted(host, withdraw=3, arm=5)
    assert [one["tag"] for one in sent(host, "arm")[-1]["armed"]] == [2, 3, 1]
    host.result("reset")
    counted(host, withdraw=4, arm=6)


def counted(host: Any, withdraw: int, arm: int) -> None:
    """What is withdrawn is armed again behind the answer to what it was withdrawn for."""
    host.until(lambda: len(sent(host, "arm")) >= arm, f"arming {arm}")
    assert (len(sent(host, "withdraw")), len(sent(host, "arm"))) == (withdraw, arm)


def test_what_is_refused_for_now_leaves_what_waits_as_it_was(host: Any) -> None:
    at = soon(host)
    host.result("transaction", edits=[add("x")], at=at)
    assert host.ask("transaction", edits=[add("fails")])["code"] == "core_failed"
    assert host.ask("transaction", edits=[add("gain1")])["code"] == "duplicate_node"
    host.until(lambda: len(sent(host, "arm")) == 2, "the second arming")
    assert [one["tag"] for one in sent(host, "arm")[-1]["armed"]] == [1]
    assert len(host.result("scheduled")["scheduled"]) == 1


def test_a_gap_is_waited_for_where_one_is_due(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming_module, "GAP_SECONDS", 1e9)
    monkeypatch.setattr(arming_module, "PATIENCE_SECONDS", 0.05)
    ticks = itertools.count()
    monkeypatch.setattr(arming_module, "time", SimpleNamespace(monotonic=lambda: 0.02 * next(ticks)))
    host.result("transaction", edits=[add("x")], at=soon(host))
    seen: list[float | None] = []
    seconds_until = host.engine.audio.run.seconds_until
    monkeypatch.setattr(host.engine.audio.run, "seconds_until", lambda at: seen.append(seconds_until(at)) or 0.001)
    host.result("transaction", edits=[add("gain2")])
    assert len(seen) == 3  # looked again, but not for ever
    assert len(sent(host, "withdraw")) == 1


@pytest.mark.skipif(os.name != "posix", reason="the fake process ends by a signal")
def test_a_process_that_dies_over_one_is_replaced_and_the_next_gets_the_others(host: Any) -> None:
    at = soon(host)
    host.result("transaction", edits=[add("x")], at=at)
    # It is tried once more by itself, with which it is clear that the process dies of it.
    assert host.result("transaction", edits=[add("crashes")], at=at)["scheduled"] == 2
    assert host.event("patch", "dropped", scheduled=2)["code"] == "engine_failed"
    host.until(lambda: len(sent(host, "start")) == 3, "the third process")
    host.until(lambda: host.result("status")["state"] == "running", "the device")
    assert [entry["scheduled"] for entry in host.result("scheduled")["scheduled"]] == [1]
    assert host.engine.audio.restarts == 2
    host.until(lambda: host.engine._transactions.schedule.entries[0].armed, "the one that is left")


def test_one_that_no_pipe_takes_is_refused(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "MAX_MESSAGE_BYTES", 10_000)
    answer = host.ask("transaction", edits=[set_gain("gain1", 1.5)] * 1000, at=soon(host))
    assert answer["code"] == "patch_too_large"
    assert host.result("scheduled") == {"scheduled": []}


def test_those_beyond_the_horizon_are_armed_when_they_come_near(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host().up()
    host.result("start")
    host.result("transaction", edits=[add("x")], at=FAR)
    assert sent(host, "arm") == []
    monkeypatch.setattr(devicecommands_module, "HORIZON_SECONDS", 1e9)
    host.until(lambda: sent(host, "arm"), "the arming")
    assert sent(host, "arm")[0]["armed"][0]["at"] == FAR
