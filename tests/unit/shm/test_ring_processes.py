"""Rings between processes: a writer at full speed against readers that are too slow, and processes that are killed."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from asmu_engine.shm.reader import RingBlock, RingReader
from asmu_engine.shm.segment import list_segments
from asmu_engine.shm.writer import RingWriter

ROOT = Path(__file__).parents[3]

# Every sample is its own address modulo 2**24, which float32 holds exactly; sizes and gaps come from a seed. It writes until its
# stdin ends.
WRITER = """
import sys, threading, time
import numpy as np
from asmu_engine.shm.writer import RingWriter

name, seed, gaps, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
rng = np.random.default_rng(seed)
writer = RingWriter(name)
steps = np.arange(300)[:, None] * writer.channels + np.arange(writer.channels)
end = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
print("ready", flush=True)
while not end.is_set():
    for frames, gap in zip(rng.integers(1, 300, 64).tolist(), rng.integers(-40 * gaps, 9 * gaps + 1, 64).tolist()):
        position = writer.position + max(gap, 0)
        block = ((steps[:frames] + position * writer.channels) % 2**24).astype(np.float32)
        writer.write(block, position, monotonic_ns=position + 1, utc_ns=position + 2, cause=1)
        if pause:
            time.sleep(pause)
writer.close()
"""

READER = """
import sys
from asmu_engine.shm.reader import RingReader

reader = RingReader.from_handle(sys.argv[1])
for block in reader.blocks(64):
    print(block.position, block.lost, block.skipped, float(block.data.sum()), flush=True)
"""

PACED = """
import sys
from asmu_engine.shm.reader import RingReader

reader = RingReader(sys.argv[1], 0)
reader.register_paced()
reader.read(10)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `code`, ended at the latest with the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> str:
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return rest


def address(position: int, frames: int, channels: int) -> np.ndarray:
    return ((np.arange(position * channels, (position + frames) * channels)) % 2**24).astype(np.float32).reshape(frames, channels)


def check_block(block: RingBlock, chunked: bool, channels: int) -> None:
    """Every sample is its own address; only in blocks of `read` lost frames are zeros, as many as it says."""
    right = (block.data == address(block.position, len(block), channels)).all(axis=1)
    if chunked or not block.lost:
        assert right.all()
    else:
        assert not block.data[~right].any()
        # Where all channels have address 0 a delivered frame looks like a lost one; that is one frame in 2**24.
        assert abs(np.count_nonzero(~right) - block.lost) <= 1
    if block.stamp is not None:
        assert block.stamp.monotonic_ns == block.stamp.position + 1 == block.stamp.utc_ns - 1


def race(name: str, seconds: float, gaps: bool, pause: float, views: bool) -> tuple[int, RingReader]:
    """Read in both ways while another process writes as fast as it can; whatever is handed out must be right.

    For so many seconds, and until there was enough to check.
    """
    rng = np.random.default_rng(3)
    checked = torn = 0
    with RingReader(name) as reader, child(WRITER, name, 7, int(gaps), pause) as writer:
        reader.wait(1, timeout=60)
        until = time.monotonic() + seconds
        while True:
            if writer.stdin and time.monotonic() > until and checked > 10_000 and bool(reader.total_lost) >= gaps:
                writer.stdin.close()
                writer.stdin = None
            closed = reader.closed
            chunked = bool(rng.random() < 0.5)
            size = int(rng.integers(1, 400))
            position, skipped = reader.position, reader.total_skipped
            block = reader.read_chunk(size, copy=not views) if chunked else reader.read(size, copy=not views)
            if block is None:
                if closed and chunked:
                    break
                continue
            try:
                check_block(block, chunked, reader.channels)
            except AssertionError:
                if block.intact():
                    raise
                torn += 1
            advance = len(block) + (block.lost if chunked else 0)
            assert reader.position - position == advance + reader.total_skipped - skipped
            checked += len(block)
        finish(writer)
        assert reader.position == reader.writer_position
        assert torn == 0 or views
        return checked, reader


@pytest.mark.parametrize(("gaps", "views", "capacity"), [(False, False, 1000), (True, False, 2000), (True, True, 4000)])
def test_a_racing_writer_never_tears_a_block(make_ring, gaps, views, capacity):
    _, reader = race(make_ring(capacity, channels=8), 0.6, gaps, 0.0, views)
    assert bool(reader.total_lost) == gaps


@pytest.mark.stress
@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("pause", [0.0, 1e-5])
@pytest.mark.parametrize(("capacity", "channels"), [(401, 1), (1000, 64), (48000, 16)])
def test_a_racing_writer_never_tears_a_block_for_long(make_ring, views, pause, capacity, channels):
    race(make_ring(capacity, channels), 8.0, True, pause, views)


def test_a_reader_process_attaches_by_handle_and_disturbs_nobody(make_ring, ramp):
    with RingWriter(make_ring(capacity=1024)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 200))
        reader.read(100)
        with child(READER, reader.handle) as process:
            lines = [process.stdout.readline()]
            writer.write(ramp(300, 100), 300)
            writer.close()
            lines += finish(process).splitlines()
        assert reader.position == 100
        for line, (position, frames, lost) in zip(
            lines, [(100, 64, 0), (164, 64, 28), (228, 64, 64), (292, 64, 8), (356, 44, 0)], strict=True
        ):
            block = reader.read(frames)
            assert line.split() == [str(position), str(lost), "0", str(float(block.data.sum()))]


def sum_of(reader: RingReader) -> float:
    with reader:
        return float(reader.read(8).data.sum())


def test_a_reader_goes_to_a_multiprocessing_worker(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 16))
        reader.read(8)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(sum_of, (reader,)) == float(ramp(8, 8).sum())
        assert np.array_equal(reader.read(8).data, ramp(8, 8))


def take_over(name: str, ramp) -> None:
    """After somebody was killed: the segment is there, a new writer takes over, and readers go on with the gap."""
    with RingReader(name) as reader, RingWriter(name) as writer:
        assert list_segments("test") == [name]
        assert not reader.closed
        assert writer.generation == 2
        position = writer.position + 100
        writer.write(ramp(position, 10), position)
        assert np.array_equal(reader.read_chunk(10).data, ramp(position, 10))
        assert reader.gaps()[-1].lost == 100


def test_a_killed_reader_leaves_the_ring_to_the_others(make_ring, ramp):
    with RingWriter(make_ring(capacity=4096)) as writer:
        writer.write(ramp(0, 640))
        with child(READER, f"{writer.name}@0") as process:
            assert process.stdout.readline().startswith("0 0 0")
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        writer.close(final=False)
    take_over(writer.name, ramp)


def test_a_killed_writer_leaves_the_ring_to_the_others(make_ring, ramp):
    name = make_ring(capacity=4096)
    with RingReader(name) as reader, child(WRITER, name, 1, 0, 0.0005) as process:
        assert reader.wait(1000, timeout=30)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    take_over(name, ramp)


def test_a_reader_process_that_ends_normally_leaves_the_ring(make_ring, ramp):
    """The standard library's shared memory below Python 3.13 is unlinked by the first process that ends."""
    with RingWriter(make_ring()) as writer:
        writer.write(ramp(0, 64))
        code = f"from asmu_engine.shm.reader import RingReader; print(len(RingReader({writer.name!r}, 0).read(64)))"
        with child(code) as process:
            assert finish(process) == "64\n"
        assert list_segments("test") == [writer.name]


def test_paced_readers_of_other_processes_hold_the_writer_only_while_they_live(make_ring, ramp):
    with RingWriter(make_ring()) as writer:
        writer.write(ramp(0, 20))
        with child(PACED, writer.name) as process:
            assert process.stdout.readline() == "ready\n"
            assert writer.slowest_paced() == 10
        assert writer.slowest_paced() is None
