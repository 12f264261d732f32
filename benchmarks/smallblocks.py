"""How small blocks can be: 32 frames at 96 kHz on the virtual device, and what a callback costs on a real PortAudio stream.

- ``chain``: the 64-channel chain with its tap, a block each 0.33 ms. Beside it in the same run a ``witness``: a process that
  sleeps from block to block under SCHED_FIFO and does nothing else. What it misses, the machine itself held up, so the engine
  is to miss no more. A pause of the machine costs each of them about one miss a block, and the engine those besides in which it
  catches up. Each second is looked at by itself: ``seconds_alone`` counts those in which one of them missed, the other nothing.
- ``empty patch``: PortAudio on a JACK server with the dummy driver. ``engine``: what the engine counts itself, in its own
  process, from the begin of its part of the callback. ``whole callback``: from where sounddevice calls Python to where it
  returns, and ``sounddevice``: the same with a callback that does nothing. Skipped, and said so, where JACK is not installed.

A block misses its deadline when it is not done by the time the next one is due.

    python -m benchmarks.smallblocks [--minutes 10] [--callback-seconds 30]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asmu_engine.shm.status import StatusPage, bin_centre
from asmu_engine.shm.status import percentile as time_percentile
from benchmarks._engine import Tally, running_chain, witness
from benchmarks._jack import DEVICE, jack_server, missing
from benchmarks._report import percentile, report

FRAMES, SAMPLERATE = 32, 96000
WARM_UP_SECONDS = 2.0
STREAMS = ((64, 48000), (256, 48000), (1024, 48000))
EDGES_US = (10, 20, 50, 100, 200, 333, 500, 1000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the run of the chain (default %(default)s)")
    parser.add_argument(
        "--callback-seconds", type=float, default=30.0, help="length of each stream on PortAudio, 0: none (default %(default)s)"
    )
    arguments = parser.parse_args()
    rows = chain_rows(60 * arguments.minutes) if arguments.minutes else []
    print_histograms(rows)
    if arguments.callback_seconds:
        if lacking := missing():
            print(f"empty patch on PortAudio: skipped, not installed: {lacking}")
            rows.append({"job": "empty patch", "way": f"skipped: {lacking} not installed"})
        else:
            rows += [row for stream in STREAMS for row in callback_rows(*stream, arguments.callback_seconds)]
    goals = {
        "chain, engine": "no more misses than the witness",
        "empty patch, engine": "callback_p99_us at most 15",
    }
    columns = ["job", "way", "frames", "samplerate", "blocks", "misses", "missed_percent", "lost_frames", "seconds_alone"]
    columns += ["late_p50_us", "late_p99_us", "late_p999_us", "callback_p50_us", "callback_p99_us", "callback_p999_us"]
    report("smallblocks", rows, columns, goals)


def chain_rows(seconds: float) -> list[dict[str, Any]]:
    """The engine and its witness, side by side."""
    with running_chain(SAMPLERATE, FRAMES) as interface, witness(SAMPLERATE, FRAMES) as other:
        page = StatusPage.attach(interface.client.engine)
        pages = {"engine": page, "witness": other}
        time.sleep(WARM_UP_SECONDS)
        begin = last = read(pages)
        alone = dict.fromkeys(pages, 0)
        stolen = steal()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(1.0)
            now = read(pages)
            missed = {name: bool(now[name].since(last[name]).missed_percent) for name in pages}
            if sum(missed.values()) == 1:
                alone[max(missed, key=lambda name: missed[name])] += 1
            last = now
        granted = interface.stats()["realtime"]["audio_thread"]
        stolen = steal() - stolen
        page.close()
    rows = []
    for name in pages:
        tally = last[name].since(begin[name])
        row = {"job": "chain", "way": name, "frames": FRAMES, "samplerate": SAMPLERATE, **tally.row(), "scheduling": granted}
        row.update(seconds_alone=alone[name], stolen_seconds=round(stolen, 2), late_histogram_percent=shares(tally.late))
        row["callback_p999_us"] = round(time_percentile(tally.took, 0.999), 1)
        rows.append(row)
    return rows


def read(pages: dict[str, StatusPage]) -> dict[str, Tally]:
    return {name: Tally.read(page) for name, page in pages.items()}


def steal() -> float:
    """Seconds of processor time that the machine's own host has taken so far; 0 where the system does not tell."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as lines:
            return int(next(lines).split()[8]) / 100
    except (OSError, IndexError, ValueError):
        return 0.0


def shares(histogram: list[int]) -> dict[str, float]:
    """Percent of the blocks up to each edge, and beyond the last; an edge inside a bin (12 % wide) counts its middle."""
    total = max(1, sum(histogram))
    result: dict[str, float] = {}
    below = -1.0
    for edge in EDGES_US:
        count = sum(n for index, n in enumerate(histogram) if below < bin_centre(index) / 1e3 <= edge)
        result[f"to {edge} us"] = round(100 * count / total, 4)
        below = float(edge)
    beyond = sum(n for index, n in enumerate(histogram) if bin_centre(index) / 1e3 > below)
    return {**result, "more": round(100 * beyond / total, 4)}


def print_histograms(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if "late_histogram_percent" in row:
            cells = ", ".join(f"{edge} {share:g} %" for edge, share in row["late_histogram_percent"].items() if share)
            print(f"{row['way']}: lateness {cells}")


def callback_rows(frames: int, samplerate: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The empty patch on a server of its own: counted by the engine, and the whole callback with and without an engine."""
    with jack_server(samplerate, frames):
        common = {"job": "empty patch", "frames": frames, "samplerate": samplerate}
        yield {**common, "way": "engine", **stream_row(frames, samplerate, seconds)}
        for way, name in (("engine", "whole callback"), ("nothing", "sounddevice")):
            words = [sys.executable, "-m", "benchmarks._callback", way, str(frames), str(samplerate), str(seconds)]
            output = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=seconds + 60).stdout
            taken = json.loads(output.splitlines()[-1])["microseconds"]
            figures = {f"callback_p{str(p).replace('.', '')}_us": round(percentile(taken, p), 1) for p in (50, 99, 99.9)}
            yield {**common, "way": name, "blocks": len(taken), **figures}


def stream_row(frames: int, samplerate: int, seconds: float) -> dict[str, Any]:
    import asmu_control as asmu

    interface = asmu.Interface(device=DEVICE, samplerate=samplerate, blocksize=frames, inputs=(1, 2), outputs=(1, 2))
    with interface:
        interface.open()
        interface.start(drop=0)
        page = StatusPage.attach(interface.client.engine)
        time.sleep(WARM_UP_SECONDS)
        before = Tally.read(page)
        time.sleep(seconds)
        tally = Tally.read(page).since(before)
        page.close()
    return {**tally.row(), "callback_p999_us": round(time_percentile(tally.took, 0.999), 1)}


if __name__ == "__main__":
    main()
