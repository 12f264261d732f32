"""What it takes to record much for long: 64 channels at 192 kHz and 128 at 96 kHz into recording folders, 49 MB/s each.

Three questions, of which the ratios are each measured in one run, the two sides in turn:

- live: the virtual device in real time for minutes. Is anything lost, and how much of a core do the audio process and the disk
  process take together?
- writing: the disk process on a ring that was filled beforehand, against a bare loop that writes the same blocks with soundfile
  to the same disk. `ratio`: until the last row is written, as the loop does no more, though the disk process keeps its ledger,
  headers, syncs and checksums going meanwhile. `whole_ratio`: until all is on the disk with its checksum, against a loop that
  syncs its file and computes the checksum as well.
- reading: spans of the folder through `open_recording` against a bare loop over soundfile.

    python -m benchmarks.acquire [--minutes 10] [--only live|writing|reading]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import soundfile

import asmu_control as asmu
from asmu_engine.disk.main import DiskProcess
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.recording.verify import verify_recording
from asmu_engine.shm.create import create_ring
from asmu_engine.shm.ring import RingKind
from asmu_engine.shm.segment import remove_segment, segment_name
from asmu_engine.shm.writer import RingWriter
from benchmarks._reading import measure_reading
from benchmarks._report import report

SHAPES = ((64, 192_000), (128, 96_000))
GOALS = {
    "writing": "ratio ≥ 0.8 of a bare loop with soundfile",
    "live": "lost_frames 0; together_core < 1",
    "reading": "ratio ≥ 0.8 of soundfile's own rate",
}
BLOCK = 1024
RING_SECONDS = 10.0
ROUNDS = 5


def live(folder: Path, channels: int, samplerate: int, minutes: float) -> dict[str, Any]:
    """Record a stretch of real time; what was lost, and what share of a core it took."""
    device = asmu.device.VirtualDevice(inputs=channels, outputs=1, matrix=np.ones((channels, 1)), name="acquire")
    interface = asmu.Interface(device=device, samplerate=samplerate, blocksize=BLOCK, ring_seconds=RING_SECONDS)
    sine = asmu.generator.Sine(interface, 997)
    sine.output().connect(interface.ioutput(ch=1))
    with interface:
        recording = interface.record(folder, channels=range(1, channels + 1), rollover="1min")
        interface.start(drop=0)
        status = interface.client.request({"type": "status"})
        processes = {name: psutil.Process(status["processes"][name]["pid"]) for name in ("host", "audio", "disk")}
        before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
        began = time.monotonic()
        behind = 0.0
        while time.monotonic() - began < 60 * minutes:
            time.sleep(1.0)
            behind = max(behind, recording.status()["disk"]["behind_seconds"])
        wall = time.monotonic() - began
        used = {name: (sum(process.cpu_times()[:2]) - before[name]) / wall for name, process in processes.items()}
        counters = interface.client.request({"type": "status"})["counters"]
        final = recording.stop()
    verdict = verify_recording(folder)
    return {
        "minutes": round(wall / 60, 2),
        "gb": round(final["bytes"] / 1e9, 2),
        "mb_per_s": round(final["bytes"] / 1e6 / (final["frames"] / samplerate), 2),
        "lost_frames": final["lost_frames"],
        "xruns": final["xruns"],
        "deadline_misses": counters["deadline_misses"],
        "audio_core": round(used["audio"], 3),
        "disk_core": round(used["disk"], 3),
        "together_core": round(used["audio"] + used["disk"], 3),
        "host_core": round(used["host"], 3),
        "behind_max_s": round(behind, 3),
        "verify": verdict.outcome,
    }


def writing(folder: Path, channels: int, samplerate: int) -> dict[str, Any]:
    """The disk process's own loop on a full ring, against soundfile on the same samples."""
    seconds = 20.0
    frames = round(seconds * samplerate)
    data = np.random.default_rng(1).standard_normal((samplerate, channels), np.float32)
    size = 4 * frames * channels

    taken: list[float] = []

    def asmu_writes(target: Path) -> float:
        name = segment_name(f"bench{os.getpid()}", "tap")
        create_ring(name, RingKind.TAP, channels, samplerate, frames + BLOCK).close()
        try:
            writer = RingWriter(name)
            for _ in range(frames // len(data)):
                writer.write(data)
            written, whole = _acquire(writer, target)
            writer.close(final=True)
            taken.append(written)
            return whole
        finally:
            remove_segment(name)

    def bare(target: Path, *, whole: bool) -> float:
        began = time.perf_counter()
        with soundfile.SoundFile(target, "w", samplerate, channels, "FLOAT", format="RF64") as file:
            for _ in range(frames // len(data)):
                for start in range(0, len(data), BLOCK):
                    file.write(data[start : start + BLOCK])
        if whole:
            with target.open("r+b") as again:
                os.fsync(again.fileno())
                hashlib.file_digest(again, "sha256")
        return time.perf_counter() - began

    ratios: list[tuple[float, float]] = []
    rates: list[float] = []
    for number in range(ROUNDS + 1):
        ours = _clean(folder / "ours", asmu_writes)
        plain = _clean(folder / "bare.wav", lambda path: bare(path, whole=False))
        whole = _clean(folder / "whole.wav", lambda path: bare(path, whole=True))
        if number:  # the first warms up
            ratios.append((plain / taken[-1], whole / ours))
            rates.append(size / 1e6 / taken[-1])
    return {
        "mb_per_s": round(median(rates), 1),
        "ratio": round(median(ratio for ratio, _ in ratios), 3),
        "whole_ratio": round(median(ratio for _, ratio in ratios), 3),
    }


def _clean(target: Path, write: Callable[[Path], float]) -> float:
    """What `write` took; what it left is removed, and is on the disk before, so that nothing is written behind the next one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    took = write(target)
    os.sync()
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    return took


def _acquire(ring: RingWriter, folder: Path) -> tuple[float, float]:
    """Seconds that an acquisition takes from its command until it has written all that the ring holds, and until it has ended."""
    there, here = os.pipe(), os.pipe()
    pipe = MessagePipe(os.fdopen(here[0], "rb"), os.fdopen(there[1], "wb"))
    answers = MessagePipe(os.fdopen(there[0], "rb"), os.fdopen(here[1], "wb"))
    process = DiskProcess(pipe)
    done = threading.Event()
    failed: list[Any] = []

    def listen() -> None:
        while (message := answers.receive()) is not None:
            if "error" in message:
                failed.append(message["error"])
            if message.get("event") == "job" and message["state"] != "running":
                done.set()
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    began = time.perf_counter()
    process.carry_out({"id": 1, "do": "acquire", "job": 1, "ring": ring.name, "folder": str(folder), "start": 0,
                       "settings": {"rollover_seconds": 2.0}, "source": {}, "channels": [], "resume": False, "why": "new",
                       "gap_uncertainty": 0, "clock": None})  # fmt: skip
    process.carry_out({"id": 2, "do": "stop", "job": 1})  # with what the ring holds
    while not done.is_set() and (ring.slowest_paced() or 0) < ring.position:  # where the reader says that it is
        time.sleep(0.002)
    written = time.perf_counter() - began
    done.wait(300)
    took = time.perf_counter() - began
    process.close()
    if failed:
        raise SystemExit(f"acquire: {failed}")
    return written, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each live run (default %(default)s)")
    parser.add_argument("--only", choices=("live", "writing", "reading"))
    parser.add_argument("--folder", type=Path, help="where the recordings are made, and deleted afterwards")
    given = parser.parse_args()
    questions = (given.only,) if given.only else tuple(GOALS)
    rows: dict[str, list[dict[str, Any]]] = {question: [] for question in questions}
    for channels, samplerate in SHAPES:
        shape = {"channels": channels, "samplerate": samplerate}
        with tempfile.TemporaryDirectory(prefix="asmu-acquire-", dir=given.folder) as name:
            base = Path(name)
            if "writing" in questions:
                rows["writing"].append({**shape, **writing(base, channels, samplerate)})
            if "live" in questions:
                rows["live"].append({**shape, **live(base / "live", channels, samplerate, given.minutes)})
            if "reading" in questions:
                if not (base / "live").exists():
                    live(base / "live", channels, samplerate, 0.5)
                rows["reading"] += [{**shape, **reading} for reading in measure_reading(base / "live")]
    for question in questions:
        report(f"acquire_{question}", rows[question], None, {question: GOALS[question]})


if __name__ == "__main__":
    main()
