"""Processes that are killed: what ends, what is replaced, what is whole, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
import soundfile
from plain_engine import ROOT, PlainEngine, add, alive, connect, published, segments, until

pytestmark = pytest.mark.e2e

RATE = 48000
BLOCK = 256


@pytest.fixture
def engine() -> Iterator[PlainEngine]:
    """A constant 0.5 into a tap and out 1, running."""
    with PlainEngine("lab") as engine:
        engine.client.listen()
        engine.client.edit(
            add("one", "constant", 0, 1, value=0.5), add("tap1", "tap", 1), connect("one", "tap1"), connect("one", "out")
        )
        engine.client.result("start")
        yield engine


def blocks(engine: PlainEngine) -> int:
    return engine.client.result("status")["counters"]["blocks"]


def goes_on(engine: PlainEngine) -> None:
    """Wait for further blocks."""
    before = blocks(engine)
    until(lambda: blocks(engine) > before + 5, "blocks")


# -- the owner --------------------------------------------------------------------------------------------------------

OWNER = """
import os, struct, subprocess, sys, time, msgpack
process = subprocess.Popen([sys.executable, "-m", "asmu_engine", "--stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
config = {"name": "owned", "device": "virtual", "samplerate": 48000.0, "blocksize": 256, "autostart": True}
data = msgpack.packb({"config": config, "private": PRIVATE})
process.stdin.write(struct.pack("<I", len(data)) + data)
process.stdin.flush()
head = process.stdout.read(4)
child = os.fork() if FORK else -1
if child:
    print(process.pid, child, flush=True)
time.sleep(60)
"""


def owner_of(*, private: bool, fork: bool = False) -> tuple[subprocess.Popen[str], int, int]:
    """A script that owns an engine; it, the engine's host, and the pid that the script forked (-1 for none)."""
    script = OWNER.replace("PRIVATE", str(private)).replace("FORK", str(fork))
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert owner.stdout is not None
    host, child = map(int, owner.stdout.readline().split())
    return owner, host, child


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    assert owner.stdout is not None
    owner.stdout.close()


@pytest.mark.parametrize("fork", [False, True])
def test_private_engine_ends_with_its_killed_owner(fork: bool) -> None:
    owner, host, child = owner_of(private=True, fork=fork)
    try:
        assert published("owned")["private"]
        assert segments()
        kill(owner)
        until(lambda: not alive(host), "the end of the host")
        assert segments() == []
        assert not (Path(os.environ["ASMU_RUNTIME_DIR"]) / "owned").exists()
    finally:
        if child > 0:
            os.kill(child, signal.SIGKILL)


def test_detached_engine_stays_when_its_starter_is_killed() -> None:
    owner, host, _ = owner_of(private=False)
    kill(owner)
    info = published("owned")
    assert (info["pid"], info["private"]) == (host, False)
    with pytest.raises(AssertionError, match="waited"):
        until(lambda: not alive(host), "the end of the host", patience=1.0)
    os.kill(host, signal.SIGTERM)
    until(lambda: not alive(host), "the end of the host")
    assert segments() == []


# -- the host ---------------------------------------------------------------------------------------------------------


def test_everything_ends_when_the_host_is_killed_and_the_next_engine_removes_what_is_left(engine: PlainEngine) -> None:
    pids = engine.pids()
    sockets = sorted(p.name for p in Path(os.environ["ASMU_RUNTIME_DIR"], "lab").glob("*.sock"))
    engine.process.kill()
    until(lambda: not any(map(alive, pids)), "the end of all processes")
    assert sockets == ["events.sock", "requests.sock"]
    assert len(segments()) == 2
    engine.end()

    with PlainEngine("lab") as again:  # the very name: socket, lock and segments of the dead one are no hindrance
        assert again.client.result("patch")["nodes"] == {}
        assert [name.rpartition(".")[2] for name in segments()] == ["status"]
    assert segments() == []


def test_any_engine_that_starts_reaps_the_dead_ones() -> None:
    with PlainEngine("dead") as dead:
        pids = dead.pids()
        dead.process.kill()
        until(lambda: not any(map(alive, pids)), "the end of all processes")
    with PlainEngine("other"):
        assert [name.split(".")[2] for name in segments()] == ["other"]
        assert not (Path(os.environ["ASMU_RUNTIME_DIR"]) / "dead").exists()


def test_recording_is_whole_when_the_host_is_killed(engine: PlainEngine, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    until(lambda: engine.client.result("job", job=1)["frames"] > RATE // 4, "a quarter of a second")
    pids = engine.pids()
    engine.process.kill()
    until(lambda: not any(map(alive, pids)), "the end of all processes")
    data, samplerate = soundfile.read(path, dtype="float32")
    assert samplerate == RATE
    assert len(data) > RATE // 4
    assert np.all(data == 0.5)
    engine.end()
    with PlainEngine("lab"):  # which reaps
        pass


def test_second_engine_of_a_name_is_refused_and_the_first_goes_on(engine: PlainEngine) -> None:
    with PlainEngine("lab") as second:
        error = second.greeting["error"]
        assert (error["code"], error["family"], error["where"]) == ("engine_exists", "engine", "lab")
        assert str(engine.info["pid"]) in error["message"]
        assert second.process.wait(10) == 1
    goes_on(engine)
    assert len(segments()) == 2


def test_engine_started_from_the_command_line_says_in_one_line_what_is_wrong(engine: PlainEngine) -> None:
    for arguments, text, status in (
        (["--name", "lab"], "already running", 1),
        (["--samplerate", "-1"], "samplerate", 2),
        (["--name", "a/b"], "name", 2),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "asmu_engine", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == status
        assert text in done.stderr
        assert len(done.stderr.splitlines()) == 1


# -- the audio process ------------------------------------------------------------------------------------------------


def test_audio_process_is_replaced_with_patch_rings_and_axis(engine: PlainEngine) -> None:
    before = engine.client.result("status")
    patch = engine.client.result("patch")
    os.kill(before["processes"]["audio"]["pid"], signal.SIGKILL)

    ended = engine.client.event("engine", "audio_ended")
    restarted = engine.client.event("engine", "audio_restarted")
    assert ended["status"] == "signal 9"
    assert restarted["restarts"] == 1
    assert restarted["gap"] > 0
    assert restarted["position"] == ended["position"] + restarted["gap"]

    goes_on(engine)
    after = engine.client.result("status")
    assert after["state"] == "running"
    assert after["frame_position"] > restarted["position"]
    assert after["processes"]["audio"]["pid"] != before["processes"]["audio"]["pid"]
    assert engine.client.result("patch") == patch
    assert engine.client.edit({"op": "set", "node": "one", "parameters": {"value": 0.25}})["revision"] == patch["revision"] + 1


def test_edits_that_arrive_while_the_audio_process_is_replaced_are_done_after(engine: PlainEngine) -> None:
    os.kill(engine.client.result("status")["processes"]["audio"]["pid"], signal.SIGKILL)
    engine.client.event("engine", "audio_ended")
    assert engine.client.edit(add("gain1", "gain", 1, 1))["revision"] == 2
    goes_on(engine)


def test_recording_goes_on_over_the_death_of_the_audio_process(engine: PlainEngine, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    os.kill(engine.client.result("status")["processes"]["audio"]["pid"], signal.SIGKILL)
    restarted = engine.client.event("engine", "audio_restarted")
    until(lambda: engine.client.result("job", job=1)["position"] > restarted["position"] + RATE // 10, "frames behind the gap")
    job = engine.client.result("job_stop", job=1)

    data, _ = soundfile.read(path, dtype="float32")
    assert len(data) == job["frames"]
    ((position, lost, cause),) = job["gaps"]
    assert cause == "restart"
    assert position + lost == restarted["position"]
    # A process that dies between a tap and its counter has delivered one block more than it has counted.
    assert restarted["gap"] - lost in (0, BLOCK)
    assert job["lost_frames"] == lost == np.count_nonzero(data == 0)
    begin = position - job["first"]
    assert np.all(data[begin : begin + lost] == 0)
    assert np.all(np.delete(data, np.s_[begin : begin + lost]) == 0.5)


def test_audio_process_that_dies_again_and_again_is_given_up(engine: PlainEngine, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    for death in range(4):
        until(lambda d=death: engine.client.result("status")["processes"]["audio"]["restarts"] == d, "a restart")
        goes_on(engine)
        os.kill(engine.client.result("status")["processes"]["audio"]["pid"], signal.SIGKILL)
    until(lambda: engine.client.result("status")["state"] == "failed", "the failure")
    for request in ({"kind": "start"}, {"kind": "transaction", "edits": [add("x", "gain", 1, 1)]}):
        answer = engine.client.ask(**request)
        assert (answer["type"], answer["code"], answer["retry"]) == ("error", "engine_failed", False)
    until(path.exists, "the recording")
    assert len(engine.client.result("patch")["nodes"]) == 2
    assert engine.end() == 3


# -- the disk process -------------------------------------------------------------------------------------------------


def test_disk_process_is_replaced_and_the_recording_loses_nothing(engine: PlainEngine, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    until(lambda: engine.client.result("job", job=1)["frames"] > RATE // 10, "some frames")
    os.kill(engine.client.result("status")["processes"]["disk"]["pid"], signal.SIGKILL)
    restarted = engine.client.event("disk", "disk_restarted")
    assert restarted["jobs"] == [1]
    frames = engine.client.result("job", job=1)["frames"]
    until(lambda: engine.client.result("job", job=1)["frames"] > frames + RATE // 10, "more frames")
    job = engine.client.result("job_stop", job=1)
    assert (job["state"], job["lost_frames"]) == ("finished", 0)
    data, _ = soundfile.read(path, dtype="float32")
    assert len(data) == job["frames"]
    assert np.all(data == 0.5)


def test_player_whose_disk_process_dies_is_reported(engine: PlainEngine, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros((30 * RATE, 1), np.float32), RATE, "FLOAT")
    engine.client.edit(add("feed1", "feed", 0, 1))
    engine.client.result("play", node="feed1", path=str(sound))
    twice = engine.client.ask("play", node="feed1", path=str(sound))
    assert (twice["code"], twice["where"]) == ("feed_in_use", "feed1")
    os.kill(engine.client.result("status")["processes"]["disk"]["pid"], signal.SIGKILL)
    until(lambda: engine.client.result("job", job=1)["state"] == "failed", "the failure")
    assert "signal 9" in engine.client.result("job", job=1)["error"]["message"]
    goes_on(engine)


# -- the device -------------------------------------------------------------------------------------------------------


def test_device_that_goes_away_is_lost_and_comes_back(engine: PlainEngine, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    engine.client.result("fault", fault="gone")
    lost = engine.client.event("device", "device_lost")
    status = engine.client.result("status")
    assert (status["state"], status["device"]) == ("lost", None)
    until(lambda: engine.client.result("job", job=1)["state"] == "finished", "the end of the recording")
    data, _ = soundfile.read(path, dtype="float32")
    assert engine.client.result("job", job=1)["position"] == lost["position"]
    assert np.all(data == 0.5)

    engine.client.result("fault", fault="back")
    engine.client.result("start")
    assert engine.client.result("status")["state"] == "running"
    goes_on(engine)


@pytest.mark.parametrize("how", ["stall", "SIGSTOP"])
def test_callbacks_that_cease_are_a_lost_device_within_two_seconds(engine: PlainEngine, how: str, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    audio = engine.client.result("status")["processes"]["audio"]["pid"]
    if how == "stall":
        engine.client.result("fault", fault="stall", blocks=100_000)
    else:
        os.kill(audio, signal.SIGSTOP)
    lost = engine.client.event("device", "device_lost")
    # By the engine's own clock: how long the news of it takes to this test says nothing about it.
    silent = re.fullmatch(r"no callback for (\d+\.\d) s", lost["reason"])
    assert silent, lost
    assert float(silent[1]) < 2.0
    until(lambda: not alive(audio), "the end of the process that holds the device")
    until(lambda: engine.client.result("job", job=1)["state"] == "finished", "the end of the recording")
    data, _ = soundfile.read(path, dtype="float32")
    assert len(data) > 0
    assert np.all(data == 0.5)

    def started() -> bool:
        return engine.client.ask("start")["type"] == "reply"

    until(started, "the start in a fresh process")
    goes_on(engine)
    assert engine.client.result("patch")["revision"] == 1


def test_recording_waits_while_the_device_is_stopped(engine: PlainEngine, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    goes_on(engine)
    stopped = engine.client.result("stop")["position"]
    assert engine.client.result("job", job=1)["state"] == "running"
    assert engine.client.result("start")["position"] == stopped
    goes_on(engine)
    job = engine.client.result("job_stop", job=1)
    assert (job["state"], job["lost_frames"]) == ("finished", 0)
    assert job["position"] > stopped
    data, _ = soundfile.read(path, dtype="float32")
    assert np.all(data == 0.5)


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stdin", "SIGTERM", "shutdown", "SIGHUP"])
def test_end_in_order(engine: PlainEngine, how: str, tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    engine.client.result("record", node="tap1", path=str(path))
    until(lambda: engine.client.result("job", job=1)["frames"] > 0, "frames")
    pids = engine.pids()
    if how == "shutdown":
        assert engine.client.result("shutdown") == {}
        assert path.exists()  # the answer comes when the files are whole
    elif how != "stdin":
        os.kill(engine.process.pid, getattr(signal, how))
    assert engine.end() == 0
    assert engine.words == ""
    assert not any(map(alive, pids))
    assert segments() == []
    assert not (Path(os.environ["ASMU_RUNTIME_DIR"]) / "lab").exists()
    data, _ = soundfile.read(path, dtype="float32")
    assert len(data) > 0
    assert np.all(data == 0.5)


def test_private_engine_leaves_ctrl_c_to_its_owner(engine: PlainEngine) -> None:
    os.kill(engine.process.pid, signal.SIGINT)
    goes_on(engine)


def test_stream_that_ends_by_itself_is_stopped(engine: PlainEngine) -> None:
    engine.client.result("stop")
    begin = engine.client.result("start", end_block=20)["position"]
    until(lambda: engine.client.result("status")["state"] == "stopped", "the end of the stream")
    status = engine.client.result("status")
    assert status["device"] is None
    assert status["frame_position"] == begin + 20 * 256
    engine.client.result("stop")  # harmless


def test_request_whose_answer_was_lost_is_done_once(engine: PlainEngine) -> None:
    data = msgpack.packb({"v": 1, "id": 5, "type": "transaction", "edits": [add("gain1", "gain", 1, 1)]})
    first = engine.connect(b"me")
    answer = first.raw(data)
    assert answer["result"]["revision"] == 2
    first.close()
    second = engine.stranger(b"me")  # the same connection, made anew
    assert second.raw(data) == answer
    assert engine.client.result("patch")["revision"] == 2
    # The same id with other content is no repetition; after a hello ids count anew.
    other = msgpack.packb({"v": 1, "id": 5, "type": "transaction", "edits": [add("gain2", "gain", 1, 1)]})
    assert second.raw(other)["code"] == "out_of_order"
    assert second.hello()["client"] == first.facts["client"]
    assert second.raw(other)["result"]["revision"] == 3
    assert second.raw(data)["code"] == "out_of_order"


def test_client_that_dies_leaves_the_list(engine: PlainEngine) -> None:
    script = (
        "import os, sys, msgpack, zmq\n"
        "s = zmq.Context().socket(zmq.DEALER); s.connect(sys.argv[1])\n"
        "s.send(msgpack.packb({'v': 1, 'id': 1, 'type': 'hello', 'name': 'guest', 'pid': os.getpid()})); s.recv()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, engine.info["requests"]], check=True, timeout=20)
    assert engine.client.event("client", "joined")
    until(lambda: [c["name"] for c in engine.client.result("status")["clients"]] == ["listener"], "the guest's leaving")
    left = engine.client.event("client", "left")
    assert left["name"] == "guest"
    assert any(
        event["event"] == "joined" and event.get("name") == "guest" for event in engine.client.seen if event["topic"] == "client"
    )
    # Each topic is numbered by itself, without a gap.
    numbers: dict[str, list[int]] = {}
    for event in engine.client.seen:
        numbers.setdefault(event["topic"], []).append(event["number"])
    assert {"client", "patch", "engine", "device"} <= set(numbers)
    for counted in numbers.values():
        assert counted == list(range(counted[0], counted[0] + len(counted)))
