"""What the schedule costs: 64 channels through 4 gains to 64 outputs, with a 64-channel tap, block by block.

Three ways of the same work, in turn, on blocks that change:

- ``engine``: the block runner with builder, schedule, cores and a real ring, counters and histograms included, called
  as a device calls it.
- ``numpy``: four multiplications, a copy into a ring-sized array and one into the output; bare, no books kept.
- ``copy``: the two copies alone.

The engine is also timed with an empty patch, which is what the runner itself takes, and with gains that differ by
channel. Each figure is the median over rounds of a round's median block.

    python -m benchmarks.chain [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from asmu_engine.audio.builder import Builder
from asmu_engine.audio.kinds import Kinds
from asmu_engine.audio.wiring import Wiring
from asmu_engine.rt.runner import Runner
from asmu_engine.rt.scheduling import quiet_interpreter
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.status import StatusPage, create_status
from benchmarks._engine import CHANNELS, FRAMES, GAINS, SAMPLERATE, chain
from benchmarks._report import report

RING_SECONDS = 10
BLOCKS = 400
Block = Callable[[int], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=15, help=f"how often each is measured, {BLOCKS} blocks at a time (default %(default)s)"
    )
    arguments = parser.parse_args()
    quiet_interpreter()
    ring = create_ring(
        segment_name(f"benchmark{os.getpid()}", "tap"), RingKind.TAP, CHANNELS, SAMPLERATE, RING_SECONDS * SAMPLERATE
    )
    status = create_status(f"benchmark{os.getpid()}")
    try:
        page = StatusPage.attach(f"benchmark{os.getpid()}")
        rows = measure(page, ring.name, arguments.rounds)
        page.close()
    finally:
        for segment in (ring, status):
            segment.unlink()
            segment.close()
    goals = {"engine": "at most 40 µs a block of 256 frames"}
    report("chain", rows, goals=goals)


def measure(page: StatusPage, ring: str, rounds: int) -> list[dict[str, Any]]:
    source = (np.random.default_rng(1).standard_normal((8, FRAMES, CHANNELS)) * 0.1).astype(np.float32)
    outdata = np.zeros((FRAMES, CHANNELS), dtype=np.float32)
    same = list(GAINS)
    different = [[gain + 0.001 * channel for channel in range(CHANNELS)] for gain in GAINS]
    engines = {
        "engine": make_engine(same, source, outdata, page, ring),
        "engine, without tap and counters": make_engine(same, source, outdata, None, None),
        "engine, gains by channel": make_engine(different, source, outdata, None, None),
        "engine, empty patch": make_engine([], source, outdata, page, None),
    }
    check(engines["engine"][0], source, outdata, np.array(same, np.float32))
    ways: dict[str, Block] = {name: block for name, (block, _) in engines.items()}
    ways["numpy"] = make_numpy(same, source, outdata)
    ways["copy"] = make_copy(source, outdata)
    times: dict[str, list[float]] = {name: [] for name in ways}
    lows: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, block in ways.items():
            middle, low = time_blocks(block)
            times[name].append(middle)
            lows[name].append(low)
    for _, close in engines.values():
        close()
    bare = median(times["numpy"])
    return [
        {
            "way": name,
            "us_per_block": round(median(times[name]), 2),
            "best_round_us": round(min(times[name]), 2),
            "p10_us": round(median(lows[name]), 2),
            "to_numpy": round(median(times[name]) / bare, 2),
            "share_of_block_percent": round(100 * median(times[name]) * 1e-6 * SAMPLERATE / FRAMES, 2),
        }
        for name in ways
    ]


def time_blocks(block: Block) -> tuple[float, float]:
    """Median and tenth percentile of single blocks, microseconds."""
    taken = []
    for index in range(BLOCKS):
        began = time.perf_counter_ns()
        block(index % 8)
        taken.append(time.perf_counter_ns() - began)
    taken.sort()
    return taken[BLOCKS // 2] / 1e3, taken[BLOCKS // 10] / 1e3


def make_engine(
    gains: list[Any], source: np.ndarray, outdata: np.ndarray, page: StatusPage | None, ring: str | None
) -> tuple[Block, Callable[[], None]]:
    """One block of an engine with these gains in a row, and what closes it; a tap on the last one where there is a ring."""
    # What `asmu_engine.local` puts together, with the counters of a real engine.
    runner = Runner(SAMPLERATE, FRAMES, page)
    builder = Builder(Kinds(), SAMPLERATE, FRAMES, runner.context)
    builder.wiring = Wiring({n: n for n in range(CHANNELS)}, {n: n for n in range(CHANNELS)})
    edits = chain(gains, tap=bool(ring), ring=ring or "")
    if edits:
        runner.mailbox.post(builder.build(edits))

    def block(index: int) -> None:
        runner(source[index], outdata, 0, 0, time.monotonic_ns(), 0.0)

    def close() -> None:
        failed = list(runner.context.notices)
        for core in builder.graph.cores.values():
            core.close()
        if failed:
            raise SystemExit(f"the engine's cores failed: {failed}")

    return block, close


def make_numpy(gains: list[float], source: np.ndarray, outdata: np.ndarray) -> Block:
    capacity = RING_SECONDS * SAMPLERATE
    tap = np.ones((capacity, CHANNELS), dtype=np.float32)  # not zeros, whose pages would not be there yet
    buffers = [np.zeros((FRAMES, CHANNELS), dtype=np.float32) for _ in gains]
    factors = [np.float32(gain) for gain in gains]
    position = 0

    def block(index: int) -> None:
        nonlocal position
        signal = source[index]
        for factor, buffer in zip(factors, buffers, strict=True):
            np.multiply(signal, factor, out=buffer)
            signal = buffer
        start = position % capacity
        tap[start : start + FRAMES] = signal
        outdata[...] = signal
        position += FRAMES

    return block


def make_copy(source: np.ndarray, outdata: np.ndarray) -> Block:
    return make_numpy([], source, outdata)


def check(engine: Block, source: np.ndarray, outdata: np.ndarray, gains: np.ndarray) -> None:
    """The engine computes what bare numpy does, which rounds once a gain, where the engine rounds once for all."""
    engine(3)
    expected = source[3]
    for gain in gains:
        expected = expected * gain
    if not np.allclose(outdata, expected, rtol=4e-7, atol=0.0):
        raise SystemExit("the engine's samples differ from numpy's")


if __name__ == "__main__":
    main()
