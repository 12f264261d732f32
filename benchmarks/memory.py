"""Whether the processes of an engine grow while they run: resident size over minutes of audio, edits and a recording.

A 64-channel chain with a tap at 48 kHz and 256 frames; one channel of it is recorded to a file. A client sets gains all
the time, and now and then has a node come, be connected, grow, shrink and go. Sizes are read every second from the system
(Linux): all of the resident size, and the part of it that is the process's own memory and not a shared segment or a file.

`new_highs` counts the seconds in which a process became larger than it had ever been: a leak makes many, a larger buffer
that was needed once makes one.

The first figure is taken after the rings have been walked through once, as a page of a segment counts for a process from
when that has touched it.

    python -m benchmarks.memory [--minutes 10]
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
from benchmarks._report import report

WARM_UP_SECONDS = 20.0
SETS_PER_SECOND = 100
STRUCTURES_PER_SECOND = 5
Size = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    minutes = parser.parse_args().minutes
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
        busy(client, WARM_UP_SECONDS, pids, [])
        before = Tally.read(page)
        samples: list[tuple[float, dict[str, Size]]] = []
        edits = busy(client, 60 * minutes, pids, samples)
        ran = Tally.read(page).since(before)
        page.close()
    rows = [row(name, [(moment, sizes[name]) for moment, sizes in samples]) for name in pids]
    for entry in rows:
        entry.update(minutes=minutes, transactions=edits, blocks=ran.blocks, missed_percent=round(ran.missed_percent, 4))
    columns = ["process", "start_mb", "end_mb", "highest_mb", "growth_kb", "own_start_mb", "own_growth_kb"]
    goals = {"growth_kb": "flat: single steps at most, no slope"}
    report("memory", rows, [*columns, "new_highs", "second_half_kb_per_min", "minutes", "transactions"], goals)


def busy(client: Client, seconds: float, pids: dict[str, int], samples: list[tuple[float, dict[str, Size]]]) -> int:
    """Edits at a steady rate; how many transactions it was. Sizes of the processes are added to `samples` every second."""
    began = time.perf_counter()
    sent = structures = 0
    while (now := time.perf_counter() - began) < seconds:
        if now >= len(samples):
            samples.append((now, {name: resident(pid) for name, pid in pids.items()}))
        client.edit([{"op": "set", "node": f"gain{sent % 4}", "parameters": {"gain": 0.5 + 0.001 * (sent % 500)}}])
        sent += 1
        if sent * STRUCTURES_PER_SECOND >= (structures + 1) * SETS_PER_SECOND:
            structures += 1
            change_structure(client)
        time.sleep(max(0.0, sent / SETS_PER_SECOND - (time.perf_counter() - began)))
    samples.append((seconds, {name: resident(pid) for name, pid in pids.items()}))
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


def resident(pid: int) -> Size:
    """Resident size, and the process's own share of it, in kilobytes of 1024 bytes."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "RssAnon"):
            fields[key] = float(value.split()[0])
    return fields["VmRSS"], fields["RssAnon"]


def row(name: str, samples: list[tuple[float, Size]]) -> dict[str, Any]:
    sizes = [size for _, (size, _) in samples]
    own = [size for _, (_, size) in samples]
    highs = list(accumulate(sizes, max))
    later = [(moment, size) for moment, (size, _) in samples[len(samples) // 2 :]]
    return {
        "process": name,
        "start_mb": round(sizes[0] / 1024, 2),
        "end_mb": round(sizes[-1] / 1024, 2),
        "highest_mb": round(max(sizes) / 1024, 2),
        "growth_kb": round(sizes[-1] - sizes[0]),
        "own_start_mb": round(own[0] / 1024, 2),
        "own_growth_kb": round(own[-1] - own[0]),
        "new_highs": sum(after > before for before, after in pairwise(highs)),
        "second_half_kb_per_min": round(60 * slope(later), 2) + 0.0,
        "every_10th_kb": sizes[::10],
    }


def slope(points: list[tuple[float, float]]) -> float:
    """Least-squares slope; 0 for fewer than two points."""
    count = len(points)
    middle = sum(x for x, _ in points) / count
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * y for x, y in points) / spread if spread else 0.0


if __name__ == "__main__":
    main()
