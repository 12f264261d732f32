"""What a ring costs: against a plain copy of the same bytes, and from the callback to a waiting reader.

Copies: the time of one block written to a ring and read from it again, against the same block copied into and out
of a plain array as large as the ring. A view is compared with one copy only, as it saves the other.

Latency: another process writes blocks at 48 kHz as a callback does; this one waits for each, and notes when it has it.
The time is from publication to the return of `read`, and the share of a core is what the whole loop took.

    python -m benchmarks.ring [--seconds 10]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.writer import RingWriter
from benchmarks._report import percentile, report

SAMPLERATE = 48000
SHAPES = ((2, 256), (16, 256), (64, 256), (64, 1024), (64, 4096), (128, 4096))
ROUNDS = 15
GOALS = {
    "rate": "at least 0.7 of a plain copy",
    "latency from publication to reader": "at most 2 ms",
    "reader's share of a core": "at most 2 %",
}

# Absolute due times, as a device has. The time of publication travels in the block's time stamp.
WRITER = """
import sys, time
import numpy as np
from asmu_engine.shm.writer import RingWriter

writer = RingWriter(sys.argv[1])
frames, blocks = int(sys.argv[2]), int(sys.argv[3])
block = np.zeros((frames, writer.channels), np.float32)
began = time.monotonic_ns()
for index in range(blocks):
    due = began + int((index + 1) * frames / writer.samplerate * 1e9)
    while (left := due - time.monotonic_ns()) > 0:
        time.sleep(left / 1e9)
    writer.write(block, monotonic_ns=time.monotonic_ns())
writer.close()
"""


def seconds_a_call(call: Callable[[], object], calls: int) -> float:
    """Time of one call, seconds."""
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls


def copies(channels: int, frames: int) -> list[dict[str, Any]]:
    """One write and one read of a block against plain copies; medians of interleaved rounds, so that load hits both."""
    capacity = 10 * SAMPLERATE // frames * frames
    name = segment_name("benchmark", f"ring.{os.getpid()}")
    segment = create_ring(name, RingKind.TAP, channels, SAMPLERATE, capacity)
    block = np.random.default_rng(1).standard_normal((frames, channels), np.float32)
    plain = np.zeros((capacity, channels), np.float32)
    position = 0

    with RingWriter(name) as writer, RingReader(name) as reader:

        def copy_in() -> None:
            nonlocal position
            plain[position : position + frames] = block
            position = (position + frames) % capacity

        def copy_in_and_out() -> None:
            start = position
            copy_in()
            plain[start : start + frames].copy()

        def write() -> None:
            writer.write(block, monotonic_ns=1)

        def write_and_view() -> None:
            writer.write(block, monotonic_ns=1)
            reader.read(frames)

        def write_and_copy() -> None:
            writer.write(block, monotonic_ns=1)
            reader.read(frames, copy=True)

        calls = max(20, 40_000_000 // block.nbytes // ROUNDS)
        pairs = {
            "write": (write, copy_in),
            "write, read view": (write_and_view, copy_in),
            "write, read copy": (write_and_copy, copy_in_and_out),
        }
        seconds_a_call(copy_in, capacity // frames)
        seconds_a_call(write_and_copy, capacity // frames)
        rows = []
        for what, (ring, array) in pairs.items():
            reader.seek("newest")
            times = [(seconds_a_call(ring, calls), seconds_a_call(array, calls)) for _ in range(ROUNDS)]
            on_ring, on_array = median(t[0] for t in times), median(t[1] for t in times)
            rows.append(
                {
                    "what": what,
                    "channels": channels,
                    "frames": frames,
                    "ring_us": on_ring * 1e6,
                    "plain_us": on_array * 1e6,
                    "rate": median(t[1] / t[0] for t in times),
                    "overhead_us": (on_ring - on_array) * 1e6,
                    "block_share": on_ring * SAMPLERATE / frames,
                }
            )
    segment.unlink()
    segment.close()
    return rows


def latency(channels: int, frames: int, seconds: float) -> dict[str, Any]:
    """Delay and cost of a reader that waits for each block of another process."""
    name = segment_name("benchmark", f"ring.{os.getpid()}")
    segment = create_ring(name, RingKind.TAP, channels, SAMPLERATE, 10 * SAMPLERATE)
    blocks = int(seconds * SAMPLERATE / frames)
    delays: list[float] = []
    with RingReader(name) as reader:
        command = [sys.executable, "-c", WRITER, name, str(frames), str(blocks)]
        writer = subprocess.Popen(command, cwd=Path(__file__).parents[1])
        try:
            reader.wait(1, timeout=30)
            used, began = time.process_time(), time.monotonic()
            for block in reader.blocks(frames, timeout=30, copy=False):
                delays.append((time.monotonic_ns() - block.monotonic_ns) / 1e6)
            used, took = time.process_time() - used, time.monotonic() - began
        finally:
            writer.kill()
            writer.wait()
        missed = reader.total_skipped
    segment.unlink()
    segment.close()
    return {
        "what": "wait, read view",
        "channels": channels,
        "frames": frames,
        "blocks": len(delays),
        "skipped_frames": missed,
        "latency_p50_ms": percentile(delays, 50),
        "latency_p99_ms": percentile(delays, 99),
        "latency_max_ms": max(delays),
        "cpu_percent": 100 * used / took,
    }


def main() -> None:
    """Run, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each latency run")
    seconds = parser.parse_args().seconds
    rows = [row for channels, frames in SHAPES for row in copies(channels, frames)]
    rows += [latency(channels, frames, seconds) for channels, frames in ((2, 256), (64, 256), (2, 64))]
    report("ring", rows, goals=GOALS)


if __name__ == "__main__":
    main()
