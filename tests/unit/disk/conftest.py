"""A disk process as the host runs it, and rings to work on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asmu_engine.protocol.errors import from_wire
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.shm.create import create_ring
from asmu_engine.shm.ring import RingKind
from asmu_engine.shm.segment import Segment

PATIENCE = 20.0
ROOT = Path(__file__).parents[3]


def poll(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:g} s"
        time.sleep(0.002)
    return value


class Disk:
    """The host's end of a disk process."""

    def __init__(self, entry: tuple[str, ...] = ("-m", "asmu_engine.disk")) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *entry],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.pipe = MessagePipe(self.process.stdout, self.process.stdin)
        self.events: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self._number = 0

    def ask(self, do: str, **fields: Any) -> int:
        """Send a command; its id."""
        self._number += 1
        assert self.pipe.send({"id": self._number, "do": do, **fields})
        return self._number

    def answer(self, number: int) -> dict[str, Any]:
        """Wait for the answer to a command; raises its error."""
        while number not in self._answers:
            self._take()
        message = self._answers.pop(number)
        if "error" in message:
            raise from_wire(message["error"])
        result: dict[str, Any] = message["result"]
        return result

    def __call__(self, do: str, **fields: Any) -> dict[str, Any]:
        return self.answer(self.ask(do, **fields))

    def event(self, state: str) -> dict[str, Any]:
        """Wait for the first event with this state."""
        while not (found := [event for event in self.events if event["state"] == state]):
            self._take()
        return found[0]

    def until_frames(self, job: int, frames: int) -> None:
        """Wait until a recording has that many frames in its file."""
        poll(lambda: self("status", job=job)["frames"] >= frames, f"{frames} frames recorded")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.pipe.close()

    def close(self) -> None:
        """What happens when the host ends: the pipe does."""
        self.pipe.close()
        self.process.wait(PATIENCE)

    def _take(self) -> None:
        message = self.pipe.receive()
        assert message is not None, f"the disk process ended with {self.process.wait()}"
        if "event" in message:
            self.events.append(message)
        else:
            self._answers[message["id"]] = message


@pytest.fixture
def start_disk() -> Iterator[Callable[..., Disk]]:
    started: list[Disk] = []

    def start(*entry: str) -> Disk:
        started.append(Disk(entry) if entry else Disk())
        return started[-1]

    yield start
    for disk in started:
        if disk.process.poll() is None:
            disk.process.kill()
            disk.process.wait()
        disk.pipe.close()


@pytest.fixture
def disk(start_disk: Callable[..., Disk]) -> Disk:
    return start_disk()


@pytest.fixture
def make_ring() -> Iterator[Callable[..., str]]:
    segments: list[Segment] = []

    def make(kind: RingKind = RingKind.TAP, channels: int = 2, samplerate: float = 48000, capacity: int = 48000) -> str:
        name = f"asmu.test.{len(segments)}"
        segments.append(create_ring(name, kind, channels, samplerate, capacity))
        return name

    yield make
    for segment in segments:
        segment.unlink()
        segment.close()


@pytest.fixture
def sound() -> Callable[..., np.ndarray]:
    """Frames whose every sample is its own and fits 24 bits: row i, column c is (channels i + c - 2^23) / 2^23."""

    def make(frames: int, channels: int = 2, first: int = 0) -> np.ndarray:
        numbers = np.arange(first * channels, (first + frames) * channels) % 2**24
        return ((numbers - 2**23) / 2**23).astype(np.float32).reshape(frames, channels)

    return make


@pytest.fixture
def wait_for() -> Callable[[Callable[[], Any], str], Any]:
    return poll
