"""The parts of the host by themselves: loop, lane, claim, endpoints, replay, what it imports."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from asmu_engine.host import claim as claim_module
from asmu_engine.host import command as command_module
from asmu_engine.host.claim import claim_engine, reap, release_engine
from asmu_engine.host.endpoint import LocalEndpoint, Peer
from asmu_engine.host.lane import Lane
from asmu_engine.host.loop import Loop
from asmu_engine.host.processes import resident_bytes
from asmu_engine.host.replay import PART_BYTES, PART_EDITS, in_parts
from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.runtime import EngineInfo, runtime_root
from asmu_engine.shm.segment import list_segments
from asmu_engine.shm.status import create_status

ROOT = Path(__file__).resolve().parents[3]


def test_host_loads_neither_numpy_nor_audio_nor_files() -> None:
    script = (
        "import sys, asmu_engine.host.main\n"
        "heavy = ('numpy', 'soundfile', 'sounddevice', 'pyfftw', 'scipy', 'asmu_engine.rt', 'asmu_engine.cores',\n"
        "         'asmu_engine.devices', 'asmu_engine.disk', 'asmu_engine.audio', 'asmu_control')\n"
        "print(sorted(name for name in sys.modules if name.startswith(heavy)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


# -- loop -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Any:
    loop = Loop()
    yield loop
    loop.close()


def test_loop_keeps_the_order_of_posts_and_survives_a_fault(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def fault() -> None:
        seen.append(-1)
        raise ValueError("bang")

    def from_thread() -> None:
        for number in range(1000):
            loop.post(lambda number=number: seen.append(number))  # type: ignore[misc]
        loop.post(fault)
        loop.post(loop.stop)

    thread = threading.Thread(target=from_thread)
    thread.start()
    loop.run()
    thread.join()
    assert seen == [*range(1000), -1]
    assert "bang" in caplog.text


def test_timers_come_in_order_of_time_and_can_be_cancelled(loop: Loop) -> None:
    seen: list[str] = []
    loop.later(0.03, loop.stop)
    loop.later(0.02, lambda: seen.append("second"))
    loop.later(0.01, lambda: seen.append("first"))
    loop.later(0.015, lambda: seen.append("never")).cancel()
    loop.run()
    assert seen == ["first", "second"]


def test_repeated_call_goes_on_after_a_fault(loop: Loop) -> None:
    seen: list[int] = []

    def tick() -> None:
        seen.append(len(seen))
        if len(seen) == 3:
            loop.stop()
        raise ValueError("bang")

    loop.every(0.001, tick)
    loop.run()
    assert seen == [0, 1, 2]


# -- lane -------------------------------------------------------------------------------------------------------------


class Work:
    """Pieces of work that the test finishes by hand."""

    def __init__(self) -> None:
        self.lane = Lane()
        self.begun: list[str] = []
        self.finish: dict[str, Callable[[], None]] = {}

    def add(self, name: str, *, alone: bool) -> None:
        def start(done: Callable[[], None]) -> None:
            self.begun.append(name)
            self.finish[name] = done

        self.lane.submit(start, alone=lambda: alone)


def test_lane_lets_values_overtake_nothing_structural() -> None:
    work = Work()
    for name in ("value1", "value2", "STRUCTURE", "value3", "STRUCTURE2", "value4"):
        work.add(name, alone=name.isupper() or name == "STRUCTURE2")
    assert work.begun == ["value1", "value2"]
    work.finish["value2"]()
    assert work.begun == ["value1", "value2"]
    work.finish["value1"]()
    assert work.begun[2:] == ["STRUCTURE"]
    work.finish["STRUCTURE"]()
    assert work.begun[3:] == ["value3"]
    work.finish["value3"]()
    work.finish["STRUCTURE2"]()
    assert work.begun[4:] == ["STRUCTURE2", "value4"]


def test_lane_waits_while_paused() -> None:
    work = Work()
    work.lane.pause()
    work.add("value", alone=False)
    assert work.begun == []
    work.lane.resume()
    assert work.begun == ["value"]


def test_work_that_is_done_at_once_does_not_recurse() -> None:
    lane, done_count = Lane(), 0

    def start(done: Callable[[], None]) -> None:
        nonlocal done_count
        done_count += 1
        done()

    lane.pause()
    for _ in range(4000):
        lane.submit(start, alone=lambda: True)
    lane.resume()
    assert done_count == 4000


def test_lane_holds_so_many_bytes() -> None:
    lane = Lane()
    lane.pause()
    lane.submit(lambda done: done(), alone=lambda: True, size=100 * 2**20)  # one of any size always fits
    with pytest.raises(EngineError) as caught:
        lane.submit(lambda done: done(), alone=lambda: True, size=1)
    assert (caught.value.code, caught.value.retry) == ("engine_state", True)


# -- claim ------------------------------------------------------------------------------------------------------------


def test_second_claim_is_refused_with_the_pid_of_the_first() -> None:
    claim = claim_engine("lab")
    claim.publish(EngineInfo("lab", 4711, "0", "", "", private=False))
    with pytest.raises(EngineError) as caught:
        claim_engine("lab")
    assert caught.value.code == "engine_exists"
    assert "4711" in caught.value.message
    release_engine(claim)
    release_engine(claim_engine("lab"))


def test_claim_waits_for_one_that_only_looks() -> None:
    looker = claim_engine("lab")  # holds the lock, has published nothing
    timer = threading.Timer(0.1, looker.release)
    timer.start()
    release_engine(claim_engine("lab"))
    timer.join()


def test_claim_that_stays_unpublished_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "PATIENCE_SECONDS", 0.05)
    claim = claim_engine("lab")
    with pytest.raises(EngineError, match="already running"):
        claim_engine("lab")
    release_engine(claim)


def test_reaper_removes_what_dead_engines_left_and_nothing_else() -> None:
    alive = claim_engine("alive")
    create_status("alive").close()
    (runtime_root() / "dead").mkdir()
    (runtime_root() / "dead" / "requests.sock").touch()
    create_status("dead").close()
    (runtime_root() / "not an engine").mkdir()
    assert reap() == ["dead"]
    assert [name.split(".")[2] for name in list_segments()] == ["alive"]
    assert (runtime_root() / "not an engine").exists()
    release_engine(alive)
    assert list_segments() == []


def test_claim_removes_segments_whose_folder_is_gone() -> None:
    create_status("lab").close()
    claim = claim_engine("lab")
    assert list_segments() == []
    release_engine(claim)


# -- endpoints --------------------------------------------------------------------------------------------------------


def bound(folder: Path) -> tuple[str, str]:
    context = zmq.Context()
    endpoint = LocalEndpoint(context, folder)
    endpoint.close(0)
    context.term()
    return endpoint.requests_endpoint, endpoint.events_endpoint


def test_endpoints_are_files_of_the_user_alone() -> None:
    claim = claim_engine("lab")
    folder = claim.folder
    context = zmq.Context()
    endpoint = LocalEndpoint(context, folder)
    assert endpoint.requests_endpoint == f"ipc://{folder}/requests.sock"
    assert (folder / "requests.sock").stat().st_mode & 0o777 == 0o600
    assert (folder / "events.sock").stat().st_mode & 0o777 == 0o600
    endpoint.close(0)
    context.term()
    release_engine(claim)


def test_path_too_long_for_a_socket_means_tcp_on_this_machine(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    for endpoint in bound(folder):
        assert endpoint.startswith("tcp://127.0.0.1:")
    assert list(folder.iterdir()) == []


def test_who_is_not_there_is_told_from_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asmu_engine.host.endpoint.QUEUE_MESSAGES", 2)
    claim = claim_engine("lab")
    with zmq.Context() as context:
        endpoint = LocalEndpoint(context, claim.folder)
        client = context.socket(zmq.DEALER)
        client.linger = 0
        client.rcvhwm = 2
        client.identity = b"me"
        client.connect(endpoint.requests_endpoint)
        client.send(b"hello")
        assert endpoint.requests.poll(5000)
        received = endpoint.receive()
        assert received == (Peer(b"me"), [b"hello"])
        assert endpoint.receive() is None
        assert all(endpoint.send(Peer(b"me"), [b"x" * 1000]) for _ in range(5000))  # far more than there is room for
        assert not endpoint.send(Peer(b"nobody"), [b"x"])
        client.close()
        deadline = time.monotonic() + 10
        while endpoint.send(Peer(b"me"), [b"x"]):
            assert endpoint.receive() is None  # ZeroMQ may need a look at what came in, as the host takes, to see who left
            assert time.monotonic() < deadline
        endpoint.close(0)
    release_engine(claim)


def test_endpoint_that_cannot_be_bound_is_an_error_of_ours(folders: Any) -> None:
    with zmq.Context() as context, pytest.raises(EngineError) as caught:
        LocalEndpoint(context, folders.base / "nowhere")
    assert caught.value.code == "engine_failed"


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_replay_is_cut_by_size_and_number() -> None:
    small = [{"op": "add", "node": str(number)} for number in range(PART_EDITS + 1)]
    assert [len(part) for part in in_parts(small)] == [PART_EDITS, 1]
    large = {"op": "set", "data": bytes(PART_BYTES)}
    assert [len(part) for part in in_parts([large, large, small[0], small[1]])] == [1, 1, 2]
    assert in_parts([]) == []


def test_children_do_not_import_from_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_module.python_command("asmu_engine.audio") == [sys.executable, "-P", "-m", "asmu_engine.audio"]
    monkeypatch.chdir(ROOT)
    if not sys.flags.safe_path:
        assert command_module.python_command("asmu_engine.audio") == [sys.executable, "-m", "asmu_engine.audio"]


def test_resident_size_of_a_process_that_is_gone_is_unknown() -> None:
    assert resident_bytes(2**22 + 1) is None
