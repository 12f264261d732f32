"""Everything that can fail, made to fail at random from a fixed seed while an engine records, and the sizes of its processes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

import asmu_control as asmu
from asmu_control.client import Client

SETTLE_SECONDS = 15.0
"""So long a process that was replaced may grow until it is measured again."""


class Growth(NamedTuple):
    """Of a process after it has settled.

    `kb_per_min`: the slope of its own memory. `later_kb`: how much more that was at most in the second half of its life than
    in the first; a process that fills its buffers, and then stays, has little. `more_files`: the same of its descriptors.
    """

    kb_per_min: float
    later_kb: float
    more_files: int


@dataclass(frozen=True)
class Plan:
    """One soak: simulated hours, how fast, and what is recorded."""

    name: str
    hours: float
    speed: float
    channels: int
    samplerate: float
    subtype: str
    rollover: str
    seed: int
    faults_per_minute: float
    """Of real time."""

    @property
    def device(self) -> str:
        """Channels all different, so that rows that got mixed up would show."""
        return (
            f"virtual:name=soak,inputs={self.channels},outputs=1,speed={self.speed:g},drift_ppm=37,tone_hz=100,tone_dbfs=-20,"
            f"buffer_s={self.speed:g}"
        )


@dataclass
class Faults:
    """Those of one run: what was injected, and the sizes that were seen."""

    plan: Plan
    client: Client
    injected: Counter[str] = field(default_factory=Counter)
    lost_frames: int = 0
    sizes: dict[str, list[tuple[float, int, int, int]]] = field(default_factory=dict)

    def run(self) -> None:
        """Faults until the time is over."""
        chance = random.Random(self.plan.seed)
        deeds: list[tuple[int, Callable[[random.Random], None]]] = [
            (30, self.lose),
            (20, self.overflow),
            (10, self.stall),
            (4, self.unplug),
            (6, self.kill_disk),
            (4, self.stop_disk),
            (4, self.kill_audio),
            (4, self.set_utc),
        ]
        seconds = 3600 * self.plan.hours / self.plan.speed
        began = time.monotonic()
        next_fault = chance.expovariate(self.plan.faults_per_minute / 60)
        next_look = 0.0
        while (now := time.monotonic() - began) < seconds:
            if now >= next_look:
                next_look += 1.0
                self.look(now)
            if now >= next_fault and seconds - now > SETTLE_SECONDS:
                deed = chance.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])[0]
                deed(chance)
                next_fault = time.monotonic() - began + chance.expovariate(self.plan.faults_per_minute / 60)
            time.sleep(0.05)
        self.until_running()

    # -- what happens ---------------------------------------------------------------------------------------------

    def lose(self, chance: random.Random) -> None:
        """Frames vanish: one, a few, many, more than is filled with zeros."""
        # Not for so long that the device would be taken for dead, and replaced before it lost any.
        most = min(12.0, 0.5 * self.plan.speed)
        frames = chance.choice([1, 7, 64, 1000, int(most * self.plan.samplerate / 2), int(most * self.plan.samplerate)])
        self.fault("lose", frames=frames)
        self.lost_frames += frames

    def overflow(self, chance: random.Random) -> None:
        """The flag alone."""
        self.fault("input_overflow")

    def stall(self, chance: random.Random) -> None:
        """No callback for a while."""
        self.fault("stall", blocks=chance.randrange(1, 8))

    def unplug(self, chance: random.Random) -> None:
        """The device is gone, and back after a while."""
        self.fault("gone")
        time.sleep(chance.uniform(0.2, 2.0))
        self.client.request({"type": "fault", "fault": "back"})
        self.until_running()

    def kill_disk(self, chance: random.Random) -> None:
        """Another disk process goes on."""
        self.kill("disk")

    def kill_audio(self, chance: random.Random) -> None:
        """Another audio process goes on."""
        before = self.status()["processes"]["audio"]["restarts"]
        self.kill("audio")
        self.until(lambda: (self.status()["processes"]["audio"] or {"restarts": 0})["restarts"] > before)
        self.until_running()

    def stop_disk(self, chance: random.Random) -> None:
        """The disk process is suspended for a while."""
        if (pid := self.pid("disk")) is not None:
            self.injected["stop disk"] += 1
            os.kill(pid, signal.SIGSTOP)
            time.sleep(chance.uniform(0.5, 3.0))
            os.kill(pid, signal.SIGCONT)

    def set_utc(self, chance: random.Random) -> None:
        """The clock of the day is set."""
        self.fault("clock_step", seconds=chance.choice([-2.5, 0.5, 30.0]))

    # -- how ------------------------------------------------------------------------------------------------------

    def fault(self, name: str, **how: Any) -> None:
        """Tell the device to fail, once it runs."""

        def done() -> bool:
            self.until_running()
            try:
                self.client.request({"type": "fault", "fault": name, **how})
            except asmu.exceptions.AsmuError as error:
                if not error.retry:
                    raise
                return False  # the audio process is being replaced
            return True

        self.until(done)
        self.injected[name] += 1

    def kill(self, process: str) -> None:
        """SIGKILL."""
        if (pid := self.pid(process)) is not None:
            self.injected[f"kill {process}"] += 1
            os.kill(pid, signal.SIGKILL)

    def pid(self, process: str) -> int | None:
        """Of a process of the engine; None while there is none."""
        facts = self.status()["processes"][process]
        return None if facts is None else int(facts["pid"])

    def status(self) -> dict[str, Any]:
        """Of the engine."""
        return self.client.request({"type": "status"})

    def until_running(self) -> None:
        """Wait until the device runs."""
        self.until(lambda: self.status()["state"] == "running" and self.pid("audio") is not None)

    def until(self, condition: Callable[[], bool]) -> None:
        """Poll; the soak is over where it takes a minute."""
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"soak: the engine did not recover within a minute: {json.dumps(self.status())[:2000]}")
            time.sleep(0.02)

    def look(self, now: float) -> None:
        """Note the size of each process; one that was replaced begins a new series."""
        for name, facts in self.status()["processes"].items():
            if facts is None:
                continue
            try:
                process = psutil.Process(facts["pid"])
                self.sizes.setdefault(name, []).append((now, process.pid, _own_bytes(process.pid), process.num_fds()))
            except (psutil.Error, OSError):
                continue  # it was killed just now

    def growth(self, name: str) -> Growth:
        """Of a process, the worst of its lives that were long enough to tell."""
        lives: dict[int, list[tuple[float, int, int]]] = {}
        for now, pid, size, files in self.sizes.get(name, []):
            lives.setdefault(pid, []).append((now, size, files))
        found = [Growth(0.0, 0.0, 0)]
        for life in lives.values():
            settled = [entry for entry in life if entry[0] - life[0][0] >= SETTLE_SECONDS]
            if len(settled) >= 45:
                half = len(settled) // 2
                early, late = settled[:half], settled[half:]
                found.append(
                    Growth(
                        _slope([(now / 60, size / 1024) for now, size, _ in settled]),
                        (max(size for _, size, _ in late) - max(size for _, size, _ in early)) / 1024,
                        max(files for _, _, files in late) - max(files for _, _, files in early),
                    )
                )
        return Growth(*(max(values) for values in zip(*found, strict=True)))


def _own_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    return 0


def _slope(points: list[tuple[float, float]]) -> float:
    middle = sum(x for x, _ in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * y for x, y in points) / spread if spread else 0.0
