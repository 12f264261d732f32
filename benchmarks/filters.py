"""What filters and convolutions cost against bare scipy: A-weighting, and impulse responses of 1 s.

The core of a node, called as the schedule calls it with blocks of 256 frames at 48 kHz that change, in turn with

- ``scipy.signal.sosfilt`` in float64 over all channels, with its state kept, block by block: the same filter;
- uniformly partitioned overlap-save in numpy, as one would write it for a stream: 188 parts of a block, each meeting a spectrum;
- and, as a bound without blocks that no stream can reach, ``scipy.signal.oaconvolve`` in float32 over 4 s at once.

Samples are checked against both first. Each round is a process of its own, in turn one with and one without vectors of
512 bits in OpenBLAS's products of matrices (``OPENBLAS_CORETYPE``), where the processor has them; figures are medians over the
rounds.

    python -m benchmarks.filters [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks._report import percentile, report

if TYPE_CHECKING:
    import numpy as np

SAMPLERATE, FRAMES = 48000, 256
SOURCES = 16  # blocks that come in turn
WEIGHTED, CONVOLVED = (1, 8, 32, 128), (1, 8, 32)
TAPS = SAMPLERATE
BOUND_SECONDS = 4
CHECKED = SOURCES * FRAMES
KERNELS = {"512 bits": "SkylakeX", "256 bits": "Haswell"}
Block = Callable[[int], None]
GOALS = {"A-weighting": "below sosfilt", "convolution": "below plain numpy"}
Figures = tuple[list[float], list[float], list[float]]
"""µs of blocks of the engine, of the plain way, and of the bound."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each choice, in turn (default %(default)s)")
    parser.add_argument("--round", choices=KERNELS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.round:
        print(json.dumps(measure()))
        return
    choices = [kernels for kernels in KERNELS if kernels == "256 bits" or "avx512bw" in processor_flags()]
    rounds: dict[str, list[list[dict[str, Any]]]] = {kernels: [] for kernels in choices}
    for _ in range(arguments.rounds):
        for kernels in choices:
            rounds[kernels].append(one_round(kernels))
    report("filters", [row for kernels in choices for row in medians(kernels, rounds[kernels])], goals=GOALS)


def processor_flags() -> set[str]:
    """What Linux says that the processor can; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def one_round(kernels: str) -> list[dict[str, Any]]:
    """The figures of a fresh process, for a library looks only once which vectors it shall use."""
    environment = os.environ | {"OPENBLAS_CORETYPE": KERNELS[kernels], "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.filters", "--round", kernels]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    rows: list[dict[str, Any]] = json.loads(run.stdout)
    return rows


def medians(kernels: str, rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = []
    for figures in zip(*rounds, strict=True):
        row = {"what": figures[0]["what"], "channels": figures[0]["channels"], "kernels": kernels}
        for name in ("engine_us", "engine_p99_us", "plain_us", "bound_us"):
            if name in figures[0]:
                row[name] = round(median(figure[name] for figure in figures), 2)
        rows.append(row | {"to_plain": round(row["engine_us"] / row["plain_us"], 2)})
    return rows


def measure() -> list[dict[str, Any]]:
    """All figures of this process."""
    from asmu_engine.rt.scheduling import quiet_interpreter

    quiet_interpreter()
    rows = [row("A-weighting", channels, *weighting(channels)) for channels in WEIGHTED]
    return rows + [row("convolution, 1 s", channels, *convolution(channels)) for channels in CONVOLVED]


def row(what: str, channels: int, engine: list[float], plain: list[float], bound: list[float]) -> dict[str, Any]:
    figures = {
        "what": what,
        "channels": channels,
        "engine_us": mean_of_most(engine),
        "engine_p99_us": percentile(engine, 99),
        "plain_us": mean_of_most(plain),
    }
    return figures | ({"bound_us": percentile(bound, 50)} if bound else {})


def mean_of_most(taken: list[float]) -> float:
    """Blocks of a convolution are not all alike: what counts is what all of them take, but for the pauses of the machine."""
    limit = 10 * percentile(taken, 50)
    return sum(one for one in taken if one < limit) / sum(one < limit for one in taken)


def weighting(channels: int) -> Figures:
    import numpy as np
    from scipy import signal

    from asmu_engine.rt.weighting import sections

    process, source, outputs = prepared("weight", channels, {"weight": "A"})
    cascade = sections("A", SAMPLERATE)
    state = np.zeros((len(cascade), 2, channels))
    exact = source.astype(np.float64)

    def bare(index: int) -> None:
        nonlocal state
        _, state = signal.sosfilt(cascade, exact[index % SOURCES], axis=0, zi=state)

    whole = signal.sosfilt(cascade, exact.reshape(CHECKED, channels), axis=0)
    check(process, outputs, whole, 1e-6)
    return *time_in_turn(process, bare, 2000), []


def convolution(channels: int) -> Figures:
    import numpy as np
    from scipy import signal

    from asmu_engine.protocol.arrays import Array

    decay = np.exp(-6.9 * np.arange(TAPS) / TAPS)[:, None]
    response = (np.random.default_rng(2).standard_normal((TAPS, channels)) * decay / TAPS**0.5).astype(np.float32)
    process, source, outputs = prepared("convolver", channels, {"ir": Array("f4", response.shape, response.tobytes())})
    long = np.random.default_rng(3).uniform(-1, 1, (BOUND_SECONDS * SAMPLERATE, channels)).astype(np.float32)
    whole = signal.oaconvolve(source.reshape(CHECKED, channels), response, axes=0)[:CHECKED]
    check(process, outputs, whole, 1e-5)
    bare, written = plain_convolution(response, source)
    check(bare, written, whole, 1e-5)
    for index in range(SOURCES, SOURCES + TAPS // FRAMES + 64):  # until it has heard as much as it remembers
        process(index)
    taken = time_in_turn(process, bare, 1000)
    bound = []
    for _ in range(3):
        began = time.perf_counter_ns()
        signal.oaconvolve(long, response, axes=0)
        bound.append((time.perf_counter_ns() - began) / 1e3 * FRAMES / len(long))
    return *taken, bound


def plain_convolution(response: np.ndarray, source: np.ndarray) -> tuple[Block, np.ndarray]:
    """Overlap-save with a part a block; what runs block number n, and where its outputs go."""
    import numpy as np

    channels, parts = response.shape[1], -(-len(response) // FRAMES)
    padded = np.zeros((parts * FRAMES, channels), dtype=np.float32)
    padded[: len(response)] = response
    spectra = np.fft.rfft(padded.reshape(parts, FRAMES, channels), 2 * FRAMES, axis=1)
    history, window = np.zeros_like(spectra), np.zeros((2 * FRAMES, channels), dtype=np.float32)
    written = np.zeros((FRAMES, channels), dtype=np.float32)
    newest = 0

    def block(index: int) -> None:
        nonlocal newest
        window[:FRAMES] = window[FRAMES:]
        window[FRAMES:] = source[index % SOURCES]
        newest = (newest - 1) % parts
        history[newest] = np.fft.rfft(window, axis=0)
        products = (history[newest:] * spectra[: parts - newest]).sum(axis=0)
        products += (history[:newest] * spectra[parts - newest :]).sum(axis=0)
        written[...] = np.fft.irfft(products, axis=0)[FRAMES:]

    return block, written


def prepared(kind: str, channels: int, values: dict[str, Any]) -> tuple[Block, np.ndarray, np.ndarray]:
    """What runs block number n, the blocks, and where the outputs go."""
    import numpy as np

    from asmu_engine.audio.kinds import Kinds
    from asmu_engine.rt.context import Context, Setup

    core = Kinds()[kind](Setup(SAMPLERATE, FRAMES, channels, channels, Context(), "x"), values)
    source = np.random.default_rng(1).uniform(-1, 1, (SOURCES, FRAMES, channels)).astype(np.float32)
    outputs = np.zeros((FRAMES, channels), dtype=np.float32)
    return lambda index: core.process(source[index % SOURCES], outputs), source, outputs


def check(process: Block, outputs: np.ndarray, whole: np.ndarray, limit: float) -> None:
    """The first blocks are what scipy says."""
    for index in range(SOURCES):
        process(index)
        if abs(outputs - whole[index * FRAMES : (index + 1) * FRAMES]).max() > limit:
            raise SystemExit("the engine's samples differ from scipy's")


def time_in_turn(first: Block, second: Block, count: int) -> tuple[list[float], list[float]]:
    """µs of each call, the two in stretches of 50 by turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for start in range(0, count, 50):
        for function, times in zip((first, second), taken, strict=True):
            for index in range(start, start + 50):
                began = time.perf_counter_ns()
                function(index)
                times.append((time.perf_counter_ns() - began) / 1e3)
    return taken


if __name__ == "__main__":
    main()
