"""Tap.map with worker processes, over a ring that the test writes."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

import asmu_control as asmu
from asmu_control.analyzer.mapping.start import map_reader
from asmu_control.exceptions import MapError, PatchError, RingError
from asmu_engine.shm.reader import RingReader

ROOT = Path(asmu.__file__).resolve().parent.parent


def ramp(begin: int, frames: int) -> np.ndarray:
    return np.arange(begin, begin + frames, dtype=np.float32)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def ended(process: psutil.Process) -> bool:
    """Gone, or at least dead: whoever inherits it may take its time to notice."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def first(block):
    """Of this module: workers import it by name."""
    return float(block[0, 0])


@pytest.fixture
def mapped(make_source):
    """``mapped(function, capacity=…, **options)``: the source, and a map from its first frame on; both closed after the test."""
    maps = []

    def make(function, workers=1, *, capacity=100_000, start="first", timeout=30.0, **options):
        source = make_source(capacity=capacity)
        maps.append(map_reader(RingReader(source.name, start), "tap", function, workers, timeout=timeout, **options))
        return source, maps[-1]

    yield make
    for one in maps:
        one.close()


def test_results_come_in_order_from_several_workers(mapped):
    offset = 0.5

    def slow_at_first(block):
        time.sleep(0.03 * (block[0, 0] == 0))
        return os.getpid(), block[0, 0] + offset, len(block)

    source, results = mapped(slow_at_first, 2, blocksize=100)
    source.write(ramp(0, 2050))
    source.writer.close()
    found = list(results)
    assert [result.position for result in found] == list(range(0, 2000, 100))
    assert [result.value[1:] for result in found] == [(position + 0.5, 100) for position in range(0, 2000, 100)]
    assert {result.value[0] for result in found} <= set(results.pids)
    assert {(result.frames, result.lost, result.skipped) for result in found} == {(100, 0, 0)}
    assert (results.total_lost, results.total_skipped, list(results.overruns)) == (0, 0, [])
    assert next(results, None) is None
    assert not any(psutil.pid_exists(pid) for pid in results.pids)


def test_blocks_overlap_and_large_results_come_whole(mapped):
    source, results = mapped(lambda block: np.tile(block, 500), 1, blocksize=1000, hop=250, ahead=2)
    source.write(ramp(0, 2000))
    source.writer.close()
    found = list(results)
    assert [result.position for result in found] == [0, 250, 500, 750, 1000]
    for result in found:
        np.testing.assert_array_equal(result.value, np.tile(ramp(result.position, 1000)[:, None], 500))
        result.value[:] = 0


def test_a_function_by_name_and_blocks_that_come_later(mapped):
    source, results = mapped(first, blocksize=50, start="newest")
    source.write(ramp(0, 70), position=4000)
    assert (next(results).position, results.lag_frames) == (4000, 20)
    source.write(ramp(70, 30), position=4080)  # ten frames are lost
    result = next(results)
    assert (result.position, result.lost, result.value, results.total_lost) == (4050, 10, 50.0, 10)


def test_an_error_of_the_function_names_the_block_and_ends_the_map(mapped):
    source, results = mapped(lambda block: [1, 2][int(block[0, 0]) // 100], blocksize=100)
    source.write(ramp(0, 500))
    assert [next(results).value for _ in range(2)] == [1, 2]
    with pytest.raises(IndexError, match="list index out of range") as caught:
        next(results)
    (note,) = caught.value.__notes__
    assert "the block of 100 frames at position 200 of tap" in note
    assert "test_tap_map.py" in note
    assert next(results, None) is None
    assert not any(psutil.pid_exists(pid) for pid in results.pids)


def test_a_worker_that_is_killed_is_named_with_its_block(mapped):
    def kill(block):
        if block[0, 0] == 100:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    source, results = mapped(kill, blocksize=100)
    source.write(ramp(0, 500))
    assert next(results).position == 0
    with pytest.raises(
        MapError, match=r"worker 0 \(process \d+\) was ended by signal 9, at the block .* position 100 "
    ) as caught:
        next(results)
    assert caught.value.code == "worker_ended"


def test_a_loop_that_is_too_slow_misses_blocks_and_says_which(mapped):
    source, results = mapped(first, 2, capacity=1000, blocksize=100, ahead=4)
    for begin in range(0, 400, 100):
        source.write(ramp(begin, 100))
    until(lambda: results.progress().waiting == 4)  # no more are done than may wait
    source.write(ramp(400, 4600), block=100)
    source.writer.close()
    assert results.lag_frames == 5000
    found = list(results)
    assert [result.position for result in found[:4]] == [0, 100, 200, 300]
    assert found[4].position >= 4000
    assert [result.value for result in found] == [result.position for result in found]
    # The account is of every frame.
    assert sum(result.frames + result.skipped for result in found) == 5000
    assert results.total_skipped == sum(frames for _, frames in results.overruns) == 5000 - 100 * len(found)
    assert results.overruns[0] == (400, found[4].position - 400)


def test_what_was_missed_at_the_end_is_accounted_for(mapped):
    source, results = mapped(lambda block: time.sleep(0.2), capacity=400, blocksize=100)
    source.write(ramp(0, 100))
    until(lambda: results._crew.hands[0].ready)
    source.write(ramp(100, 1000), block=100)
    source.writer.close()
    found = list(results)
    assert sum(result.frames for result in found) + results.total_skipped == 1100
    assert results.total_skipped == sum(frames for _, frames in results.overruns)


def test_no_result_in_time(mapped):
    source, results = mapped(first, blocksize=100, timeout=0.05)
    with pytest.raises(RingError, match=r"map of tap: no result within 0\.05 s") as caught:
        next(results)
    assert (caught.value.code, caught.value.retry) == ("ring_timeout", True)
    source.write(ramp(0, 100))
    until(lambda: results.progress().waiting)
    assert next(results).value == 0.0


def test_progress_is_told_in_the_loop(mapped):
    told = []
    source, results = mapped(first, blocksize=100, progress=told.append)
    source.write(ramp(0, 250))
    assert [next(results).position for _ in range(2)] == [0, 100]
    results.close()
    assert (told[-1].results, told[-1].position, told[-1].lag_frames, told[-1].workers) == (2, 200, 50, 1)


def test_progress_as_a_line(mapped, capfd):
    source, results = mapped(first, blocksize=100, progress=True)
    source.write(ramp(0, 100))
    with results:
        next(results)
    assert "1 results, 0.00 of 2.1 s behind, 1 worker " in capfd.readouterr().err


def test_a_map_that_is_forgotten_ends_its_workers(mapped, make_source):
    source = make_source()
    results = map_reader(RingReader(source.name), "tap", lambda block: None, 1)
    (worker,) = map(psutil.Process, results.pids)
    del results
    gc.collect()
    assert not worker.is_running()


def test_a_map_that_is_closed_in_the_middle_of_a_function(mapped):
    source, results = mapped(lambda block: time.sleep(60), blocksize=100)
    source.write(ramp(0, 300))
    until(lambda: results._crew.hands[0].tasks)
    results.close()
    assert not any(psutil.pid_exists(pid) for pid in results.pids)
    assert (next(results, None), results.lag_frames) == (None, 0)


SCRIPT = """
import signal, sys, time
from asmu_control.analyzer.mapping.start import map_reader
from asmu_engine.shm.reader import RingReader
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background jobs ignore
results = map_reader(RingReader(sys.argv[1]), "tap", lambda block: time.sleep(60), 1, blocksize=10)
while not results._crew.hands[0].tasks:
    time.sleep(0.005)
try:
    print(*results.pids, flush=True)
    next(results)
finally:
    print("over", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_script(make_source, number):
    source = make_source()
    source.write(ramp(0, 5))
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, source.name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    worker = psutil.Process(int(script.stdout.readline()))
    source.write(ramp(5, 20))
    script.send_signal(number)
    out, err = script.communicate(timeout=30)
    assert out == ("over\n" if number == signal.SIGINT else "")
    assert err.count("Traceback") == err.count("KeyboardInterrupt\n") == (number == signal.SIGINT)
    until(lambda: ended(worker))


def test_a_function_that_cannot_be_sent(make_source):
    source, lock = make_source(), threading.Lock()
    with pytest.raises(MapError, match=r"cannot be sent to other processes: .*let it use arrays and numbers") as caught:
        map_reader(RingReader(source.name), "tap", lambda block: lock, 1)
    assert caught.value.code == "function_unusable"


def test_a_function_that_cannot_be_loaded(mapped):
    class Unloadable:
        def __call__(self, block):
            return None

        def __reduce__(self):
            return exec, ("import nothing_of_that_name",)

    _, results = mapped(Unloadable())
    with pytest.raises(MapError, match=r"could not be loaded in a worker process\n(.*\n)*.*nothing_of_that_name") as caught:
        next(results)
    assert caught.value.code == "function_unusable"


@pytest.mark.parametrize(
    ("option", "value"),
    [("workers", 0), ("workers", 1.5), ("blocksize", 0), ("blocksize", 501), ("hop", 101), ("ahead", 0), ("function", 5)],
)
def test_bad_values_are_refused(make_source, option, value):
    source = make_source(capacity=1000)
    options = {"function": len, "workers": 1, "blocksize": 100} | {option: value}
    with pytest.raises(PatchError, match=repr(value)) as caught:
        map_reader(RingReader(source.name), "tap", **options)
    assert (caught.value.code, caught.value.where) == ("bad_value", option)
