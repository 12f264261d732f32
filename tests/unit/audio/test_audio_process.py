"""The audio process spoken to over its pipe, as a host does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from asmu_engine.config import EngineConfig
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.shm.create import create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.status import StatusPage, create_status

ENGINE = "audioproc"


class Audio:
    """An audio process and the host's end of its pipe."""

    def __init__(self, device: str, **settings: object) -> None:
        self.status = create_status(ENGINE)
        self.page = StatusPage.attach(ENGINE)
        self.child = subprocess.Popen([sys.executable, "-m", "asmu_engine.audio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.pipe = MessagePipe(self.child.stdout, self.child.stdin)
        self.events: list[dict] = []
        self.number = 0
        config = EngineConfig(name=ENGINE, device=device, samplerate=48000, blocksize=64, **settings)
        self.facts = self.do("configure", engine=ENGINE, config=config.to_wire(), position=0)

    def do(self, command: str, **fields: object) -> dict:
        answer = self.ask(command, **fields)
        assert "error" not in answer, answer
        return answer["result"]

    def ask(self, command: str, **fields: object) -> dict:
        self.number += 1
        assert self.pipe.send({"id": self.number, "do": command, **fields})
        while (message := self.pipe.receive()) is not None:
            if message.get("id") == self.number:
                return message
            self.events.append(message)
        raise AssertionError("the audio process is gone")

    def event(self, name: str) -> dict:
        while True:
            for message in self.events:
                if message["event"] == name:
                    self.events.remove(message)
                    return message
            message = self.pipe.receive()
            assert message is not None
            self.events.append(message)

    def end(self) -> None:
        self.pipe.close()
        self.child.wait(10)
        self.page.close()
        self.status.unlink()
        self.status.close()


@pytest.fixture
def start_audio():
    started: list[Audio] = []

    def start(device: str, **settings: object) -> Audio:
        started.append(Audio(device, **settings))
        return started[-1]

    yield start
    for audio in started:
        audio.end()


def constant(value: float) -> list[dict]:
    return [
        {"op": "add", "node": "c", "kind": "constant", "outputs": 1, "parameters": {"value": value}},
        {"op": "connect", "source": "c", "output": 0, "target": "out", "input": 0},
    ]


def test_it_tells_its_kinds_and_grants(start_audio):
    facts = start_audio("offline").facts
    assert [kind["name"] for kind in facts["catalogue"]] == sorted(kind["name"] for kind in facts["catalogue"])
    assert {"sine", "gain", "tap", "feed"} <= {kind["name"] for kind in facts["catalogue"]}
    assert facts["realtime"]["garbage_collector"] == "frozen and off"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the threads of another process from /proc")
def test_no_thread_with_the_interpreter_runs_below_the_users_programs(start_audio):
    audio = start_audio("virtual:inputs=1,outputs=1")
    if not audio.facts["realtime"]["control_thread"].startswith("SCHED_FIFO"):
        pytest.skip(f"no real-time scheduling here: {audio.facts['realtime']['control_thread']}")
    audio.do("start")
    audio.event("realtime")
    threads = [int(folder.name) for folder in Path(f"/proc/{audio.child.pid}/task").iterdir()]
    assert len(threads) == 3  # control, tidy, audio
    priorities = sorted(os.sched_getparam(thread).sched_priority for thread in threads)
    assert priorities == [5, 5, 70]


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no POSIX scheduling")
def test_a_device_as_fast_as_it_goes_has_no_priority_to_starve_others_with(start_audio):
    audio = start_audio("offline:inputs=1,outputs=1")
    audio.do("start")
    assert audio.event("realtime")["realtime"]["audio_thread"] == "normal: nothing has to be in time"
    threads = [int(folder.name) for folder in Path(f"/proc/{audio.child.pid}/task").iterdir()]
    granted = audio.facts["realtime"]["control_thread"].startswith("SCHED_FIFO")
    assert sorted(os.sched_getparam(thread).sched_priority for thread in threads) == ([0, 5, 5] if granted else [0, 0, 0])


def test_a_stepped_stream_fills_a_tap_exactly(start_audio):
    audio = start_audio("offline:inputs=1,outputs=1,stepped=1")
    ring = create_ring(segment_name(ENGINE, "t"), 1, 1, 48000, 48000)
    audio.do(
        "edit",
        edits=[
            {"op": "add", "node": "n", "kind": "noise", "outputs": 1, "parameters": {"seed": 3}},
            {"op": "add", "node": "t", "kind": "tap", "inputs": 1, "ring": segment_name(ENGINE, "t")},
            {"op": "connect", "source": "n", "output": 0, "target": "out", "input": 0},
            {"op": "connect", "source": "in", "output": 0, "target": "t", "input": 0},
        ],
    )
    assert audio.do("start", inputs=None, outputs=None, end_block=None, drop=0, reset=True)["position"] == 0
    assert audio.do("step", blocks=100)["position"] == 6400
    with RingReader(segment_name(ENGINE, "t"), "oldest") as reader:
        block = reader.read(6400, copy=True)
    played = np.random.Generator(np.random.PCG64(3)).random((6400, 1), dtype=np.float32) * 2 - 1
    assert np.array_equal(block.data[64:], played[:-64])
    assert not block.data[:64].any()
    assert audio.page.counter("blocks") == 100
    ring.unlink()
    ring.close()


def test_an_edit_is_acknowledged_with_its_frame_position(start_audio):
    audio = start_audio("virtual:inputs=1,outputs=1")
    audio.do("edit", edits=constant(1.0))
    audio.do("start", inputs=None, outputs=None, end_block=None, drop=0, reset=True)
    before = audio.page.counter("frame_position")
    at = audio.do("edit", edits=[{"op": "set", "node": "c", "parameters": {"value": 0.5}}])["at"]
    assert at >= before
    assert at % 64 == 0
    position = audio.do("stop")["position"]
    assert position >= at
    # A stopped stream takes edits at once, at the frame that comes next.
    assert audio.do("edit", edits=[{"op": "set", "node": "c", "parameters": {"value": 1.0}}])["at"] == position


def test_the_end_of_a_stream_is_told_once(start_audio):
    audio = start_audio("virtual:inputs=1,outputs=1")
    audio.do("start", inputs=None, outputs=None, end_block=5, drop=2, reset=True)
    assert audio.event("ended")["reason"] == "finished"
    assert audio.page.counter("blocks") == 7


def test_xruns_are_events_with_their_position(start_audio):
    audio = start_audio("virtual:inputs=1,outputs=1")
    audio.do("start", inputs=None, outputs=None, end_block=None, drop=0, reset=True)
    audio.do("fault", fault="lose", blocks=1, frames=1000)
    event = audio.event("xrun")
    assert event["lost"] == 1000
    assert "input_overflow" in event["flags"]
    assert event["position"] % 64 == 1000 % 64
    assert audio.page.counter("lost_frames") == 1000


def test_a_virtual_device_that_is_gone_comes_back(start_audio):
    audio = start_audio("virtual:inputs=1,outputs=1,name=unplugged")
    start = {"inputs": None, "outputs": None, "end_block": None, "drop": 0, "reset": True}
    audio.do("start", **start)
    audio.do("fault", fault="gone", blocks=1, frames=1)
    assert audio.event("ended")["reason"].startswith("lost: ")
    assert audio.ask("start", **start)["error"]["code"] == "device_lost"
    audio.do("fault", fault="back", blocks=1, frames=1)
    audio.do("start", **start)


def test_errors_come_back_and_nothing_stops(start_audio):
    audio = start_audio("virtual:inputs=2,outputs=2")
    wrong = audio.ask("start", inputs=[1], outputs=[7], end_block=None, drop=0, reset=True)
    assert wrong["error"]["code"] == "device_channels"
    assert audio.ask("nonsense")["error"]["code"] == "engine_failed"
    assert audio.ask("step", blocks=1)["error"]["code"] == "device_state"
    audio.do("start", inputs=[1], outputs=[2], end_block=None, drop=0, reset=True)
    again = audio.ask("start", inputs=None, outputs=None, end_block=None, drop=0, reset=True)
    assert again["error"]["code"] == "device_state"


def test_a_plugin_that_fails_is_told(start_audio):
    status = create_status(ENGINE + "2")
    audio = start_audio("offline")
    config = EngineConfig(name=ENGINE, device="offline", plugins=("no_such_module_here",))
    answer = audio.ask("configure", engine=ENGINE, config=config.to_wire(), position=0)
    assert answer["error"]["code"] == "plugin_unreadable"
    status.unlink()
    status.close()


def test_it_ends_when_its_host_is_gone(start_audio):
    audio = start_audio("virtual")
    audio.do("start", inputs=None, outputs=None, end_block=None, drop=0, reset=True)
    audio.pipe.close()
    assert audio.child.wait(10) == 0


def test_per_core_times_are_there_on_request(start_audio):
    audio = start_audio("virtual:inputs=1,outputs=1")
    audio.do("edit", edits=constant(1.0))
    audio.do("start", inputs=None, outputs=None, end_block=None, drop=0, reset=True)
    assert audio.do("profile", enabled=True)["nodes"] == {"c": 0.0}
    deadline = time.monotonic() + 10
    while audio.do("profile", enabled=None)["nodes"]["c"] == 0:
        assert time.monotonic() < deadline


def test_it_ends_even_where_it_hangs_when_its_host_is_gone(tmp_path):
    # A host that starts the audio process with a core whose preparation never returns, and dies.
    plugin = tmp_path / "hanging_core.py"
    hung = tmp_path / "hung"
    hung.write_text("")
    plugin.write_text(f"import time\nopen({str(hung)!r}, 'w').write('hanging')\nwhile True: time.sleep(1)\n")
    status = create_status("x")
    code = (
        "import os, subprocess, sys\n"
        "from asmu_engine.protocol.pipe import MessagePipe\n"
        "from asmu_engine.config import EngineConfig\n"
        "soon = 'from asmu_engine.audio import main; main._ORPHAN_SECONDS = 0.3; main.main()'\n"
        "command = [sys.executable, '-c', soon]\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)\n"
        f"config = EngineConfig(device='offline', plugins=({str(plugin)!r},))\n"
        "pipe = MessagePipe(sys.stdin.buffer, child.stdin)\n"
        "pipe.send({'id': 0, 'do': 'configure', 'engine': 'x', 'config': config.to_wire(), 'position': 0})\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert host.stdout is not None
    audio = psutil.Process(int(host.stdout.readline()))
    while "hanging" not in hung.read_text():
        assert host.poll() is None
    host.kill()
    host.communicate()
    psutil.wait_procs([audio], timeout=20)
    assert not audio.is_running()
    status.unlink()
    status.close()
