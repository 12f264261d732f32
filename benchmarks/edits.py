"""How fast the patch of a running engine can be changed, and what that costs the audio.

- ``one at a time``: from the request to its acknowledgement, which names the frame from which the edit holds, for a
  parameter and for the patch's structure (a node comes, is connected, and goes).
- ``from 4 processes``: each sends its share of 2 000 edits a second; deadline misses against idle stretches of the same
  stream, in turn.

The engine runs a 64-channel chain with a tap at 48 kHz and 256 frames. Then one that runs a thousand nodes, 200 voices of a Sine
and four Gains, all separate processors, and their mix (`benchmarks._voices`):

- ``built``: what a script that builds 321, 1 001 and 4 096 nodes takes for that, and for building them into an engine that runs,
  as one transaction.
- ``1001 nodes, one at a time``: as above; what an edit costs host and audio process (``control_ms``: its control thread) in
  processor time, those of a burst that waits only for answers; and the callback time of the block that it took effect with,
  against that of other blocks (``block_p50_us`` of the row without edits).
- ``1001 nodes, 1000/s``: from 4 processes, only values, and every tenth a node that comes into the middle of a voice or goes.
- ``taken in``: the part of the callback that an edit is, by itself.

    python -m benchmarks.edits [--edits 2000] [--seconds 5] [--rounds 3] [--rate 2000] [--voices 200] [--only chain|nodes]
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
from benchmarks._voices import GAINS, Edits, built, mixed_edits, node_edits, one_at_a_time, running_voices, taken_in, value_edits

CLIENTS = 4
MANY_RATE = 1000.0
Ways = dict[str, tuple[float, list[str]]]
"""By what it is called: edits a second of all clients, and their options."""
BLOCK_MS = 1e3 * FRAMES / SAMPLERATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=2000, help="edits one at a time (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one stretch (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="idle and edited stretches (default %(default)s)")
    parser.add_argument("--rate", type=float, default=2000.0, help="edits a second of all clients (default %(default)s)")
    parser.add_argument("--voices", type=int, default=200, help="of the larger patch, 5 nodes each (default %(default)s)")
    parser.add_argument("--only", choices=("chain", "nodes"), help="one of the two patches")
    parser.add_argument("--client", metavar="ENGINE", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--every", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        number, voices, every = arguments.number, arguments.voices, arguments.every
        edits = parameter_edits() if every is None else mixed_edits(voices, number, CLIENTS, every)
        run_client(arguments.client, number, arguments.rate, arguments.seconds, edits, 2 * (every or 0) or 1)
        return
    rows: list[dict[str, Any]] = []
    if arguments.only != "nodes":
        rows += of_the_chain(arguments)
    if arguments.only != "chain":
        rows += of_many_nodes(arguments)
    nodes = f"{nodes_of(arguments.voices)} nodes"
    goals = {
        "one at a time": f"p50 at most 2 ms, p99 at most a block + 3 ms = {BLOCK_MS + 3:.1f} ms",
        f"from {CLIENTS} processes": f"{arguments.rate:.0f} edits/s with missed_percent not above no edits by more than 0.1",
        f"{nodes}, one at a time": "control_ms at most 5; a parameter p50 under 1 ms, structure at most 5 ms",
        f"{nodes}, {MANY_RATE:.0f}/s": "missed_percent not above no edits by more than 0.1",
        "taken in": "at most 20 µs",
    }
    columns = ["what", "edits", "p50_ms", "p99_ms", "max_ms", "host_ms", "control_ms", "block_p50_us", "block_p99_us"]
    columns += [
        "edits_per_s",
        "blocks",
        "misses",
        "missed_percent",
        "above_idle_points",
        "late_p99_us",
        "script_ms",
        "running_ms",
    ]
    report("edits", rows, columns, goals)


def of_the_chain(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the 64-channel chain."""
    rows: list[dict[str, Any]] = []
    with running_chain() as interface:
        page = StatusPage.attach(interface.client.engine)
        rows.append(latency("one at a time: parameter", page, interface.client, parameter_edits(), arguments.edits))
        rows.append(latency("one at a time: structure", page, interface.client, structure_edits(), arguments.edits // 4))
        ways: Ways = {f"from {CLIENTS} processes": (arguments.rate, [])}
        rows += at_a_rate(page, ways, "no edits", interface.client.engine, arguments)
        page.close()
    return rows


def of_many_nodes(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the patch of many nodes."""
    voices, count = arguments.voices, arguments.edits // 4
    rows = [built(nodes_of(each), each) for each in sorted({64, voices, 819})]
    name = f"{nodes_of(voices)} nodes"
    with running_voices(voices) as interface:
        client = interface.client
        page = StatusPage.attach(client.engine)
        rows.append(one_at_a_time(f"{name}, one at a time: parameter", client, page, value_edits(voices), count))
        rows.append(one_at_a_time(f"{name}, one at a time: structure", client, page, node_edits(voices), count))
        ways: Ways = {
            f"{name}, {MANY_RATE:.0f}/s: values": (MANY_RATE, ["--every", "0", "--voices", str(voices)]),
            f"{name}, {MANY_RATE:.0f}/s: a tenth structure": (MANY_RATE, ["--every", "10", "--voices", str(voices)]),
        }
        rows += at_a_rate(page, ways, f"{name}, no edits", client.engine, arguments)
        page.close()
    return rows + taken_in(voices, count)


def nodes_of(voices: int) -> int:
    """Nodes of so many voices and their mix."""
    return voices * (1 + GAINS) + 1


def at_a_rate(page: StatusPage, ways: Ways, idle_name: str, engine: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Stretches without edits and with each way of editing, in turn."""
    idle = Tally.nothing()
    edited = dict.fromkeys(ways, Tally.nothing())
    clients: dict[str, list[dict[str, Any]]] = {what: [] for what in ways}
    for _ in range(arguments.rounds):
        idle = idle.plus(stretch(page, lambda: time.sleep(arguments.seconds)))
        for what, (rate, options) in ways.items():
            processes = start_clients(engine, rate, arguments.seconds, options)
            during = stretch(page, lambda: clients[what].extend(finish(processes)))  # noqa: B023 - called right here
            edited[what] = edited[what].plus(during)
    rows = [{"what": idle_name, **share(idle, idle)}]
    for what, all_of_them in clients.items():
        together = times([value for client in all_of_them for value in client["milliseconds"]])
        reached = sum(client["edits"] / client["seconds"] for client in all_of_them) / arguments.rounds
        rows.append({"what": what, **together, "edits_per_s": round(reached), **share(edited[what], idle)})
    return rows


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
    row = tally.row()
    blocks = {"block_p50_us": row["callback_p50_us"], "block_p99_us": row["callback_p99_us"]}
    return {**row, **blocks, "above_idle_points": round(tally.missed_percent - idle.missed_percent, 4)}


def start_clients(engine: str, rate: float, seconds: float, options: list[str]) -> list[subprocess.Popen[bytes]]:
    """Clients that are connected and wait for a word."""
    command = [sys.executable, "-m", "benchmarks.edits", "--client", engine, "--seconds", str(seconds), *options]
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


def run_client(engine: str, number: int, rate: float, seconds: float, edits: Edits, whole: int) -> None:
    """Edits at their times, without a pause where late; each waits for its acknowledgement. Always whole rounds of so many."""
    taken: list[float] = []
    with Client.connect(engine, name=f"edits{number}") as client:
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds or len(taken) % whole:
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
