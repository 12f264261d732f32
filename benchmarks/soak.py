"""Whether an acquisition that runs for long accounts for every frame, while everything that can fail does.

The virtual device runs its clock many times faster than life. Segments roll over, and from a fixed seed these happen at
random: frames are lost, the device stalls, says overflow, is gone for a while and comes back, UTC is set, the disk process is
killed or stopped, the audio process is killed. At the end the folder is verified as a user would (`asmu verify`), the ledger is
held against what was injected and against the engine's own counters, and memory and file descriptors of the three processes
must not have grown.

    python -m benchmarks.soak                                # 24 simulated hours at 8 channels, then a real hour at 64
    python -m benchmarks.soak --hours 2 --speed 60           # the short form: two minutes
    python -m benchmarks.soak --real                         # the real hour alone: 64 channels at 48 kHz
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asmu_control as asmu
from asmu_engine.recording.ledger import Gap, read_ledger
from asmu_engine.recording.names import LEDGER
from benchmarks._faults import Faults, Plan
from benchmarks._report import report


def soak(plan: Plan, folder: Path) -> dict[str, Any]:
    """One run; its row. What does not reconcile stands in ``wrong``."""
    print(f"soak {plan.name}: {plan.hours:g} h at {plan.speed:g} × real time, seed {plan.seed}", flush=True)
    interface = asmu.Interface(
        device=plan.device, samplerate=plan.samplerate, blocksize=256, ring_seconds=min(3600.0, max(10.0, 20 * plan.speed))
    )
    began = time.monotonic()
    with interface:
        recording = interface.record(
            folder, channels=range(1, plan.channels + 1), subtype=plan.subtype, rollover=plan.rollover, clock_seconds=60.0
        )
        interface.start(drop=0)
        run = Faults(plan, interface.client)
        run.run()
        counters = run.status()["counters"]
        final = recording.stop()
        restarts = {name: facts["restarts"] for name, facts in run.status()["processes"].items() if facts and "restarts" in facts}
    wall = time.monotonic() - began
    verdict = verify(folder)
    gaps = [entry for entry in read_ledger(folder / LEDGER) if isinstance(entry, Gap)]
    by_cause: Counter[str] = Counter()
    for gap in gaps:
        by_cause[gap.cause] += gap.frames
    wrong = []
    if verdict["outcome"] not in ("whole", "losses"):
        wrong.append(f"verify: {verdict['outcome']}")
    if by_cause["device"] != counters["lost_frames"]:
        wrong.append(f"device: the ledger has {by_cause['device']} lost frames, the engine counted {counters['lost_frames']}")
    if by_cause["device"] < run.lost_frames:
        wrong.append(f"{run.lost_frames} frames were made to vanish, the ledger has {by_cause['device']}")
    if by_cause["unknown"]:
        wrong.append(f"{by_cause['unknown']} frames are missing for an unknown cause")
    row: dict[str, Any] = {
        "soak": plan.name,
        "simulated_h": round((final["position"] - final["first"]) / plan.samplerate / 3600, 3),
        "real_min": round(wall / 60, 1),
        "frames": final["frames"],
        "gb": round(final["bytes"] / 1e9, 2),
        "segments": final["segments"],
        "faults": sum(run.injected.values()),
        "gaps": len(gaps),
        "verify": verdict["outcome"],
        "wrong": "; ".join(wrong) or "nothing",
    }
    for name in ("host", "audio", "disk"):
        growth = run.growth(name)
        row[f"{name}_kb_per_min"] = round(growth.kb_per_min, 1)
        row[f"{name}_later_kb"] = round(growth.later_kb, 1)
        row[f"{name}_more_files"] = growth.more_files
    row |= {
        "injected": dict(run.injected),
        "lost_by_cause": dict(by_cause),
        "injected_lost_frames": run.lost_frames,
        "restarts": restarts,
        "counters": {key: counters[key] for key in ("blocks", "lost_frames", "input_overflow", "deadline_misses")},
    }
    return row


def verify(folder: Path) -> dict[str, Any]:
    """What `asmu verify` says."""
    done = subprocess.run(
        [sys.executable, "-m", "asmu_control", "verify", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise SystemExit(f"soak: asmu verify failed: {done.stderr}")
    verdict: dict[str, Any] = json.loads(done.stdout)
    return verdict


SIMULATED = Plan("24 simulated hours", 24, 60, 8, 8000, "FLOAT", "1h", 5, 6)
REAL = Plan("one real hour", 1, 1, 64, 48_000, "PCM_24", "5min", 6, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, help="simulated hours (default 24)")
    parser.add_argument("--speed", type=float, default=SIMULATED.speed, help="times real time (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SIMULATED.seed, help="of the faults (default %(default)s)")
    parser.add_argument("--real", action="store_true", help="the real hour at 64 channels alone")
    parser.add_argument("--simulated", action="store_true", help="the simulated hours alone")
    parser.add_argument("--folder", type=Path, help="where the recordings are made, and deleted afterwards")
    parser.add_argument("--keep", action="store_true", help="do not delete them")
    given = parser.parse_args()
    hours = given.hours or SIMULATED.hours
    simulated = Plan(
        f"{hours:g} simulated hours", hours, given.speed, SIMULATED.channels, SIMULATED.samplerate, SIMULATED.subtype,
        "1h" if hours >= 6 else "5min", given.seed, SIMULATED.faults_per_minute if hours >= 6 else 30,
    )  # fmt: skip
    plans = [REAL] if given.real else [simulated] if given.simulated or given.hours else [simulated, REAL]
    rows = []
    base = Path(tempfile.mkdtemp(prefix="asmu-soak-", dir=given.folder))
    try:
        for number, plan in enumerate(plans):
            rows.append(soak(plan, base / str(number)))
            if not given.keep:
                shutil.rmtree(base / str(number))
    finally:
        if not given.keep:
            shutil.rmtree(base, ignore_errors=True)
    shown = [key for key, value in rows[0].items() if not isinstance(value, dict)]
    goals = {"verify": "whole or losses", "wrong": "nothing", "…_kb_per_min, …_later_kb, …_more_files": "flat"}
    report("soak" if not given.hours else "soak_short", rows, shown, goals)
    if any(row["wrong"] != "nothing" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
