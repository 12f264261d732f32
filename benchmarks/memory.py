"""Whether the processes of an engine grow while they run: resident size over minutes of audio, edits and a recording.

A 64-channel chain with a tap at 48 kHz and 256 frames; one channel of it is recorded to a file. A client sets gains all
the time, and now and then has a node come, be connected, grow, shrink and go. Sizes are read every second from the system
(Linux): all of the resident size, and the part of it that is the process's own memory and not a shared segment or a file.

`new_highs` counts the seconds in which a process became larger than it had ever been: a leak makes many, a larger buffer
that was needed once makes one. `second_half_kb_per_min` is the slope of the size over the second half.

The first figure is taken after the rings have been walked through once, as a page of a segment counts for a process from
when that has touched it, and after more transactions than the host remembers: it keeps the newest, and grows until it has them.

    python -m benchmarks.memory [--minutes 10]      60: the hour that an engine must stay flat for
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from asmu_control.client import Client
from asmu_engine.shm.status import StatusPage
from benchmarks._engine import Tally, running_chain
from benchmarks._memory import BOOKS, Size
from benchmarks._report import report

WARM_UP_SECONDS = 20.0
SETS_PER_SECOND = 100
STRUCTURES_PER_SECOND = 5
MOST_SAMPLES = 400
"""Of the sizes so many are written down, evenly over the time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    run(parser.parse_args().minutes)


def run(minutes: float) -> None:
    """Measure, print and store."""
    rows = measure(minutes)
    columns = ["process", "start_mb", "end_mb", "highest_mb", "growth_kb", "rings_mb", "own_start_mb", "own_growth_kb"]
    goals = {"growth_kb": "flat: single steps at most, no slope"}
    report("memory", rows, [*columns, "new_highs", "second_half_kb_per_min", "minutes", "transactions"], goals)


def measure(minutes: float) -> list[dict[str, Any]]:
    """A row for each process."""
    with tempfile.TemporaryDirectory() as folder, running_chain() as interface:
        client = interface.client
        client.edit(
            [
                {"op": "add", "node": "short", "kind": "tap", "inputs": 1},
                {"op": "connect", "source": "gain3", "output": 0, "target": "short", "input": 0},
            ]
        )
        client.request({"type": "record", "node": "short", "path": str(Path(folder) / "memory.wav")})
        pids = {name: process["pid"] for name, process in client.request({"type": "status"})["processes"].items() if process}
        page = StatusPage.attach(client.engine)
        fill_books(client)
        busy(client, WARM_UP_SECONDS, pids, [])
        before = Tally.read(page)
        samples: list[tuple[float, dict[str, Size]]] = []
        edits = busy(client, 60 * minutes, pids, samples)
        ran = Tally.read(page).since(before)
        page.close()
    rows = [row(name, [(moment, sizes[name]) for moment, sizes in samples]) for name in pids]
    for entry in rows:
        entry.update(minutes=minutes, transactions=edits, blocks=ran.blocks, missed_percent=round(ran.missed_percent, 4))
    return rows


def fill_books(client: Client) -> None:
    """As many transactions as the host remembers, as fast as they go."""
    for number in range(BOOKS):
        set_gain(client, number)


def set_gain(client: Client, number: int) -> None:
    """A transaction of one edit."""
    client.edit([{"op": "set", "node": f"gain{number % 4}", "parameters": {"gain": 0.5 + 0.001 * (number % 500)}}])


def busy(client: Client, seconds: float, pids: dict[str, int], samples: list[tuple[float, dict[str, Size]]]) -> int:
    """Edits at a steady rate; how many transactions it was. Sizes of the processes are added to `samples` every second."""
    began = time.perf_counter()
    sent = structures = 0
    while (now := time.perf_counter() - began) < seconds:
        if now >= len(samples):
            samples.append((now, {name: Size.of(pid) for name, pid in pids.items()}))
        set_gain(client, sent)
        sent += 1
        if sent * STRUCTURES_PER_SECOND >= (structures + 1) * SETS_PER_SECOND:
            structures += 1
            change_structure(client)
        time.sleep(max(0.0, sent / SETS_PER_SECOND - (time.perf_counter() - began)))
    samples.append((seconds, {name: Size.of(pid) for name, pid in pids.items()}))
    return sent + 4 * structures


def change_structure(client: Client) -> None:
    """A node comes and goes, and has two sizes meanwhile."""
    client.edit(
        [
            {"op": "add", "node": "extra", "kind": "gain", "inputs": 2, "outputs": 2, "parameters": {"gain": [0.5, 0.25]}},
            {"op": "connect", "source": "gain3", "output": 0, "target": "extra", "input": 0},
        ]
    )
    client.edit([{"op": "resize", "node": "extra", "inputs": 8, "outputs": 8}])
    client.edit([{"op": "resize", "node": "extra", "inputs": 1, "outputs": 1}])
    client.edit([{"op": "remove", "node": "extra"}])


def row(name: str, samples: list[tuple[float, Size]]) -> dict[str, Any]:
    sizes = [size.resident for _, size in samples]
    own = [size.own for _, size in samples]
    highs = list(accumulate(sizes, max))
    later = [(moment, size.resident) for moment, size in samples[len(samples) // 2 :]]
    every = -(-len(sizes) // MOST_SAMPLES)
    return {
        "process": name,
        "start_mb": round(sizes[0] / 1024, 2),
        "end_mb": round(sizes[-1] / 1024, 2),
        "highest_mb": round(max(sizes) / 1024, 2),
        "growth_kb": round(sizes[-1] - sizes[0]),
        "rings_mb": round(samples[-1][1].rings / 1024, 2),
        "own_start_mb": round(own[0] / 1024, 2),
        "own_growth_kb": round(own[-1] - own[0]),
        "new_highs": sum(after > before for before, after in pairwise(highs)),
        "second_half_kb_per_min": round(60 * slope(later), 2) + 0.0,
        "seconds_between": every,
        "sizes_kb": sizes[::every],
    }


def slope(points: list[tuple[float, float]]) -> float:
    """Least-squares slope; 0 for fewer than two points."""
    count = len(points)
    middle = sum(x for x, _ in points) / count
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * y for x, y in points) / spread if spread else 0.0


if __name__ == "__main__":
    main()
