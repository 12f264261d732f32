"""Engines started by hand, with the command line and several clients, and taps read from other processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.exceptions import ConfigError, EngineError, PatchError, RingError
from asmu_control.launch import start_detached
from asmu_engine.config import make_config
from asmu_engine.protocol.runtime import is_running, running_engines

pytestmark = pytest.mark.e2e

ROOT = Path(asmu.__file__).resolve().parent.parent
BLOCKSIZE = 256
SAMPLERATE = 48000


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "asmu_control", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def lab() -> Iterator[str]:
    info = start_detached(
        make_config(name="lab", device="virtual:inputs=2,outputs=2", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    )
    yield info.name
    if is_running("lab"):
        with Client.connect("lab") as client:
            client.request({"type": "shutdown"}, 20)
    psutil.wait_procs([psutil.Process(info.pid)] if psutil.pid_exists(info.pid) else [], timeout=30)


def test_an_engine_by_hand_from_start_to_stop() -> None:
    started = cli("engine", "start", "bench", "--device", "virtual", "--samplerate", "48000", "--blocksize", "128", "--autostart")
    assert (started.returncode, started.stderr) == (0, "")
    assert "engine bench runs" in started.stdout
    again = cli("engine", "start", "bench", "--device", "virtual")
    assert again.returncode == 1
    assert again.stderr.startswith("asmu: engine 'bench' is already running")
    assert "Traceback" not in again.stderr
    facts = json.loads(cli("engine", "status", "bench", "--json").stdout)
    assert (facts["name"], facts["samplerate"], facts["blocksize"], facts["private"]) == ("bench", 48000, 128, False)
    assert facts["state"] == "running"
    assert facts["realtime"]
    table = cli("engine", "status", "bench")
    assert (table.returncode, table.stderr) == (0, "")
    for words in ("running", "48000 Hz", "audio process", "0 frames", "audio thread"):
        assert words in table.stdout
    (listed,) = json.loads(cli("engine", "list", "--json").stdout)
    assert listed["name"] == "bench"
    assert "bench" in cli("engine", "list").stdout
    stopped = cli("engine", "stop", "bench")
    assert (stopped.returncode, stopped.stdout) == (0, "engine bench ended\n")
    missing = cli("engine", "status", "bench")
    assert missing.returncode == 1
    assert missing.stderr.startswith("asmu: no engine 'bench' is running")
    assert cli("engine", "list").stdout == "no engine runs; start one with: asmu engine start NAME\n"


def test_a_bad_setting_is_one_clear_line() -> None:
    done = cli("engine", "start", "bench", "--device", "virtual:channels=4")
    assert done.returncode == 1
    assert done.stderr.startswith("asmu: ")
    assert len(done.stderr.splitlines()) == 1
    assert not running_engines()


def test_attached_interfaces_share_an_engine(lab: str) -> None:
    first, second = (asmu.Interface(engine=lab) for _ in range(2))
    assert (first.samplerate, first.blocksize) == (SAMPLERATE, BLOCKSIZE)
    constant = asmu.generator.Constant(first, 0.25)
    constant.output().connect(first.ioutput(ch=1))
    tap = asmu.analyzer.Tap(second)
    second.iinput(ch=1).connect(tap.input())
    with first.start() as one:
        with second.start() as two:
            for block in tap.blocks(BLOCKSIZE, timeout=10):
                if block.data[0, 0]:
                    break
            np.testing.assert_array_equal(block.data, np.float32(0.25))
            with pytest.raises(PatchError) as caught:
                asmu.generator.Constant(second, 1.0).output().connect(second.ioutput(ch=1))
            assert caught.value.code == "port_in_use"
        assert one.active
        assert two.active is False
        with Client.connect(lab) as client:
            assert list(client.request({"type": "patch"})["nodes"]) == [constant.name]
    with Client.connect(lab) as client:
        assert client.request({"type": "patch"})["nodes"] == {}
        assert client.request({"type": "status"})["state"] == "stopped"


def test_a_cell_that_attaches_may_be_run_again(lab: str) -> None:
    names = set()
    for _ in range(3):
        # As a notebook does it: each run forgets the interface of the one before, which still is on output channel 1.
        interface = asmu.Interface(engine=lab)
        sine = asmu.generator.Sine(interface, 100.0)
        sine.output().connect(interface.ioutput(ch=1))
        interface.open()
        assert set(interface.client.patch()["nodes"]) == {sine.name}
        names.add(sine.name)
    assert len(names) == 3
    with Client.connect(lab) as other:
        two = asmu.Interface(engine=other)
        asmu.generator.Sine(two, 50.0).output().connect(two.ioutput(ch=1))
        with pytest.raises(PatchError) as caught:
            two.open()  # of one that is not forgotten nothing is taken
    assert caught.value.code == "port_in_use"
    interface.close()


def test_what_an_attached_interface_cannot_choose(lab: str) -> None:
    for settings in ({"samplerate": 44100}, {"blocksize": 64}, {"device": "virtual"}, {"plugins": ["x"]}, {"ring_seconds": 5.0}):
        with pytest.raises(ConfigError):
            asmu.Interface(engine=lab, **settings)
    asmu.Interface(engine=lab, samplerate=SAMPLERATE, blocksize=BLOCKSIZE).close()


def test_attaching_to_nothing_names_what_runs(lab: str) -> None:
    with pytest.raises(EngineError) as caught:
        asmu.Interface(engine="attic")
    assert caught.value.code == "engine_unknown"
    assert "running: lab" in str(caught.value)


def test_an_engine_that_ends_under_its_clients(lab: str) -> None:
    interface = asmu.Interface(engine=lab)
    sine = asmu.generator.Sine(interface, 100)
    sine.output().connect(interface.ioutput(ch=1))
    stream = interface.start()
    with Client.connect(lab) as client:
        client.request({"type": "shutdown"}, 20)
    with pytest.raises(EngineError) as caught:
        sine.set_frequency(200)
    assert caught.value.code == "engine_gone"
    assert not stream.active
    assert interface.stats()["state"] == "failed"
    with pytest.raises(EngineError, match="ended while the stream ran"):
        stream.close()
    assert interface.stats()["state"] == "closed"


def test_events_reach_clients(lab: str) -> None:
    with Client.connect(lab, "watcher") as watcher, Client.connect(lab, "worker") as worker, watcher.events("patch") as events:
        assert events.next(10).topic == "snapshot"  # from here on nothing is missed
        worker.edit([{"op": "add", "node": "one", "kind": "constant", "inputs": 0, "outputs": 1, "parameters": {}}])
        event = events.next(10)
        assert (event.topic, event.what, event["revision"]) == ("patch", "edited", 1)
        assert events.next(0.5) is None


# -- taps in other processes ------------------------------------------------------------------------------------


def count_up(interface: asmu.Interface) -> asmu.analyzer.Tap:
    tap = asmu.analyzer.Tap(interface, channels=2)
    constant = asmu.generator.Constant(interface, [0.25, 0.5])
    for idx in range(2):
        constant.output(idx).connect(tap.input(idx))
    return tap


def read_in_worker(handle: str, queue) -> None:
    reader = asmu.analyzer.Tap.attach(handle)
    blocks = []
    for block in reader.blocks(1000, timeout=10):
        blocks.append((block.position, block.lost, block.skipped, block.data.min(axis=0).tolist()))
        if len(blocks) == 5:
            break
    reader.close()
    queue.put(blocks)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_tap_is_read_by_a_multiprocessing_worker(method: str) -> None:
    context = multiprocessing.get_context(method)
    interface = asmu.Interface(device="virtual", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    tap = count_up(interface)
    with interface.start():
        queue = context.Queue()
        worker = context.Process(target=read_in_worker, args=(tap.handle, queue))
        worker.start()
        blocks = queue.get(timeout=30)
        worker.join(10)
        assert worker.exitcode == 0
        assert interface.stats()["state"] == "running"
        queue.close()
        queue.join_thread()
    positions = [block[0] for block in blocks]
    assert positions == list(range(positions[0], positions[0] + 5000, 1000))
    assert {tuple(block[1:3]) for block in blocks} == {(0, 0)}
    assert all(block[3] == [0.25, 0.5] for block in blocks)


def test_a_reader_can_be_sent_to_a_worker_itself() -> None:
    interface = asmu.Interface(device="offline:stepped=1", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    tap = count_up(interface)
    with interface.start(drop=0):
        interface.step(5)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            reader = tap.reader(start=BLOCKSIZE)
            position, total = pool.apply(sum_up, (reader, 2 * BLOCKSIZE))
            pool.close()
            pool.join()
        assert (position, total) == (BLOCKSIZE, 2 * BLOCKSIZE * 0.75)
        assert reader.position == BLOCKSIZE
        reader.close()


def sum_up(reader, frames: int) -> tuple[int, float]:
    block = reader.read(frames, copy=True)
    reader.close()
    return block.position, float(block.data.sum())


def test_a_tap_is_read_by_a_program_that_is_killed() -> None:
    interface = asmu.Interface(device="virtual", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    tap = count_up(interface)
    program = (
        "import sys\n"
        "from asmu_control.analyzer import Tap\n"
        "reader = Tap.attach(sys.argv[1])\n"
        "for block in reader.blocks(1000, timeout=10):\n"
        "    print(block.data.min(axis=0).tolist(), flush=True)\n"
    )
    with interface.start():
        reader = tap.reader()
        with subprocess.Popen(
            [sys.executable, "-c", program, tap.handle],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdout is not None
            assert [worker.stdout.readline() for _ in range(3)] == ["[0.25, 0.5]\n"] * 3
            worker.kill()
        for number, block in enumerate(reader.blocks(1000, timeout=10)):
            assert (block.lost, block.skipped) == (0, 0)
            if number == 20:
                break
        handle = tap.handle
        reader.close()
    with pytest.raises(RingError) as caught:
        asmu.analyzer.Tap.attach(handle)
    assert caught.value.code == "ring_unknown"


def test_blocks_end_with_the_engine() -> None:
    interface = asmu.Interface(device="offline", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    tap = count_up(interface)
    interface.open()
    blocks = tap.blocks(1000, start="oldest")
    with interface.start(end_frame=100) as stream:
        assert next(blocks).position == 3 * BLOCKSIZE
        stream.wait(10)
    rest = list(blocks)
    assert sum(len(block) for block in rest) == 100 * BLOCKSIZE - 1000
    assert len(rest[-1]) == 100 * BLOCKSIZE % 1000
