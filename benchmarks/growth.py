"""How the time of a block grows with the patch, and that a path is late by what was asked for and one block.

- ``nodes``: 1 to 4096 gains in a row, gains side by side and sines side by side, one channel each.
- ``channels``: 1 to 256 channels through seven kinds of patch.
- ``latency``: the virtual device's loopback, from an output to an input and through a Delay to the next output, at several block
  sizes: the frame at which white noise comes back, and that it comes back bit for bit.

Blocks have 256 frames. Each size is timed in turn with the others and with the same work in bare numpy (of the kinds by channel:
with a plain copy of the block), in rounds; the figure is the median over rounds of a round's median block. Blocks come back to
back, so all that fits a cache is in it.

The line that is fitted is ``fixed + each * size`` (of the matrix also with a square), by least squares of the relative error:
on log axes flat at first and then of slope 1. `off_percent` is how far the farthest size is from it; `slope` that of the four
largest octaves; `late_ns_each` what another node or channel costs between the two largest sizes, `early_ns_each` between 16 and
64. Where that grows, caches do not hold the buffers any more: compare with the bare work's own. As in the audio process, numpy's
libraries start no threads.

    python -m benchmarks.growth [--rounds 7] [--most-nodes 4096] [--most-channels 256] [--only nodes|channels|latency]
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from contextlib import ExitStack
from itertools import groupby
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls

from asmu_engine.rt.scheduling import quiet_interpreter
from benchmarks._growing import CHANNELS, FRAMES, NODES, SAMPLERATE, Block, Case, doubling, engine
from benchmarks._report import RESULTS, report
from benchmarks._roundtrip import round_trips

ROUND_SECONDS, FEWEST, MOST = 0.04, 9, 300
"""A round of one size takes so long, in between so few and so many blocks."""
SUMMARY = ["patch", "off_percent", "off_at", "slope", "fixed_us", "ns_each", "early_ns_each", "late_ns_each"]
THREADS = "OPENBLAS_NUM_THREADS"
GOAL = "a straight line on log axes, or the reason named in README.md"
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each size is measured (default %(default)s)")
    parser.add_argument("--most-nodes", type=int, default=4096, help="largest patch (default %(default)s)")
    parser.add_argument("--most-channels", type=int, default=256, help="widest patch (default %(default)s)")
    parser.add_argument("--only", choices=("nodes", "channels", "latency"), help="one of the three")
    arguments = parser.parse_args()
    if arguments.only in (None, "latency"):
        rows = round_trips()
        report("growth_latency", rows, goals={"late_frames": "exactly expected_frames, every sample as it was played"})
        if any(row["late_frames"] != row["expected_frames"] for row in rows):
            raise SystemExit("a path was not late by one block and the delays asked for")
    quiet_interpreter()
    for what, cases, most in (("nodes", NODES, arguments.most_nodes), ("channels", CHANNELS, arguments.most_channels)):
        if arguments.only in (None, what):
            rows = [row for name, case in cases.items() for row in measure(name, case, what, doubling(most), arguments.rounds)]
            columns = ["patch", what, "us_per_block", "bare_us", "line_us", "share_of_block_percent", "build_ms"]
            report(f"growth_{what}", rows, columns)
            plot(what, rows)
            report(f"growth_{what}_lines", summarise(rows, what), SUMMARY, {"off_percent": GOAL})


def measure(name: str, case: Case, what: str, sizes: list[int], rounds: int) -> list[Row]:
    """All sizes of a patch in turn, with the fitted line."""
    ours: dict[int, list[float]] = {size: [] for size in sizes}
    bare: dict[int, list[float]] = {size: [] for size in sizes}
    built: dict[int, float] = {}
    with ExitStack() as stack:
        blocks: dict[int, Block] = {}
        for size in sizes:
            blocks[size], built[size] = stack.enter_context(engine(case, size))
            for index in range(case.warm):
                blocks[size](index)
        plain = {size: case.bare(size) for size in sizes}
        for _ in range(rounds):
            for size in sizes:
                ours[size].append(time_blocks(blocks[size]))
                bare[size].append(time_blocks(plain[size]))
    del blocks, plain
    gc.collect()  # which is off, and a patch of 4096 nodes is not small
    times = [median(ours[size]) for size in sizes]
    line = fit(sizes, times, case.power)
    return [
        {
            "patch": name,
            what: size,
            "us_per_block": round(taken, 2),
            "best_round_us": round(min(ours[size]), 2),
            "bare_us": round(median(bare[size]), 2),
            "line_us": round(float(sum(factor * size**power for power, factor in enumerate(line))), 2),
            "share_of_block_percent": round(100 * taken * 1e-6 * SAMPLERATE / FRAMES, 2),
            "build_ms": round(1e3 * built[size], 2),
        }
        for size, taken in zip(sizes, times, strict=True)
    ]


def time_blocks(block: Block) -> float:
    """Median time of a block, µs, over a round; a few before it put its data into the cache."""
    for index in range(3):
        began = time.perf_counter()
        block(index)
        once = time.perf_counter() - began
    taken = []
    for index in range(max(FEWEST, min(MOST, int(ROUND_SECONDS / once)))):
        began_ns = time.perf_counter_ns()
        block(index)
        taken.append(time.perf_counter_ns() - began_ns)
    return median(taken) / 1e3


def fit(sizes: list[int], times: list[float], power: int) -> np.ndarray:
    """Factors of 1, size … size**power, none below zero, with the least relative squares.

    >>> fit([1, 2, 4, 8], [7.0, 9.0, 13.0, 21.0], 1).round(6).tolist()
    [5.0, 2.0]
    """
    terms = np.vander(np.array(sizes, dtype=float), power + 1, increasing=True)
    factors, _ = nnls(terms / np.array(times)[:, np.newaxis], np.ones(len(sizes)))
    return np.asarray(factors)


def summarise(rows: list[Row], what: str) -> list[Row]:
    """What the line of each patch is, how far the sizes are from it, and what another node or channel costs early and late."""
    found = []
    for name, group in groupby(rows, key=lambda row: row["patch"]):
        own = list(group)
        sizes = [row[what] for row in own]
        fixed, each, *_ = fit(sizes, [row["us_per_block"] for row in own], (CHANNELS | NODES)[name].power)
        worst = max(own, key=lambda row: abs(row["us_per_block"] / row["line_us"] - 1))
        found.append(
            {
                "patch": name,
                "off_percent": round(100 * (worst["us_per_block"] / worst["line_us"] - 1), 1),
                "off_at": worst[what],
                "slope": round(slope(own[-5:], what, "us_per_block"), 3),
                "bare_slope": round(slope(own[-5:], what, "bare_us"), 3),
                "fixed_us": round(float(fixed), 2),
                "ns_each": round(1e3 * float(each), 2),
                "early_ns_each": between(own, what, 16, 64),
                "late_ns_each": between(own, what, sizes[-1] // 2, sizes[-1]),
            }
        )
    return found


def slope(rows: list[Row], what: str, figure: str) -> float:
    """Exponent with which a figure grows: its slope on log axes."""
    return float(np.polyfit(np.log([row[what] for row in rows]), np.log([row[figure] for row in rows]), 1)[0])


def between(rows: list[Row], what: str, small: int, large: int) -> float | str:
    """Nanoseconds that each node or channel between two sizes costs; nothing where they were not measured."""
    times = {row[what]: row["us_per_block"] for row in rows}
    if small == large or not {small, large} <= set(times):
        return ""
    return round(float(1e3 * (times[large] - times[small]) / (large - small)), 2)


def plot(what: str, rows: list[Row]) -> None:
    """``results/growth_WHAT.png``: figures as dots, fitted lines, and dashed the same in bare numpy."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (name, group) in enumerate(groupby(rows, key=lambda row: row["patch"])):
        own = list(group)
        sizes = [row[what] for row in own]
        colour = f"C{number}"
        axes.plot(sizes, [row["us_per_block"] for row in own], "o", color=colour, label=name)
        axes.plot(sizes, [row["line_us"] for row in own], "-", color=colour, linewidth=1)
        if what == "nodes" or number == 0:
            label = "the same in bare numpy" if what == "nodes" else "plain copy of the block"
            line = axes.plot(sizes, [row["bare_us"] for row in own], "--", color=colour if what == "nodes" else "grey")[0]
            if number == 0:
                line.set_label(label)
    axes.axhline(1e6 * FRAMES / SAMPLERATE, color="black", linestyle=":", label="time that a block lasts")
    axes.set(xscale="log", yscale="log", xlabel=f"number of {what}", ylabel="µs a block of 256 frames")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(RESULTS / f"growth_{what}.png", dpi=110)


if __name__ == "__main__":
    if os.environ.get(THREADS) != "1":  # as in the audio process; it is read when numpy is loaded, and by now that is
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.growth", *sys.argv[1:]], {**os.environ, THREADS: "1"})
    main()
