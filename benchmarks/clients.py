"""Many clients on one engine: how fast it answers those that work, what those that watch get, and what the audio feels of it.

64 clients are connected and get all events, in processes of 16. Stretches of the same stream, in turn:

- ``idle``: they are there, and nothing happens;
- ``8 clients work``: 8 processes send 1 000 transactions a second of 10 single-parameter edits each, so 10 000 edits a
  second, each transaction when the answer to the one before it has come;
- ``one watcher is stopped``: the same, while a further process that gets all events is held up by SIGSTOP: it must cost the
  others nothing, and learn afterwards what it lost;
- ``as fast as it goes``: the 8 without a pause, once, to see what is left.

The engine runs a 64-channel chain with a tap at 48 kHz and 256 frames. `host_cpu` and `audio_cpu` are shares of one processor.

    python -m benchmarks.clients [--seconds 5] [--rounds 4] [--rate 1000] [--edits 10] [--watchers 64]
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asmu_engine.shm.status import StatusPage
from benchmarks._engine import FRAMES, SAMPLERATE, Tally, running_chain
from benchmarks._load import Hand
from benchmarks._report import percentile, report

WORKERS = 8
WATCHERS_A_PROCESS = 16
GOAL_MS = 10.0
IDLE, LOADED, STOPPED, FASTEST = "idle", f"{WORKERS} clients work", "one watcher is stopped", "as fast as it goes"


class Stretches:
    """All stretches of one kind, added up."""

    def __init__(self) -> None:
        self.tally = Tally.nothing()
        self.seconds = 0.0
        self.milliseconds: list[float] = []
        self.edits = 0
        self.events = 0
        self.missing = 0
        self.processor = {"host": 0.0, "audio": 0.0}
        self.growth_kb = 0.0

    def row(self, what: str, idle: Stretches) -> dict[str, Any]:
        """Figures for the report."""
        row: dict[str, Any] = {"what": what, "transactions": len(self.milliseconds)}
        if self.milliseconds:
            row |= {f"p{percent}_ms": round(percentile(self.milliseconds, percent), 3) for percent in (50, 99)}
            row["max_ms"] = round(max(self.milliseconds), 3)
            row["transactions_per_s"] = round(len(self.milliseconds) / self.seconds)
            row["edits_per_s"] = round(self.edits / self.seconds)
        row |= {"events_read": self.events, "events_missing": self.missing}
        row |= {f"{name}_cpu": round(used / self.seconds, 3) for name, used in self.processor.items()}
        row["host_growth_kb"] = round(self.growth_kb)
        return row | self.tally.row() | {"above_idle_points": round(self.tally.missed_percent - idle.tally.missed_percent, 4)}


class Bench:
    """A running engine with its clients.

    Parameters
    ----------
    pids
        The engine's processes by name.
    """

    def __init__(self, page: StatusPage, pids: dict[str, int], workers: list[Hand], watchers: list[Hand]) -> None:
        self._page = page
        self._pids = pids
        self._workers = workers
        self._watchers = watchers

    def stretch(self, total: Stretches, seconds: float, rate: float = 0.0, edits: int = 0) -> None:
        """One stretch, added to `total`; without a rate nobody works."""
        for watcher in self._watchers:
            watcher.order("begin")
            watcher.answer()
        before, used, size = Tally.read(self._page), self._used(), self._resident()
        began = time.perf_counter()
        if rate:
            for worker in self._workers:
                worker.order(f"{seconds} {rate / len(self._workers)} {edits}")
            answers = [worker.answer() for worker in self._workers]
            for answer in answers:
                total.milliseconds += answer["milliseconds"]
                total.edits += edits * len(answer["milliseconds"])
        else:
            time.sleep(seconds)
        total.seconds += time.perf_counter() - began
        total.tally = total.tally.plus(Tally.read(self._page).since(before))
        for name, value in self._used().items():
            total.processor[name] += value - used[name]
        total.growth_kb += self._resident() - size
        for watcher in self._watchers:
            watcher.order("end")
        for client in (client for watcher in self._watchers for client in watcher.answer()["clients"]):
            total.events += client["events"]
            total.missing += client["missing"]

    def _used(self) -> dict[str, float]:
        """Seconds of processor time that each process has used."""
        ticks = os.sysconf("SC_CLK_TCK")
        fields = {
            name: Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            for name, pid in self._pids.items()
        }
        return {name: (int(values[11]) + int(values[12])) / ticks for name, values in fields.items()}

    def _resident(self) -> float:
        """Kilobytes that the host has in memory."""
        pages = int(Path(f"/proc/{self._pids['host']}/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one stretch (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="how often each stretch comes (default %(default)s)")
    parser.add_argument("--rate", type=float, default=1000.0, help="transactions a second of all clients (default %(default)s)")
    parser.add_argument("--edits", type=int, default=10, help="edits in one transaction (default %(default)s)")
    parser.add_argument("--watchers", type=int, default=64, help="clients that get all events (default %(default)s)")
    arguments = parser.parse_args()
    kinds = {what: Stretches() for what in (IDLE, LOADED, STOPPED, FASTEST)}
    with running_chain() as interface:
        engine = interface.client.engine
        processes = interface.client.request({"type": "status"})["processes"]
        page = StatusPage.attach(engine)
        with hands(engine, arguments.watchers) as (workers, watchers), hands(engine, 1, workers=0) as (_, slow):
            bench = Bench(page, {name: processes[name]["pid"] for name in ("host", "audio")}, workers, watchers)
            load = {"seconds": arguments.seconds, "rate": arguments.rate, "edits": arguments.edits}
            lost, told = 0, True
            for _ in range(arguments.rounds):
                bench.stretch(kinds[IDLE], arguments.seconds)
                bench.stretch(kinds[LOADED], **load)
                with stopped(slow[0]):
                    bench.stretch(kinds[STOPPED], **load)
                missing = heard_again(slow[0], workers[0])
                lost, told = lost + missing, told and missing > 0
            bench.stretch(kinds[FASTEST], arguments.seconds, float("inf"), arguments.edits)
        page.close()
    rows = [total.row(what, kinds[IDLE]) for what, total in kinds.items()]
    rows[2] |= {"stopped_lost": lost, "stopped_was_told": told}
    goals = {
        "p99_ms": f"below {GOAL_MS:g} while {WORKERS} clients work",
        "edits_per_s": f"{arguments.rate * arguments.edits:.0f}, in {arguments.rate:.0f} transactions",
        "missed_percent": "not above idle",
        STOPPED: "as without it; it is told what it lost",
    }
    columns = ["what", "transactions_per_s", "edits_per_s", "p50_ms", "p99_ms", "max_ms", "events_read", "events_missing"]
    columns += ["blocks", "misses", "missed_percent", "above_idle_points", "host_cpu", "audio_cpu", "host_growth_kb"]
    report("clients", rows, columns, goals)
    print(f"  a block is {1e3 * FRAMES / SAMPLERATE:.2f} ms; the stopped watcher lost {lost} events, was told: {told}")


@contextmanager
def hands(engine: str, watchers: int, workers: int = WORKERS) -> Iterator[tuple[list[Hand], list[Hand]]]:
    """Processes of clients, connected."""
    working: list[Hand] = []
    watching: list[Hand] = []
    try:
        for number in range(workers):
            working.append(Hand("worker", engine, f"worker{number}"))
        for begin in range(0, watchers, WATCHERS_A_PROCESS):
            watching.append(Hand("watcher", engine, str(min(WATCHERS_A_PROCESS, watchers - begin))))
        yield working, watching
    finally:
        for hand in working + watching:
            hand.close()


@contextmanager
def stopped(hand: Hand) -> Iterator[None]:
    """A watcher that reads nothing, and does not even answer for its connection."""
    hand.order("begin")
    hand.answer()
    os.kill(hand.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(hand.process.pid, signal.SIGCONT)


def heard_again(watcher: Hand, worker: Hand) -> int:
    """How many events a watcher that was stopped has missed, as it sees from the numbers of those that came after."""
    for _ in range(20):  # it may have to connect again before an event reaches it
        worker.order("0.2 100 1")
        worker.answer()
        watcher.order("end")
        (client,) = watcher.answer()["clients"]
        if client["missing"]:
            return int(client["missing"])
    return 0


if __name__ == "__main__":
    main()
