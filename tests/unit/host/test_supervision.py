"""The host and its audio process: a child that refuses, hangs, crashes or lies still."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asmu_engine.clocks import silence
from asmu_engine.host import audio as audio_module
from asmu_engine.host import devicecommands as devicecommands_module
from asmu_engine.host import engine as engine_module
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.shm.segment import list_segments

Make = Callable[..., Any]


def add(node: str, kind: str = "gain", inputs: int = 1, outputs: int = 1, **parameters: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def set_gain(node: str, gain: float) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": {"gain": gain}}


# -- start-up ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "code"), [("error", "plugin_unreadable"), ("die", "engine_failed")])
def test_audio_process_that_cannot_be_configured_means_no_engine(make_host: Make, how: str, code: str) -> None:
    host = make_host(configure=how)
    host.until(lambda: host.ready, "the refusal")
    error = host.ready[0]
    assert isinstance(error, AsmuError)
    assert error.code == code


def test_audio_process_that_hangs_while_it_is_configured_is_ended(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_module, "CONFIGURE_SECONDS", 0.3)
    host = make_host(configure="hang")
    host.until(lambda: host.ready, "the refusal")
    assert host.ready[0].code == "engine_failed"
    assert "'configure'" in host.ready[0].message


def test_engine_can_end_before_it_is_up(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "AUDIO_END_SECONDS", 0.2)
    make_host(configure="hang")


def test_configure_carries_name_settings_and_position(make_host: Make) -> None:
    host = make_host().up()
    command = host.commands()[0]
    assert (command["id"], command["do"], command["engine"], command["position"]) == (0, "configure", "fake", 0)
    assert command["config"]["blocksize"] == 256
    assert host.result("status")["realtime"] == {"audio_thread": "normal"}
    assert [kind["name"] for kind in host.result("catalogue")["kinds"]] == ["gain", "delay", "tap"]


# -- edits ------------------------------------------------------------------------------------------------------------


def test_ring_is_made_named_and_removed(make_host: Make) -> None:
    host = make_host().up()
    made = host.result("transaction", edits=[add("tap1", "tap", 2, 0)])
    ring = made["rings"]["tap1"]
    assert host.commands()[-1]["edits"][0]["ring"] == ring
    assert host.result("patch")["nodes"]["tap1"]["ring"] == ring
    assert ring in list_segments("fake")

    resized = host.result("transaction", edits=[{"op": "resize", "node": "tap1", "inputs": 3, "outputs": 0}])["rings"]["tap1"]
    assert resized != ring
    assert ring not in list_segments("fake")
    assert "rings" not in host.result("transaction", edits=[{"op": "remove", "node": "tap1"}])
    assert len(list_segments("fake")) == 1

    # Within one transaction the old ring is still there when the new one is made.
    host.result("transaction", edits=[add("status", "tap", 1, 0), add("brief", "tap", 1, 0), {"op": "remove", "node": "brief"}])
    again = host.result("transaction", edits=[{"op": "remove", "node": "status"}, add("status", "tap", 1, 0)])["rings"]["status"]
    assert sorted(list_segments("fake")) == sorted(["asmu." + again.split(".", 2)[1] + ".fake.status", again])


def test_core_that_cannot_be_prepared_is_rolled_back(make_host: Make) -> None:
    host = make_host().up()
    host.result("transaction", edits=[add("gain1")])
    before = host.result("patch")
    answer = host.ask("transaction", edits=[add("tap1", "tap", 1, 0), set_gain("gain1", 2), add("fails")])
    assert (answer["code"], answer["where"]) == ("core_failed", "fails")
    assert host.result("patch") == before
    assert len(list_segments("fake")) == 1


def test_ring_that_does_not_fit_is_refused_before_the_audio_process_hears_of_it(
    make_host: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host().up()
    monkeypatch.setattr(host.engine._rings, "capacity", 2**60)
    answer = host.ask("transaction", edits=[add("gain1"), add("tap1", "tap", 1, 0)])
    assert (answer["family"], answer["code"]) == ("ring", "ring_space")
    assert host.result("patch")["nodes"] == {}
    assert all(command["do"] != "edit" for command in host.commands())


def test_order_is_kept_when_requests_do_not_wait_for_answers(make_host: Make) -> None:
    host = make_host().up()
    host.send("transaction", edits=[add("gain1")])
    for value in range(100):
        host.send("transaction", edits=[set_gain("gain1", value)])
    host.send("transaction", edits=[add("fails")])
    host.send("transaction", edits=[set_gain("gain1", 7), add("gain2")])
    host.send("transaction", edits=[add("gain2")])
    host.send("patch")
    answers = [host.answer() for _ in range(105)]
    assert [answer["id"] for answer in answers] == sorted(answer["id"] for answer in answers)
    assert [answer["result"]["revision"] for answer in answers[:101]] == list(range(1, 102))
    assert [answer.get("code") for answer in answers[101:]] == ["core_failed", None, "duplicate_node", None]
    assert answers[102]["result"]["revision"] == 102
    assert answers[104]["result"]["nodes"]["gain1"]["parameters"] == {"gain": 7.0}


def test_too_many_waiting_transactions_are_refused(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host().up()
    monkeypatch.setattr("asmu_engine.host.lane.MAX_WAITING", 3)
    os.kill(host.engine.audio.child.pid, signal.SIGSTOP)
    for number in range(6):
        host.send("transaction", edits=[add(f"gain{number}")])
    answers = [host.answer() for _ in range(2)]
    assert {(answer["code"], answer["retry"]) for answer in answers} == {("engine_state", True)}
    os.kill(host.engine.audio.child.pid, signal.SIGCONT)
    assert [host.answer()["type"] for _ in range(4)] == ["reply"] * 4


def test_transaction_that_grows_beyond_a_message_is_refused(make_host: Make) -> None:
    host = make_host().up()
    host.result("transaction", edits=[add("gain1", inputs=1024, outputs=1024)])
    small = [set_gain("gain1", [1] * 1024)] * 1000  # 1 MB here, 9 MB as the numbers that a core takes
    answer = host.ask("transaction", edits=small)
    assert answer["code"] == "patch_too_large"
    assert host.result("patch")["nodes"]["gain1"]["parameters"] == {"gain": 1.0}


def test_crash_over_an_edit_takes_that_edit_back_and_no_other(make_host: Make) -> None:
    host = make_host().up()
    host.result("transaction", edits=[add("gain1"), add("tap1", "tap", 1, 0)])
    answer = host.ask("transaction", edits=[add("crashes")])
    assert (answer["code"], answer["retry"]) == ("engine_failed", True)
    assert "exit status 7" in answer["message"]
    assert host.result("transaction", edits=[add("gain2")])["revision"] == 2
    replayed = host.commands()[-2]
    assert [edit["node"] for edit in replayed["edits"]] == ["gain1", "tap1"]
    assert replayed["edits"][1]["ring"] in list_segments("fake")


def test_hang_over_an_edit_is_ended_from_outside(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host().up()
    child = host.engine.audio.child
    host.send("transaction", edits=[add("hangs")])
    host.until(lambda: child._pending, "the request")
    next(iter(child._pending.values())).seconds = 0.0
    answer = host.answer()
    assert answer["code"] == "engine_failed"
    assert "signal 9" in answer["message"]
    assert host.result("patch")["nodes"] == {}
    assert host.engine.audio.restarts == 1


# -- device -----------------------------------------------------------------------------------------------------------


def test_start_refused_by_the_device(make_host: Make) -> None:
    host = make_host(start="error").up()
    answer = host.ask("start")
    assert (answer["family"], answer["code"]) == ("device", "device_unknown")
    assert host.result("status")["state"] == "stopped"


def test_start_that_hangs_is_refused_and_the_process_replaced(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devicecommands_module, "START_SECONDS", 0.3)
    host = make_host(start="hang").up()
    answer = host.ask("start")
    assert (answer["code"], answer["retry"]) == ("device_failed", True)
    assert "did not start within 0.3 s" in answer["message"]
    host.until(lambda: host.ask("transaction", edits=[add("gain1")])["type"] == "reply", "the next process")


def test_channels_of_the_patch_must_be_in_use(make_host: Make) -> None:
    host = make_host().up()
    host.result(
        "transaction", edits=[add("gain1"), {"op": "connect", "source": "in", "output": 4, "target": "gain1", "input": 0}]
    )
    for fields in ({"inputs": [1]}, {}):  # asked for too few; the device has too few
        answer = host.ask("start", **fields)
        assert (answer["family"], answer["code"]) == ("device", "device_channels")
        assert "uses input channels 5" in answer["message"]
    assert host.result("status")["state"] == "stopped"
    assert host.result("start", inputs=[5])["device"]["inputs"] == [5]
    connect = {"op": "connect", "source": "gain1", "output": 0, "target": "out", "input": 2}
    answer = host.ask("transaction", edits=[connect])
    assert (answer["code"], answer["where"]) == ("unknown_port", "out:2")


def test_start_and_stop_are_told_apart_from_running(make_host: Make) -> None:
    host = make_host().up()
    assert host.result("stop") == {}
    host.result("start", inputs=[1], outputs=[2], end_block=9, drop=1, reset=False)
    assert {k: v for k, v in host.commands()[-1].items() if k != "id"} == {
        "do": "start",
        "inputs": [1],
        "outputs": [2],
        "end_block": 9,
        "drop": 1,
        "reset": False,
        "position": 0,
    }
    assert host.ask("start")["code"] == "engine_state"
    assert host.result("status")["device"]["name"] == "fake"
    host.result("stop")
    host.event("engine", "state", state="stopped")


def test_other_commands_are_passed_on(make_host: Make) -> None:
    host = make_host().up()
    assert host.result("step", blocks=3) == {"blocks": 3}
    assert host.result("profile", enabled=True) == {"nodes": {}}
    assert host.result("ping") == {}
    host.result("fault", fault="lose", frames=5)
    assert {k: v for k, v in host.commands()[-1].items() if k != "id"} == {
        "do": "fault",
        "fault": "lose",
        "blocks": 1,
        "frames": 5,
        "seconds": 0.0,
    }


def test_notices_of_the_audio_process_become_events(make_host: Make) -> None:
    host = make_host().up()
    host.result("fault", fault="input_overflow")
    assert host.event("xrun", "xrun")["lost"] == 3
    host.result("fault", fault="output_overflow")
    assert host.event("node", "core_failed")["node"] == "n"
    host.result("fault", fault="input_underflow")
    assert host.result("status")["realtime"] == {"audio_thread": "SCHED_FIFO 70"}


@pytest.mark.parametrize(("kind", "replaced"), [("portaudio", True), ("virtual", False)])
def test_process_of_a_lost_device_is_replaced_where_portaudio_holds_it(make_host: Make, kind: str, replaced: bool) -> None:
    host = make_host(kind=kind).up()
    host.result("start")
    pid = host.engine.audio.child.pid
    host.ask("fault", fault="gone")  # the answer is lost where the process is ended before it gave it
    assert host.event("device", "device_lost")["reason"] == "unplugged"
    host.event("engine", "state", state="lost")
    host.until(lambda: host.ask("start")["type"] == "reply", "the next start")
    assert (host.engine.audio.child.pid != pid) is replaced
    # A device that was lost on its own is no fault of the process.
    assert len(host.engine.audio._deaths) == 0


def test_stream_that_is_over_before_its_start_is_answered(make_host: Make) -> None:
    host = make_host(start="end").up()
    host.result("start")
    assert host.event("engine", "state", state="stopped")["reason"] == "finished"
    assert host.result("status")["device"] is None


def test_request_that_takes_long_makes_none_behind_it_late(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "DEVICE_SECONDS", 60.0)  # it is stopped for a while
    host = make_host().up()
    host.result("start")
    child = host.engine.audio.child
    os.kill(child.pid, signal.SIGSTOP)
    host.send("step", blocks=1)
    host.send("stop")
    host.until(lambda: len(child._pending) == 2, "both requests")
    stop = child._pending[max(child._pending)]
    stop.since -= 60
    assert stop.what == "stop"
    assert time.monotonic() - stop.since > stop.seconds
    looks: list[str | None] = []
    overdue = child.overdue
    monkeypatch.setattr(child, "overdue", lambda: looks.append(overdue()) or looks[-1])
    host.until(lambda: looks, "a look for what is late")
    os.kill(child.pid, signal.SIGCONT)
    assert [host.answer()["type"] for _ in range(2)] == ["reply"] * 2
    assert set(looks) == {None}
    assert time.monotonic() - stop.since < 60  # it counts from when its turn has come
    assert host.engine.audio.restarts == 0


def test_stream_that_finishes_is_stopped(make_host: Make) -> None:
    host = make_host().up()
    host.result("start")
    host.result("fault", fault="back")
    assert host.event("engine", "state", state="stopped")["reason"] == "finished"


def test_callbacks_that_cease_are_a_lost_device(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "DEVICE_SECONDS", 60.0)  # until they are told to cease
    host = make_host().up()
    host.result("start")
    pid = host.engine.audio.child.pid
    host.result("fault", fault="stall")
    host.engine.audio.run.pulse._patience = 0.3
    assert host.event("device", "device_lost")["reason"].startswith("no callback for")
    host.until(lambda: host.ask("transaction", edits=[add("gain1")])["type"] == "reply", "the next process")
    assert host.engine.audio.child.pid != pid
    assert host.result("status")["state"] == "lost"
    assert host.commands()[-2]["position"] > host.event("device", "device_lost")["position"]
    host.result("stop")
    assert host.result("status")["state"] == "stopped"


def test_crash_of_a_running_process_starts_the_device_again(make_host: Make) -> None:
    host = make_host().up()
    host.result("start", inputs=[2], outputs=[1], end_block=100_000, drop=3)
    host.until(lambda: host.result("status")["counters"]["blocks"] > 3, "blocks")
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    ended = host.event("engine", "audio_ended")
    restarted = host.event("engine", "audio_restarted")
    configure, start = host.commands()[-2:]
    assert ended["status"] == "signal 9"
    assert (configure["do"], start["do"]) == ("configure", "start")
    # The axis ran on while the new process started: configure has an estimate, start what was true by then.
    assert configure["position"] <= start["position"] == restarted["position"] == ended["position"] + restarted["gap"]
    assert restarted["gap"] > 0
    assert (start["inputs"], start["outputs"], start["drop"], start["reset"]) == ([2], [1], 0, False)
    assert start["end_block"] == (100_003 * 256 - start["position"]) // 256
    assert host.result("status")["state"] == "running"


def test_crash_while_the_device_is_started_again_is_one_more_crash(make_host: Make) -> None:
    host = make_host(restart="die").up()
    host.result("start")
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    host.event("engine", "state", state="failed")
    assert host.engine.audio.restarts == 3


def test_device_that_is_gone_when_it_is_to_be_started_again_is_lost(make_host: Make) -> None:
    host = make_host(restart="error").up()
    host.result("start")
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    assert "no such device" in host.event("device", "device_lost")["reason"]
    assert host.result("status")["state"] == "lost"


def test_stream_that_would_have_ended_meanwhile_is_not_started_again(make_host: Make) -> None:
    host = make_host().up()
    host.result("start", end_block=1)  # the fake does not end it by itself
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    assert host.event("engine", "state", state="stopped")["reason"] == "finished"
    host.result("transaction", edits=[add("gain1")])
    assert [command["do"] for command in host.commands()].count("start") == 1


def test_stop_while_the_process_is_being_replaced(make_host: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = make_host().up()
    host.result("start")
    gate = tmp_path / "gate"
    monkeypatch.setenv("FAKE_AUDIO", json.dumps({"log": str(host.log), "gate": str(gate)}))
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    host.event("engine", "audio_ended")
    host.result("stop")
    gate.touch()
    host.result("transaction", edits=[add("gain1")])
    assert host.result("status")["state"] == "stopped"
    assert [command["do"] for command in host.commands()].count("start") == 1


def test_patch_that_crashes_every_process_is_given_up(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host().up()
    host.result("transaction", edits=[add("gain1")])
    monkeypatch.setenv("FAKE_AUDIO", json.dumps({"configure": "die"}))
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    failed = host.event("engine", "state", state="failed")
    assert "more than 3 times within 60 s" in failed["reason"]
    answer = host.ask("transaction", edits=[add("gain2")])
    assert (answer["code"], answer["retry"]) == ("engine_failed", False)
    assert list(host.result("patch")["nodes"]) == ["gain1"]


def test_requests_on_an_engine_that_ends_are_refused(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "AUDIO_END_SECONDS", 10.0)
    host = make_host().up()
    os.kill(host.engine.audio.child.pid, signal.SIGSTOP)  # so that the end waits for it
    host.send("shutdown")
    number = host.send("start")
    answer = host.answer()
    assert (answer["id"], answer["code"]) == (number, "engine_gone")
    os.kill(host.engine.audio.child.pid, signal.SIGCONT)
    assert host.answer()["result"] == {}
