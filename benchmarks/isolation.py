"""Whether the audio feels what the client does: deadline misses and lateness, the client idle and as busy as can be.

A 64-channel chain with a tap at 48 kHz and 256 frames runs in four ways, each with the client idle and hot in turn, in
one run. Hot: a thread that runs pure Python in the client's own process, and one more process of that sort a core.

- ``engine``: the real thing, a private engine on the virtual device, started by this process through `Interface`.
- ``in process``: the same device, builder, runner and cores as a thread of this process, as a library without a process
  of its own would have it.
- ``in process, SCHED_FIFO``: the same, with the thread's priority raised as the engine's is.

Beside each runs a ``witness``: a process that sleeps from block to block under SCHED_FIFO and does nothing else. What it
misses, the machine itself held up.

A block misses its deadline when it is not done by the time the next one is due; blocks that the device had to drop are
misses too.

    python -m benchmarks.isolation [--seconds 10] [--rounds 6]
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asmu_engine.audio.engine import AudioEngine
from asmu_engine.rt.scheduling import make_thread_realtime
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.status import StatusPage, create_status
from benchmarks._engine import CHANNELS, DEVICE, FRAMES, SAMPLERATE, Tally, chain, hot_processes, running_chain, witness
from benchmarks._report import report

WARM_UP_SECONDS = 1.0
COMPARED_ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one stretch (default %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=6, help="stretches of each sort, 2 at most in process (default %(default)s)"
    )
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with running_chain() as interface:
        granted = interface.stats()["realtime"]["audio_thread"]
        page = StatusPage.attach(interface.client.engine)
        rows += compare("engine", page, arguments.seconds, arguments.rounds)
        page.close()
    for way, setup in (("in process", None), ("in process, SCHED_FIFO", lambda: make_thread_realtime(70))):
        with in_process(setup) as page:
            rows += compare(way, page, arguments.seconds, min(arguments.rounds, COMPARED_ROUNDS))
    for row in rows:
        row["scheduling"] = granted if row["way"] == "engine" else "normal" if row["way"] == "in process" else "SCHED_FIFO 70"
    goals = {"engine, hot": "missed_percent not above idle by more than 0.1", "in process, hot": "for comparison only"}
    columns = ["way", "client", "blocks", "misses", "missed_percent", "above_idle_points", "lost_frames"]
    report("isolation", rows, [*columns, "late_p50_us", "late_p99_us", "late_p999_us", "late_max_us", "callback_p50_us"], goals)


def compare(way: str, page: StatusPage, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Idle and hot stretches in turn; one row each, and two of the witness."""
    with witness() as other:
        pages = {way: page, f"witness beside {way}": other}
        time.sleep(WARM_UP_SECONDS)
        idle = {name: Tally.nothing() for name in pages}
        hot = dict(idle)
        for _ in range(rounds):
            add(idle, stretch(pages, seconds))
            with hot_client(seconds):
                add(hot, stretch(pages, seconds))
            time.sleep(0.2)  # what the hot stretch held up is no part of the next idle one
    return [
        {
            "way": name,
            "client": client,
            **tally[name].row(),
            "above_idle_points": round(tally[name].missed_percent - idle[name].missed_percent, 4),
        }
        for name in pages
        for client, tally in (("idle", idle), ("hot", hot))
    ]


def add(sums: dict[str, Tally], more: dict[str, Tally]) -> None:
    for name, tally in more.items():
        sums[name] = sums[name].plus(tally)


def stretch(pages: dict[str, StatusPage], seconds: float) -> dict[str, Tally]:
    """What happens in the next `seconds`."""
    before = {name: Tally.read(page) for name, page in pages.items()}
    time.sleep(seconds)
    return {name: Tally.read(page).since(before[name]) for name, page in pages.items()}


@contextmanager
def hot_client(seconds: float) -> Iterator[None]:
    """A busy thread here, and a busy process a core."""
    over = threading.Event()

    def spin() -> None:
        count = 0
        while not over.is_set():
            for number in range(10_000):
                count += number

    thread = threading.Thread(target=spin, daemon=True)
    with hot_processes(os.cpu_count() or 1, 2 * seconds + 10):
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def in_process(setup: Callable[[], Any] | None) -> Iterator[StatusPage]:
    """The engine of the audio process as a thread of this one."""
    name = f"benchmark{os.getpid()}"
    ring = create_ring(segment_name(name, "tap"), RingKind.TAP, CHANNELS, SAMPLERATE, 10 * SAMPLERATE)
    status = create_status(name)
    page = StatusPage.attach(name)
    try:
        engine = AudioEngine(DEVICE, SAMPLERATE, FRAMES, status=page, thread_setup=setup)
        try:
            engine.edit(chain(ring=ring.name))
            engine.start()
            yield page
        finally:
            engine.close()
    finally:
        page.close()
        for segment in (ring, status):
            segment.unlink()
            segment.close()


if __name__ == "__main__":
    main()
