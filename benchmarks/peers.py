"""How fast this engine is beside others: the same five jobs in asmu, pyo, SuperCollider's scsynth and bare numpy.

- ``sines``: 64 sines of different frequency, each through 4 gains, mixed to 2; in ours 64 Sines and 256 Gains of one channel.
- ``gains``: 64 inputs through 4 gains to 64 outputs; in ours with a tap on them.
- ``weighting``: 32 inputs with frequency weighting A.
- ``convolution``: 8 inputs, each with an impulse response of 1 s.
- ``meter``: 128 inputs recorded to a file, and their level.

Each engine runs in a process of its own, in turn, in rounds. First it must render the samples of the closed form (`_jobs.py`)
within 1e-4; then a block of 256 frames at 48 kHz is timed in steady state, as the slope between two lengths. Nobody's device or
file is counted, but for the recording of those who write it in the block. Ours is timed by the clock, inside the running engine;
the others by the processor time that they take, which is less where the machine is busy. Then ``sines`` again with 1 to 128
channels.

asmu, pyo and supriya may have interpreters of their own: ``pip install asmu==0.1.10`` (Python 3.12 or newer), ``pip install
pyo``, ``pip install supriya`` and Debian's supercollider-server.

    python -m benchmarks.peers [--asmu-python PATH] [--pyo-python PATH] [--supriya-python PATH] [--scsynth PATH]
                               [--rounds 5] [--seconds 0.6] [--jobs sines,scaling] [--engines ours,scsynth]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from asmu_engine.rt.weighting import sections
from benchmarks import _jobs
from benchmarks._jobs import SAMPLERATE, TOLERANCE, Job
from benchmarks._peer import Rendered
from benchmarks._peering import Engine, Failed, NotHere, PeerProcess, engines
from benchmarks._report import RESULTS, report

JOBS = ("sines", "gains", "weighting", "convolution", "meter")
SCALING = "scaling"
"""The first job with other numbers of channels."""
CHANNELS = (1, 2, 4, 8, 16, 32, 64, 128)
SCALED = ("ours, offline", "pyo", "scsynth", "bare numpy")
OWN = "ours, offline"


@dataclass
class Cell:
    """What is known of one engine at one job."""

    job: str
    channels: int
    engine: str
    why_not: str = ""
    error: float | None = None
    late: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    times: list[dict[str, float]] = field(default_factory=list)

    def figure(self, name: str) -> float | None:
        """Median over the rounds."""
        values = [times[name] for times in self.times if name in times]
        return round(median(values), 2) if values else None


def main() -> None:
    arguments = _arguments()
    wanted = arguments.jobs.split(",")
    if unknown := set(wanted) - {*JOBS, SCALING}:
        raise SystemExit(f"there is no job {', '.join(sorted(unknown))}; use {', '.join(JOBS)}, {SCALING}")
    known = engines(arguments.asmu_python, arguments.pyo_python, arguments.scsynth, arguments.supriya_python)
    chosen = [engine for engine in known if any(engine.name.startswith(name) for name in arguments.engines.split(","))]
    missing = {engine.name: why for engine in chosen if (why := engine.missing())}
    for name, why in missing.items():
        print(f"{name} is not here: {why}", file=sys.stderr)
    if jobs := [_job(name) for name in wanted if name != SCALING]:
        table(compare(jobs, chosen, missing, arguments.rounds, arguments.seconds))
    if SCALING in wanted:
        scaled = [engine for engine in chosen if engine.name in SCALED]
        sizes = [_jobs.sines(channels) for channels in CHANNELS]
        cells = compare(sizes, scaled, missing, arguments.rounds, arguments.seconds)
        goals = {"from 16 channels up": "to_ours ≥ 1 for scsynth"}
        report("peers_scaling", rows(cells), ["channels", "engine", "us_per_block", "to_ours", "max_error", "note"], goals)
        plot(cells, RESULTS / "peers_scaling.png")


def table(cells: Sequence[Cell]) -> None:
    """The jobs as a table and in the file."""
    goals = {
        "sines": "ours ≤ 45 µs",
        "gains": "ours ≤ 30 µs",
        "everywhere": "ours ahead of asmu and pyo, to_ours > 1; level with scsynth or ahead from 16 channels up",
    }
    figures = ["us_per_block", "to_ours", "fast_us", "untapped_us", "cpu_us_per_block", "max_error", "late_frames"]
    columns = ["job", "channels", "engine", *figures, "note"]
    report("peers", rows(cells), columns, goals)


def compare(jobs: Sequence[Job], chosen: Sequence[Engine], missing: dict[str, str], rounds: int, seconds: float) -> list[Cell]:
    """Every engine with every job, in turn, so many times."""
    cells = {
        (number, engine): Cell(job.name, job.channels, engine.name)
        for number, job in enumerate(jobs)
        for engine in chosen
        if engine.only in ("", job.name)
    }
    with tempfile.TemporaryDirectory(prefix="peers") as folder:
        for number in range(rounds):
            for (job, engine), cell in cells.items():
                if engine.name in missing:
                    cell.why_not = f"not here: {missing[engine.name]}"
                if cell.why_not:
                    continue
                _show(f"round {number + 1} of {rounds}: {cell.job} {cell.channels}, {engine.name}")
                try:
                    turn(jobs[job], engine, cell, seconds, Path(folder))
                except (NotHere, Failed) as error:
                    cell.why_not = str(error)
    _show("")
    return list(cells.values())


def _show(text: str) -> None:
    """How far it is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{text:60}", end="" if text else "\r", file=sys.stderr, flush=True)


def turn(job: Job, engine: Engine, cell: Cell, seconds: float, folder: Path) -> None:
    """One process: check it where that is not done yet, then time it."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own) / "job.npz"
        job.save(path)
        with PeerProcess(engine, path, Path(own)) as process:
            cell.versions = process.versions
            if cell.error is None:
                rendered = Path(own) / "rendered.npz"
                process.ask(f"check {rendered}")
                cell.error, cell.late = check(job, Rendered.load(rendered))
            cell.times.append(process.ask(f"time {seconds}"))


def check(job: Job, rendered: Rendered) -> tuple[float, int]:
    """Largest difference from the closed form, and how many frames late it comes."""
    if rendered.data.shape[1:] != (job.outputs or job.channels,) or not len(rendered.data):
        raise Failed(f"it rendered an array of shape {rendered.data.shape}")
    error = np.abs(rendered.data - job.expected(rendered.first, len(rendered.data))).max()
    if job.name == "meter":
        levels = job.levels(rendered.level_first, rendered.level_frames)
        error = max(error, np.abs(rendered.levels - levels).max())
    return float(error), rendered.late


def rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """As the table and the file have them; ratios to ours on the offline device, in the same job."""
    ours = {(cell.job, cell.channels): cell.figure("us_per_block") for cell in cells if cell.engine == OWN}
    found = []
    for cell in cells:
        time, own = cell.figure("us_per_block"), ours.get((cell.job, cell.channels))
        wrong = cell.error is not None and not cell.error <= TOLERANCE
        extra = {name: cell.figure(name) for name in sorted({name for times in cell.times for name in times} - {"us_per_block"})}
        found.append(
            {
                "job": cell.job,
                "channels": cell.channels,
                "engine": cell.engine,
                "us_per_block": "" if time is None else time,
                "to_ours": "" if time is None or not own else round(time / own, 2),
                "max_error": "" if cell.error is None else float(f"{cell.error:.1e}"),
                "late_frames": cell.late,
                "note": cell.why_not or (f"off by more than {TOLERANCE:g}" if wrong else ""),
                **extra,
                "rounds": [round(times["us_per_block"], 2) for times in cell.times],
                "versions": cell.versions,
            }
        )
    return found


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Time of a block against channels, both on log axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name in dict.fromkeys(cell.engine for cell in cells):
        points = [(cell.channels, time) for cell in cells if cell.engine == name and (time := cell.figure("us_per_block"))]
        if points:
            axes.loglog(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xlabel="sines, each through 4 gains", ylabel=f"µs a block of {_jobs.FRAMES} frames at {SAMPLERATE // 1000} kHz")
    axes.set_xticks(CHANNELS, [str(channels) for channels in CHANNELS])
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"plotted to {path.name}")


def _job(name: str) -> Job:
    if name == "weighting":
        return _jobs.weighting(sections("A", float(SAMPLERATE)))
    job: Job = getattr(_jobs, name)()
    return job


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("asmu", "pyo", "supriya"):
        variable = f"{name.upper()}_PYTHON"
        default = os.environ.get(variable, sys.executable)
        parser.add_argument(
            f"--{name}-python", default=default, help=f"interpreter with {name}; default: {variable}, or this one"
        )
    parser.add_argument("--scsynth", default=os.environ.get("SCSYNTH", "scsynth"), help="program; default: SCSYNTH, or from PATH")
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.6, help="of timing a turn (default %(default)s)")
    parser.add_argument("--jobs", default=",".join((*JOBS, SCALING)), help="which, with commas (default: all)")
    parser.add_argument("--engines", default="ours,asmu,pyo,scsynth,bare numpy", help="which, with commas (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
