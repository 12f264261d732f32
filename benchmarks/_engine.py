"""What the benchmarks of running engines share: the patch that they run, and what a stretch of running did."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from asmu_engine.shm.status import StatusPage, bin_centre, create_status, percentile

if TYPE_CHECKING:
    from asmu_control import Interface

SAMPLERATE, FRAMES, CHANNELS = 48000, 256, 64
GAINS: Sequence[Any] = (0.5, 0.6, 0.7, 0.8)
DEVICE = f"virtual:inputs={CHANNELS},outputs={CHANNELS}"


def connect(source: str, target: str) -> list[dict[str, Any]]:
    """Every channel of one node to the same of another."""
    return [{"op": "connect", "source": source, "output": n, "target": target, "input": n} for n in range(CHANNELS)]


def chain(gains: Sequence[Any] = GAINS, tap: bool = True, ring: str = "") -> list[dict[str, Any]]:
    """Inputs → one gain after another → outputs, with a tap on the last; `ring` names its segment where no host makes it."""
    edits: list[dict[str, Any]] = []
    last = "in"
    for number, gain in enumerate(gains):
        node = f"gain{number}"
        values = {"gain": gain}
        edits.append({"op": "add", "node": node, "kind": "gain", "inputs": CHANNELS, "outputs": CHANNELS, "parameters": values})
        edits += connect(last, node)
        last = node
    if gains:
        edits += connect(last, "out")
    if tap:
        edits.append({"op": "add", "node": "tap", "kind": "tap", "inputs": CHANNELS, **({"ring": ring} if ring else {})})
        edits += connect(last, "tap")
    return edits


@contextmanager
def running_chain(samplerate: int = SAMPLERATE, frames: int = FRAMES) -> Iterator[Interface]:
    """A private engine on the virtual device that runs the chain in blocks of so many frames."""
    import asmu_control as asmu

    channels = range(1, CHANNELS + 1)
    interface = asmu.Interface(device=DEVICE, samplerate=samplerate, blocksize=frames, inputs=channels, outputs=channels)
    with interface:
        interface.open()
        interface.client.edit(chain())
        interface.start(drop=0)
        yield interface


@dataclass
class Tally:
    """Counters and histograms at one moment, or with `since` what came between two."""

    blocks: int
    misses: int
    lost: int
    late: list[int]
    took: list[int]
    frames: int = 0
    """Frames of a block, from the page; 0 where nothing was counted yet."""

    @classmethod
    def read(cls, page: StatusPage) -> Self:
        """The state of a status page now."""
        counter = page.counter
        frames = int(page.snapshot()["blocksize"])
        return cls(
            counter("blocks"), counter("deadline_misses"), counter("lost_frames"), page.lateness(), page.histogram(), frames
        )

    @classmethod
    def nothing(cls) -> Self:
        """To add to."""
        return cls(0, 0, 0, [0] * 512, [0] * 512)

    def since(self, before: Tally) -> Tally:
        """What happened between two readings."""
        return self._with(before, -1)

    def plus(self, other: Tally) -> Tally:
        """Two stretches taken together."""
        return self._with(other, 1)

    def _with(self, other: Tally, sign: int) -> Tally:
        return Tally(
            self.blocks + sign * other.blocks,
            self.misses + sign * other.misses,
            self.lost + sign * other.lost,
            [a + sign * b for a, b in zip(self.late, other.late, strict=True)],
            [a + sign * b for a, b in zip(self.took, other.took, strict=True)],
            self.frames or other.frames,
        )

    @property
    def missed_percent(self) -> float:
        """Deadlines missed, of all that there were: those of blocks that the device lost count as missed too."""
        lost = self.lost / (self.frames or FRAMES)
        return 100 * (self.misses + lost) / max(self.blocks + lost, 1)

    def row(self) -> dict[str, Any]:
        """Figures for a report; lateness and callback time in microseconds."""
        return {
            "blocks": self.blocks,
            "misses": self.misses,
            "missed_percent": round(self.missed_percent, 4),
            "lost_frames": self.lost,
            "late_p50_us": round(percentile(self.late, 0.5), 1),
            "late_p99_us": round(percentile(self.late, 0.99), 1),
            "late_p999_us": round(percentile(self.late, 0.999), 1),
            "late_max_us": round(_top(self.late), 1),
            "callback_p50_us": round(percentile(self.took, 0.5), 1),
            "callback_p99_us": round(percentile(self.took, 0.99), 1),
        }


def _top(histogram: list[int]) -> float:
    return max((bin_centre(index) / 1e3 for index, count in enumerate(histogram) if count), default=0.0)


_HOT_LOOP = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
count = 0
while time.monotonic() < end:
    for number in range(100_000):
        count += number
"""


@contextmanager
def hot_processes(count: int, seconds: float) -> Iterator[None]:
    """So many processes that do nothing but run Python, for at most `seconds`."""
    processes = [subprocess.Popen([sys.executable, "-c", _HOT_LOOP, str(seconds)]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


_WITNESS = """
import sys, time
from asmu_engine.rt.scheduling import make_thread_realtime, quiet_interpreter
from asmu_engine.shm.status import StatusPage
page, period = StatusPage.attach(sys.argv[1]), int(sys.argv[2])
quiet_interpreter()
make_thread_realtime(70)
words, blocks, misses = page.words, page.word("blocks"), page.word("deadline_misses")
print("ready", flush=True)
due = time.monotonic_ns()
while True:
    due += period
    while (left := due - time.monotonic_ns()) > 0:
        time.sleep(left / 1e9)
    late = time.monotonic_ns() - due
    page.count_lateness(late)
    words[blocks] += 1
    words[misses] += late > period
"""


@contextmanager
def witness(samplerate: int = SAMPLERATE, frames: int = FRAMES) -> Iterator[StatusPage]:
    """A process that sleeps from block to block under SCHED_FIFO and does nothing else: what the machine itself holds up."""
    name = f"witness{os.getpid()}"
    segment = create_status(name)
    page = StatusPage.attach(name)
    page.describe(samplerate, frames)
    command = [sys.executable, "-c", _WITNESS, name, str(round(1e9 * frames / samplerate))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise SystemExit("the witness did not start")
        yield page
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        page.close()
        segment.unlink()
        segment.close()
