"""What each core costs: the time of a block, at 1, 8 and 64 channels, 64 and 1024 frames, against a plain copy of the block.

Every core of the catalogue is prepared as the builder does it, set so that it is at work (a ramp that runs, a limiter that
limits), and called with blocks that change, from warm caches. The copy is ``outputs[...] = inputs`` of the same blocks, taken
in turn with each core. Each figure is the median over rounds of a round's median block; ``p90_us`` of a round's 90th percentile,
which shows work that not every block has.

    python -m benchmarks.library [--rounds 5] [--only NAME]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

import numpy as np
from scipy import signal

from asmu_engine.audio.kinds import Kinds
from asmu_engine.protocol.arrays import Array
from asmu_engine.rt.acore import ACore
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.scheduling import quiet_interpreter
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.feed import FeedWriter
from asmu_engine.shm.segment import segment_name
from benchmarks._report import percentile, report

SAMPLERATE = 48000
CHANNELS, FRAMES = (1, 8, 64), (64, 1024)
SOURCES = 8  # blocks that come in turn
ROUND_SECONDS, FEWEST, MOST = 0.05, 50, 400  # blocks of a round
Values = Mapping[str, Any]
Block = Callable[[int], None]


@dataclass(frozen=True)
class Case:
    """A kind with its values for so many channels, calls that set it to work, what is called before every block, and the
    seconds of sound that it must have heard until it does all of its work."""

    kind: str
    values: Callable[[int], Values] = lambda channels: {}
    calls: tuple[str, ...] = ()
    before: Callable[[ACore, int], None] = field(default=lambda core, index: None)
    warm: float = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default %(default)s)")
    parser.add_argument("--only", help="cases whose name begins with this; nothing is stored")
    arguments = parser.parse_args()
    quiet_interpreter()
    kinds = Kinds()
    if unknown := {kind.name for kind in kinds.catalogue()} ^ {case.kind for case in CASES.values()}:
        raise SystemExit(f"cores without a case, or cases without a core: {', '.join(sorted(unknown))}")
    rows = [
        measure(kinds, name, case, channels, frames, arguments.rounds)
        for name, case in CASES.items()
        if name.startswith(arguments.only or "")
        for channels in CHANNELS
        for frames in FRAMES
    ]
    if arguments.only:
        for row in rows:
            print(row)
        return
    report("library", rows)


def measure(kinds: Kinds, name: str, case: Case, channels: int, frames: int, rounds: int) -> dict[str, Any]:
    source = np.random.default_rng(1).uniform(-1, 1, (SOURCES, frames, channels)).astype(np.float32)
    outputs = np.zeros((frames, channels), dtype=np.float32)
    copied = np.zeros_like(outputs)

    def copy(index: int) -> None:
        copied[...] = source[index % SOURCES]

    with prepared(kinds, case, channels, frames) as core:
        own = source if core.setup.inputs else np.zeros((SOURCES, frames, 0), dtype=np.float32)
        targets = outputs if core.setup.outputs else outputs[:, :0]

        def process(index: int) -> None:
            core.process(own[index % SOURCES], targets)

        clock = Clock(core, case, frames)
        clock.time(process, round(case.warm * SAMPLERATE / frames))
        count = max(FEWEST, min(MOST, int(ROUND_SECONDS * 1e6 / clock.time(process, FEWEST)[0])))
        taken = [(clock.time(process, count), clock.time(copy, MOST, moving=False)) for _ in range(rounds)]
        if core.setup.outputs and not (np.isfinite(outputs).all() and outputs.any()):
            raise SystemExit(f"{name} gave silence, or what is no number: it was not at work")
    block_us = median(own for (own, _), _ in taken)
    plain = median(own for _, (own, _) in taken)
    return {
        "core": name,
        "channels": channels,
        "frames": frames,
        "us_per_block": round(block_us, 2),
        "p90_us": round(median(late for (_, late), _ in taken), 2),
        "copy_us": round(plain, 2),
        "to_copy": round(block_us / plain, 1),
        "ns_per_sample": round(1e3 * block_us / (channels * frames), 2),
        "share_of_block_percent": round(100 * block_us * 1e-6 * SAMPLERATE / frames, 2),
    }


class Clock:
    """Times blocks, with the position going on and what has to happen before each of them left out."""

    def __init__(self, core: ACore, case: Case, frames: int) -> None:
        self._core, self._case, self._frames = core, case, frames
        self._index = 0

    def time(self, block: Block, count: int, moving: bool = True) -> tuple[float, float]:
        """Median and 90th percentile of `count` blocks, µs."""
        taken = []
        for index in range(self._index, self._index + count):
            if moving:
                self._core.setup.context.position = index * self._frames
                self._case.before(self._core, index)
            began = time.perf_counter_ns()
            block(index)
            taken.append(time.perf_counter_ns() - began)
        if moving:
            self._index += count
            self._core.setup.context.notices.clear()
        return percentile(taken, 50) / 1e3, percentile(taken, 90) / 1e3


@contextmanager
def prepared(kinds: Kinds, case: Case, channels: int, frames: int) -> Iterator[ACore]:
    """A core of the case at work; its ring, where it has one, holds 4 s and goes in the end."""
    kind = kinds[case.kind]
    described = kind.describe()
    ring = ""
    if described.ring:
        which = RingKind.TAP if described.ring == "tap" else RingKind.FEED
        segment = create_ring(segment_name(f"benchmark{os.getpid()}", case.kind), which, channels, SAMPLERATE, 4 * SAMPLERATE)
        ring = segment.name
    try:
        inputs, outputs = (channels if ports.maximum else 0 for ports in (described.inputs, described.outputs))
        core = kind(Setup(SAMPLERATE, frames, inputs, outputs, Context(), "x", ring), case.values(channels))
        for call in case.calls:
            getattr(core, call)()
        yield core
        core.close()
    finally:
        if ring:
            if writer := _feeding.pop(ring, None):
                writer.close()
            segment.unlink()
            segment.close()


_feeding: dict[str, FeedWriter] = {}


def feed(core: ACore, index: int) -> None:
    """Another block into the ring of a feed."""
    writer = _feeding.get(core.setup.ring) or _feeding.setdefault(core.setup.ring, FeedWriter(core.setup.ring))
    writer.write(np.full((core.setup.blocksize, core.setup.outputs), 0.5, dtype=np.float32))


def restart(core: ACore, index: int) -> None:
    """A vector of 16 blocks from its beginning, when it has ended."""
    if index % 16 == 0:
        core.restart()  # type: ignore[attr-defined]


def another_gain(core: ACore, index: int) -> None:
    """A gain that moves in every block: its ramp takes 240 frames."""
    core.gain = np.full(core.channels, 0.5 + 0.25 * (index % 2))  # type: ignore[attr-defined]
    core.changed("gain")


def ramp(core: ACore, index: int) -> None:
    """From the first block on the way to a gain that it will not reach."""
    if index == 0:
        core.gain = np.full(core.channels, 1e6)  # type: ignore[attr-defined]
        core.changed("gain")


def array(values: np.ndarray) -> Array:
    return Array("f4" if values.dtype == np.float32 else "f8", values.shape, values.tobytes())


@cache
def response(seconds: float) -> Array:
    """A decaying response, the same for all channels."""
    taps = round(seconds * SAMPLERATE)
    decay = np.exp(-6.9 * np.arange(taps) / taps)
    return array((np.random.default_rng(taps).standard_normal(taps) * decay / taps**0.5).astype(np.float32))


def spread(channels: int) -> list[float]:
    """Another value for every channel."""
    return [100.0 + 3.7 * channel for channel in range(channels)]


def matrix(channels: int) -> Values:
    return {"gain": array(np.random.default_rng(2).uniform(-1, 1, (channels, channels)) / channels)}


def vector(channels: int) -> Values:
    return {"vector": array(np.full((16 * max(FRAMES), channels), 0.5, dtype=np.float32))}


def sections(channels: int) -> Values:
    return {"sos": array(signal.butter(4, (100, 10_000), "bandpass", fs=SAMPLERATE, output="sos"))}


def taps(channels: int) -> Values:
    return {"fir": array(signal.firwin(511, 10_000, fs=SAMPLERATE).astype(np.float32))}


CASES = {
    "constant": Case("constant"),
    "sine": Case("sine"),
    "sine, a frequency a channel": Case("sine", lambda channels: {"frequency": spread(channels)}),
    "sineburst": Case("sineburst", lambda channels: {"frequency": spread(channels), "periods": 1e9}),
    "vector": Case("vector", vector, before=restart),
    "noise, white": Case("noise"),
    "noise, pink": Case("noise", lambda channels: {"weight": "pink"}),
    "feed": Case("feed", before=feed),
    "gain": Case("gain", lambda channels: {"gain": 0.5}),
    "gain, one a channel": Case("gain", lambda channels: {"gain": spread(channels)}),
    "gain, changed every block": Case("gain", before=another_gain),
    "gainramp, moving": Case("gainramp", lambda channels: {"gain": 0.0}, before=ramp),
    "adsr, in its attack": Case("adsr", lambda channels: {"attack": 3600.0, "scale": "log"}, ("start",)),
    "sum": Case("sum"),
    "matrix, every input to every output": Case("matrix", matrix),
    "delay": Case("delay", lambda channels: {"frames": 480.0}),
    "delay, fractional": Case("delay", lambda channels: {"frames": 480.3, "fractional": True}),
    "limiter, limiting": Case("limiter", lambda channels: {"threshold": 0.5}),
    "filter, 4 sections": Case("filter", sections),
    "filter, 511 taps": Case("filter", taps),
    "weight, A": Case("weight", lambda channels: {"weight": "A"}),
    "weight, C": Case("weight", lambda channels: {"weight": "C"}),
    "convolver, 0.1 s": Case("convolver", lambda channels: {"ir": response(0.1)}, warm=0.2),
    "convolver, 1 s": Case("convolver", lambda channels: {"ir": response(1.0)}, warm=1.1),
    "convolver, 10 s": Case("convolver", lambda channels: {"ir": response(10.0)}, warm=10.1),
    "tap": Case("tap"),
}


if __name__ == "__main__":
    main()
