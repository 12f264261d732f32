"""How long a script waits: for the import, and from `interface.start()` to the first processed block.

Each round is a process of its own; the first is left out, as files are read from disk then. The first processed block is
seen in the engine's counters: `drop` blocks of silence come before it, as every `start` has them.

    python -m benchmarks.startup [--rounds 10]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks._report import report

_IMPORT = """
import time
began = time.perf_counter()
import {module}
print(time.perf_counter() - began)
"""

_START = """
import json, time
whole = time.perf_counter()
import asmu_control as asmu
from asmu_engine.shm.status import StatusPage
DROP = 3
interface = asmu.Interface(device="virtual", samplerate={samplerate}, blocksize={blocksize})
sine = asmu.generator.Sine(interface, 250)
sine.output().connect(interface.ioutput(ch=1))
began = time.perf_counter()
with interface.start(drop=DROP):
    returned = time.perf_counter() - began
    page = StatusPage.attach(interface.client.engine)
    while page.counter("blocks") <= DROP:
        time.sleep(0.0002)
    first = time.perf_counter() - began
    page.close()
    ending = time.perf_counter()
ended = time.perf_counter() - ending
print(json.dumps({{"returned": returned, "first": first, "script": first + began - whole, "close": ended}}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="processes for each figure (default %(default)s)")
    rounds = parser.parse_args().rounds
    figures: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, seconds in one_round().items():
            if number:
                figures.setdefault(name, []).append(seconds)
    goals = {"import asmu_control": "at most 0.25 s", "start() to first processed block": "at most 1.5 s"}
    report("startup", [row(name, seconds) for name, seconds in figures.items()], goals=goals)


def one_round() -> dict[str, float]:
    found = {f"import {module}": float(run(_IMPORT.format(module=module))) for module in ("asmu_control", "numpy")}
    for samplerate, blocksize in ((44100, 1024), (48000, 256)):
        times = json.loads(run(_START.format(samplerate=samplerate, blocksize=blocksize)))
        suffix = f", {blocksize} frames"
        found["start() returns" + suffix] = times["returned"]
        found["start() to first processed block" + suffix] = times["first"]
        found["script to first processed block" + suffix] = times["script"]
        found["close()" + suffix] = times["close"]
    return found


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def row(name: str, seconds: list[float]) -> dict[str, Any]:
    return {
        "what": name,
        "median_s": round(median(seconds), 4),
        "best_s": round(min(seconds), 4),
        "worst_s": round(max(seconds), 4),
    }


if __name__ == "__main__":
    main()
