"""Patches of any size, and the same work in bare numpy: what `benchmarks.growth` grows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from asmu_engine.local import LocalEngine
from asmu_engine.protocol.arrays import Array
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.segment import segment_name

SAMPLERATE, FRAMES = 48000, 256
SOURCES = 8
"""Blocks of input that come in turn."""

GROUP = 64
"""Nodes side by side of which one output has the sum; also the inputs that they hear."""

Edits = list[dict[str, Any]]
Block = Callable[[int], None]


@dataclass(frozen=True)
class Case:
    """A patch by its size.

    Attributes
    ----------
    edits
        Makes the patch of a size; it has as many interface channels as `channels` says.
    bare
        Makes the same work in numpy, on arrays that lie in order, without any books.
    channels
        Interface channels, inputs and outputs, of a size.
    ring
        The node "tap" gets a ring.
    warm
        Blocks until it does all of its work.
    power
        Its work grows with this power of the size.
    """

    edits: Callable[[int], Edits]
    bare: Callable[[int], Block]
    channels: Callable[[int], int] = lambda size: size
    ring: bool = False
    warm: int = 20
    power: int = 1


def doubling(most: int) -> list[int]:
    """1, 2, 4 … `most`."""
    return [1 << power for power in range(most.bit_length()) if 1 << power <= most]


def source(channels: int) -> np.ndarray:
    """Blocks of noise, float32, shape (blocks, frames, channels)."""
    return np.random.default_rng(1).uniform(-1, 1, (SOURCES, FRAMES, channels)).astype(np.float32)


@contextmanager
def engine(case: Case, size: int) -> Iterator[tuple[Block, float]]:
    """One block of an engine with the patch, and the seconds that it took to build its schedule."""
    channels = case.channels(size)
    local = LocalEngine(SAMPLERATE, FRAMES, channels, channels)
    edits = case.edits(size)
    segment = None
    if case.ring:
        name = segment_name(f"benchmark{os.getpid()}", f"growth{size}")
        segment = create_ring(name, RingKind.TAP, channels, SAMPLERATE, SAMPLERATE)
        next(edit for edit in edits if edit.get("node") == "tap")["ring"] = segment.name
    began = time.perf_counter()
    local.edit(edits)
    built = time.perf_counter() - began
    indata, outdata = source(channels), np.zeros((FRAMES, channels), dtype=np.float32)

    def block(index: int) -> None:
        local.block(indata[index % SOURCES], outdata)

    try:
        yield block, built
        failed = [notice for notice in local.notices() if notice.get("event") == "failed"]
        if failed or not (case.ring or outdata.any()):
            raise SystemExit(f"the patch of {size} was not at work: {failed or 'silence'}")
    finally:
        local.close()
        if segment is not None:
            segment.unlink()
            segment.close()


def node(name: str, kind: str, channels: int, parameters: Mapping[str, Any], sources: int | None = None) -> dict[str, Any]:
    """The edit that adds a node of so many inputs and outputs; `sources`: another number of inputs."""
    inputs = channels if sources is None else sources
    return {"op": "add", "node": name, "kind": kind, "inputs": inputs, "outputs": channels, "parameters": dict(parameters)}


def wire(origin: str, output: int, target: str, port: int) -> dict[str, Any]:
    """The edit that connects a port to another."""
    return {"op": "connect", "source": origin, "output": output, "target": target, "input": port}


# ---- by number of nodes, of one channel each


def in_a_row(count: int) -> Edits:
    """Input 1 through so many gains, one after another, to output 1."""
    names = ["in", *(f"gain{k}" for k in range(count)), "out"]
    gains = [node(name, "gain", 1, {"gain": 1.0}) for name in names[1:-1]]
    return gains + [wire(a, 0, b, 0) for a, b in pairwise(names)]


def bare_in_a_row(count: int) -> Block:
    data, factor = source(1), np.float32(1.0)
    buffers = [np.zeros((FRAMES, 1), np.float32) for _ in range(count)]

    def block(index: int) -> None:
        signal = data[index % SOURCES]
        for buffer in buffers:
            np.multiply(signal, factor, out=buffer)
            signal = buffer

    return block


def mixed(names: list[str]) -> Edits:
    """A Sum for each `GROUP` of these nodes, to an output each."""
    edits: Edits = []
    for number, begin in enumerate(range(0, len(names), GROUP)):
        group, target = names[begin : begin + GROUP], f"sum{number}"
        edits.append(node(target, "sum", 1, {"mode": "sum"}, len(group)))
        edits += [wire(name, 0, target, port) for port, name in enumerate(group)]
        edits.append(wire(target, 0, "out", number))
    return edits


def side_by_side(count: int) -> Edits:
    """Inputs, each through many gains of its own, mixed in groups."""
    names = [f"gain{k}" for k in range(count)]
    edits = [node(name, "gain", 1, {"gain": 0.01 + k / count}) for k, name in enumerate(names)]
    return edits + [wire("in", k % GROUP, name, 0) for k, name in enumerate(names)] + mixed(names)


def bare_side_by_side(count: int) -> Block:
    width = min(count, GROUP)
    data, scaled = source(width), np.zeros((FRAMES, width), np.float32)
    gains = np.linspace(0.01, 1.0, count, dtype=np.float32).reshape(-1, width)
    outdata = np.zeros((FRAMES, len(gains)), np.float32)

    def block(index: int) -> None:
        for row, column in zip(gains, outdata.T, strict=True):
            np.multiply(data[index % SOURCES], row, out=scaled)
            np.add.reduce(scaled, axis=1, out=column)

    return block


def sines(count: int) -> Edits:
    """So many sines of different frequency, mixed in groups."""
    names = [f"sine{k}" for k in range(count)]
    return [node(name, "sine", 1, {"frequency": 100.0 + k}, 0) for k, name in enumerate(names)] + mixed(names)


def bare_sines(count: int) -> Block:
    width = min(count, GROUP)
    steps = (2 * np.pi / SAMPLERATE * (100.0 + np.arange(count))).astype(np.float32)
    ramp = np.arange(FRAMES, dtype=np.float32)[:, np.newaxis] * steps
    phases, outdata = np.zeros((FRAMES, count), np.float32), np.zeros((FRAMES, count // width), np.float32)
    groups = phases.reshape(FRAMES, -1, width)

    def block(index: int) -> None:
        np.add(ramp, np.remainder(index * FRAMES * steps, 2 * np.pi, dtype=np.float32), out=phases)
        np.sin(phases, out=phases)
        np.add.reduce(groups, axis=2, out=outdata)

    return block


NODES = {
    "gains in a row": Case(in_a_row, bare_in_a_row, lambda size: 1),
    "gains side by side": Case(side_by_side, bare_side_by_side, lambda size: GROUP),
    "sines side by side": Case(sines, bare_sines, lambda size: GROUP),
}


# ---- by number of channels


def through(kind: str, parameters: Callable[[int], Mapping[str, Any]], count: int = 1) -> Callable[[int], Edits]:
    """As many inputs as outputs, through `count` nodes of all channels one after another."""

    def edits(channels: int) -> Edits:
        names = ["in", *(f"{kind}{k}" for k in range(count)), "out"]
        nodes = [node(name, kind, channels, parameters(channels)) for name in names[1:-1]]
        return nodes + [wire(a, n, b, n) for a, b in pairwise(names) for n in range(channels)]

    return edits


def generated(channels: int) -> Edits:
    """One sine with a frequency for each channel."""
    edits = [node("sine", "sine", channels, {"frequency": [100.0 + n for n in range(channels)]}, 0)]
    return edits + [wire("sine", n, "out", n) for n in range(channels)]


def tapped(channels: int) -> Edits:
    """Inputs into the ring of a tap."""
    tap = {"op": "add", "node": "tap", "kind": "tap", "inputs": channels, "parameters": {}}
    return [tap, *(wire("in", n, "tap", n) for n in range(channels))]


def bare_copy(channels: int) -> Block:
    """A plain copy of the block: what moving the samples once costs."""
    data, outdata = source(channels), np.zeros((FRAMES, channels), np.float32)

    def block(index: int) -> None:
        outdata[...] = data[index % SOURCES]

    return block


def _response(channels: int) -> Mapping[str, Any]:
    taps = SAMPLERATE // 10
    decay = np.random.default_rng(2).standard_normal(taps) * np.exp(-6.9 * np.arange(taps) / taps) / taps**0.5
    return {"ir": Array("f4", (taps,), decay.astype(np.float32).tobytes())}


def _mixture(channels: int) -> Mapping[str, Any]:
    gains = np.random.default_rng(2).uniform(-1, 1, (channels, channels)) / channels
    return {"gain": Array("f8", gains.shape, gains.tobytes())}


CHANNELS = {
    "4 gains": Case(through("gain", lambda channels: {"gain": 0.7}, 4), bare_copy),
    "tap": Case(tapped, bare_copy, ring=True),
    "sine": Case(generated, bare_copy),
    "delay": Case(through("delay", lambda channels: {"frames": 480.0}), bare_copy),
    "A-weighting": Case(through("weight", lambda channels: {"weight": "A"}), bare_copy),
    "convolver, 0.1 s": Case(through("convolver", _response), bare_copy, warm=60),
    "matrix, all to all": Case(through("matrix", _mixture), bare_copy, power=2),
}
