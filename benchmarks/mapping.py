"""Heavy analysis beside the engine: what ``Tap.map`` adds to a plain loop, and whether the engine feels it.

The work is the third-octave spectrogram of asmu_control.examples.spectrogram, of 64 channels at 48 kHz, in blocks of half a
second. First `throughput`: a ring that is full, mapped by 1 and 2 workers, in turn with a plain loop over the same blocks in one
process; from the first result to the last, so that starting the workers does not count. Then `live`: the 64-channel chain at 256
frames on the virtual device, idle, beside a map that takes most of all cores, and beside one that takes more than there is;
in turn, with the witness of `isolation`. The rate of spectra for this is taken from the throughput, unless --rate says it.

    python -m benchmarks.mapping [--seconds 20] [--rounds 3] [--rate SPECTRA_A_SECOND]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

import numpy as np

from asmu_control import Interface
from asmu_control.analyzer.mapping.blockmap import BlockMap
from asmu_control.analyzer.mapping.start import map_reader
from asmu_control.examples.spectrogram import ThirdOctaves
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.status import StatusPage
from asmu_engine.shm.writer import RingWriter
from benchmarks._engine import CHANNELS, SAMPLERATE, Tally, running_chain, witness
from benchmarks._report import report

BLOCK: Final = SAMPLERATE // 2
RING_SECONDS: Final = 10
HOP: Final = SAMPLERATE // 16
CORES: Final = os.cpu_count() or 1
WARM_UP_SECONDS, KEPT_UP_SECONDS = 8.0, 0.1
USED, TOO_MUCH = 0.7, 3.0
COLUMNS = ["what", "ms_a_spectrum", "of_the_plain_rate", "times_real_time", "blocks", "misses", "missed_percent"]
COLUMNS += ["above_idle_points", "late_p99_us", "late_max_us", "callback_p50_us", "workers_percent", "lag_max_s", "skipped_s"]
GOALS = {
    "missed_percent beside a map": "as idle; skipped 0 where it can keep up",
    "a worker's throughput": "≥ 0.9 of the plain loop's",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stretch of the live part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, help="spectra a second of the live map that keeps up")
    parser.add_argument("--plain", help=argparse.SUPPRESS)  # this process is the plain loop, on the ring of that name
    args = parser.parse_args()
    work = ThirdOctaves(SAMPLERATE, BLOCK)
    if args.plain:
        print(json.dumps(plain(args.plain, work)))
        return
    rows, seconds_each = throughput(work, args.rounds)
    rate = args.rate or USED * CORES / seconds_each
    rows += live(work, args.seconds, args.rounds, {"keeps up": rate, "too much": rate * TOO_MUCH / USED})
    report("mapping", rows, COLUMNS, GOALS)


# -- throughput ---------------------------------------------------------------------------------------------------------


def throughput(work: ThirdOctaves, rounds: int) -> tuple[list[dict[str, Any]], float]:
    """A row for each way, and how long one spectrum takes on a core that has company, seconds."""
    ways: dict[str, Callable[[str], list[tuple[float, float]]]] = {"plain loop": plain_process}
    ways |= {f"map, {n} worker{'s' * (n > 1)}": lambda ring, n=n: mapped(ring, work, n) for n in sorted({1, CORES})}
    paces: dict[str, list[float]] = {way: [] for way in ways}
    spent: dict[str, list[float]] = {way: [] for way in ways}
    with full_ring() as ring:
        for _ in range(rounds):
            for way, run in ways.items():
                done = run(ring)
                paces[way].append((done[-1][0] - done[0][0]) / (len(done) - 1))
                spent[way].append(median(seconds for _, seconds in done))
    plain_pace = median(paces["plain loop"])
    rows = [
        {
            "what": way,
            "ms_a_spectrum": round(1e3 * median(pace), 2),
            "of_the_plain_rate": round(plain_pace / median(pace), 2),
            "times_real_time": round(HOP / SAMPLERATE / median(pace), 1),
            "function_ms": round(1e3 * median(spent[way]), 2),
        }
        for way, pace in paces.items()
    ]
    return rows, median(spent[way])


@contextmanager
def full_ring() -> Iterator[str]:
    """A ring of noise that is closed: its name."""
    name = segment_name(f"benchmark{os.getpid()}", "noise")
    ring = create_ring(name, RingKind.TAP, CHANNELS, SAMPLERATE, RING_SECONDS * SAMPLERATE)
    try:
        rng, writer = np.random.default_rng(6), RingWriter(name)
        for _ in range(RING_SECONDS):
            writer.write(rng.standard_normal((SAMPLERATE, CHANNELS), np.float32))
        writer.close()
        yield name
    finally:
        ring.unlink()
        ring.close()


def plain_process(ring: str) -> list[tuple[float, float]]:
    """`plain` in a process of its own, with one thread, as a worker has it."""
    command = [sys.executable, "-m", "benchmarks.mapping", "--plain", ring]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env={**os.environ, **threads}, stdout=subprocess.PIPE, check=True)
    return [(at, seconds) for at, seconds in json.loads(done.stdout)]


def plain(ring: str, work: ThirdOctaves) -> list[tuple[float, float]]:
    """When each spectrum was done, and how long it took: in a loop, on views of the same ring."""
    done = []
    with RingReader(ring, "first") as reader:
        for position in range(0, RING_SECONDS * SAMPLERATE - BLOCK + 1, HOP):
            reader.seek(position)
            block = reader.read(BLOCK)
            assert block is not None
            began = time.perf_counter()
            work(block.data)
            end = time.perf_counter()
            done.append((end, end - began))
    return done


def mapped(ring: str, work: ThirdOctaves, workers: int) -> list[tuple[float, float]]:
    """The same by `Tap.map`."""
    with map_reader(RingReader(ring, "first"), "noise", work, workers, blocksize=BLOCK, hop=HOP) as results:
        return [(time.perf_counter(), result.seconds) for result in results]


# -- live ---------------------------------------------------------------------------------------------------------------


def live(work: ThirdOctaves, seconds: float, rounds: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """Rows of the engine and of the witness: idle, and beside each map."""
    states: dict[str, dict[str, Any]] = {}
    with running_chain() as interface, witness() as other:
        page = StatusPage.attach(interface.client.engine)
        pages = {"engine": page, "witness": other}
        tallies = {(who, what): Tally.nothing() for who in pages for what in ("idle", *rates)}
        try:
            for _ in range(rounds):
                for what, rate in {"idle": 0.0, **rates}.items():
                    stretch = beside(interface, pages, work, seconds, rate, next(iter(rates.values())))
                    for who in pages:
                        tallies[who, what] = tallies[who, what].plus(stretch[0][who])
                    states[what] = _worst(states.get(what), stretch[1])
                    time.sleep(0.5)  # what a stretch held up is no part of the next
        finally:
            page.close()
    return [
        {
            "what": f"{who}, {'idle' if what == 'idle' else f'map at {rates[what]:.0f} spectra/s'}",
            **tally.row(),
            "above_idle_points": round(tally.missed_percent - tallies[who, "idle"].missed_percent, 4),
            **(states[what] if who == "engine" else {}),
        }
        for (who, what), tally in tallies.items()
    ]


def beside(
    interface: Interface, pages: dict[str, StatusPage], work: ThirdOctaves, seconds: float, rate: float, keeps_up: float
) -> tuple[dict[str, Tally], dict[str, Any]]:
    """What happens in `seconds`, once a map goes at its pace; and how far that was behind at most."""
    if not rate:
        return _while(pages, lambda: time.sleep(seconds)), {}
    # One that cannot keep up has the whole ring behind it from the first.
    reader = interface.client.tap("tap").reader("newest" if rate == keeps_up else "oldest")
    assert isinstance(reader, RingReader)
    with map_reader(reader, "tap", work, CORES, blocksize=BLOCK, hop=round(SAMPLERATE / rate), timeout=30) as results:
        _catch_up(results)
        state: dict[str, Any] = {}
        tallies = _while(pages, lambda: state.update(_run(results, seconds)))
    return tallies, state


def _while(pages: dict[str, StatusPage], run: Callable[[], object]) -> dict[str, Tally]:
    before = {name: Tally.read(page) for name, page in pages.items()}
    run()
    return {name: Tally.read(page).since(before[name]) for name, page in pages.items()}


def _run(results: BlockMap[Any], seconds: float) -> dict[str, Any]:
    began, skipped, busy, lag, count = time.monotonic(), results.total_skipped, 0.0, 0.0, 0
    while time.monotonic() - began < seconds:
        busy += next(results).seconds
        lag = max(lag, results.lag_seconds)
        count += 1
    took = time.monotonic() - began
    return {
        "spectra": count,
        "workers_percent": round(100 * busy / took / CORES, 1),
        "lag_max_s": round(lag, 2),
        "skipped_s": round((results.total_skipped - skipped) / SAMPLERATE, 2),
    }


def _catch_up(results: BlockMap[Any]) -> None:
    """The workers have started, and what came meanwhile is done, if it can be."""
    end = time.monotonic() + WARM_UP_SECONDS
    while next(results) and results.lag_seconds > KEPT_UP_SECONDS and time.monotonic() < end:
        pass


def _worst(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """Of two stretches: the sums of what adds up, the larger of the rest."""
    if not one:
        return other
    return {key: one[key] + other[key] if key in ("spectra", "skipped_s") else max(one[key], other[key]) for key in other}


if __name__ == "__main__":
    main()
