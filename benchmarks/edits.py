"""How fast the patch of a running engine can be changed, and what that costs the audio.

- ``one at a time``: from the request to its acknowledgement, which names the frame from which the edit holds, for a
  parameter and for the patch's structure (a node comes, is connected, and goes).
- ``from 4 processes``: each sends its share of 2 000 edits a second; deadline misses against idle stretches of the same
  stream, in turn.

The engine runs a 64-channel chain with a tap at 48 kHz and 256 frames.

    python -m benchmarks.edits [--edits 2000] [--seconds 5] [--rounds 3] [--rate 2000]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from asmu_control.client import Client
from asmu_engine.shm.status import StatusPage
from benchmarks._engine import FRAMES, SAMPLERATE, Tally, running_chain
from benchmarks._report import percentile, report

CLIENTS = 4
BLOCK_MS = 1e3 * FRAMES / SAMPLERATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=2000, help="edits one at a time (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one stretch (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="idle and edited stretches (default %(default)s)")
    parser.add_argument("--rate", type=float, default=2000.0, help="edits a second of all clients (default %(default)s)")
    parser.add_argument("--client", metavar="ENGINE", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        run_client(arguments.client, arguments.number, arguments.rate, arguments.seconds)
        return
    rows: list[dict[str, Any]] = []
    with running_chain() as interface:
        page = StatusPage.attach(interface.client.engine)
        rows.append(latency("one at a time: parameter", page, interface.client, parameter_edits(), arguments.edits))
        rows.append(latency("one at a time: structure", page, interface.client, structure_edits(), arguments.edits // 4))
        idle, edited, clients = Tally.nothing(), Tally.nothing(), []
        for _ in range(arguments.rounds):
            idle = idle.plus(stretch(page, lambda: time.sleep(arguments.seconds)))
            processes = start_clients(interface.client.engine, arguments.rate, arguments.seconds)
            edited = edited.plus(stretch(page, lambda: clients.extend(finish(processes))))  # noqa: B023 - called right here
        page.close()
    rows.append({"what": "no edits", **share(idle, idle)})
    taken = [client["milliseconds"] for client in clients]
    rate = sum(client["edits"] / client["seconds"] for client in clients) / arguments.rounds
    together = times([value for values in taken for value in values])
    rows.append({"what": f"from {CLIENTS} processes", **together, "edits_per_s": round(rate), **share(edited, idle)})
    goals = {
        "one at a time": f"p50 at most 2 ms, p99 at most a block + 3 ms = {BLOCK_MS + 3:.1f} ms",
        f"from {CLIENTS} processes": f"{arguments.rate:.0f} edits/s with missed_percent not above no edits by more than 0.1",
    }
    columns = ["what", "edits", "p50_ms", "p99_ms", "max_ms", "edits_per_s", "blocks", "misses", "missed_percent"]
    report("edits", rows, [*columns, "above_idle_points", "late_p99_us"], goals)


def parameter_edits() -> Iterator[list[dict[str, Any]]]:
    """One gain after another."""
    random.seed(1)
    while True:
        yield [{"op": "set", "node": f"gain{random.randrange(4)}", "parameters": {"gain": random.uniform(0.1, 1.0)}}]


def structure_edits() -> Iterator[list[dict[str, Any]]]:
    """A node comes with a connection, and goes."""
    while True:
        yield [
            {"op": "add", "node": "extra", "kind": "gain", "inputs": 1, "outputs": 1, "parameters": {"gain": 0.5}},
            {"op": "connect", "source": "gain3", "output": 0, "target": "extra", "input": 0},
        ]
        yield [{"op": "remove", "node": "extra"}]


def latency(what: str, page: StatusPage, client: Client, edits: Iterator[list[dict[str, Any]]], count: int) -> dict[str, Any]:
    """Edits at moments that have nothing to do with the blocks'."""
    pauses = random.Random(2)
    taken: list[float] = []

    def run() -> None:
        for _ in range(count):
            edit = next(edits)
            began = time.perf_counter()
            client.edit(edit)
            taken.append(1e3 * (time.perf_counter() - began))
            time.sleep(pauses.uniform(0, 2e-3 * BLOCK_MS))

    tally = stretch(page, run)
    return {"what": what, **times(taken), **tally.row()}


def stretch(page: StatusPage, run: Callable[[], Any]) -> Tally:
    """What the audio did while `run` ran."""
    before = Tally.read(page)
    run()
    return Tally.read(page).since(before)


def times(taken: list[float]) -> dict[str, Any]:
    return {
        "edits": len(taken),
        "p50_ms": round(percentile(taken, 50), 3),
        "p99_ms": round(percentile(taken, 99), 3),
        "max_ms": round(max(taken), 3),
    }


def share(tally: Tally, idle: Tally) -> dict[str, Any]:
    return {**tally.row(), "above_idle_points": round(tally.missed_percent - idle.missed_percent, 4)}


def start_clients(engine: str, rate: float, seconds: float) -> list[subprocess.Popen[bytes]]:
    """Clients that are connected and wait for a word."""
    command = [sys.executable, "-m", "benchmarks.edits", "--client", engine, "--seconds", str(seconds)]
    processes = [
        subprocess.Popen(
            [*command, "--rate", str(rate / CLIENTS), "--number", str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in range(CLIENTS)
    ]
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SystemExit("a client could not connect")
    return processes


def finish(processes: list[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    """Have them run at once; what each says."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    return [json.loads(process.communicate()[0]) for process in processes]


def run_client(engine: str, number: int, rate: float, seconds: float) -> None:
    """Edits at their times, without a pause where late; each waits for its acknowledgement."""
    edits = parameter_edits()
    taken: list[float] = []
    with Client.connect(engine, name=f"edits{number}") as client:
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds:
            due = len(taken) / rate
            if due > now:
                time.sleep(due - now)
            sent = time.perf_counter()
            client.edit(next(edits))
            taken.append(1e3 * (time.perf_counter() - sent))
        took = time.perf_counter() - began
    print(json.dumps({"edits": len(taken), "seconds": took, "milliseconds": [round(value, 4) for value in taken]}))


if __name__ == "__main__":
    main()
