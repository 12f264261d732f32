"""How late a path through an engine on the virtual device is: from an output to an input, and from an input to an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import asmu_control as asmu
from asmu_engine.shm.block import RingBlock
from benchmarks._growing import SAMPLERATE

CASES = ((32, 0), (64, 1), (256, 0), (256, 480), (1000, 4801), (1024, 48_000))
"""Frames of a block, and delay of the device's loopback."""

DELAYS = (0, 1, 77, 9600)
"""Frames of the Delays between the inputs and the outputs."""

SEED = 6
"""Of the noise."""

HEARD = 4096
"""Frames of noise that are compared at the end of the longest path."""


def round_trips() -> list[dict[str, Any]]:
    """A row for each path: the frames by which it is late as measured, and as they should be."""
    return [row for blocksize, system in CASES for row in _measure(blocksize, system)]


def _measure(blocksize: int, system: int) -> list[dict[str, Any]]:
    """Each input is compared with what was played before it."""
    heard = hear(blocksize, system, DELAYS)
    if heard.lost or heard.skipped:
        raise SystemExit(f"the machine was held up for too long: {heard.lost + heard.skipped} frames of the noise are lost")
    rows = []
    for hop, delay in enumerate((0, *DELAYS)):
        late, same = _lateness(heard.data[:, hop], heard.data[:, hop + 1])
        row = {"blocksize": blocksize, "loopback_delay": system, "delay_node": delay if hop else ""}
        rows.append({**row, "expected_frames": blocksize + system + delay, "late_frames": late, "samples_equal": same})
    return rows


def hear(blocksize: int, system: int, delays: Sequence[int]) -> RingBlock:
    """Noise on output 1 → input 1 → Delay → output 2 → input 2 and so on, a hop for each delay: what was played, and every input.

    `blocksize`, `system` (the loopback's delay) and `delays` are in frames; at least `HEARD` of the last input are noise.
    """
    hops = len(delays)
    frames = HEARD + (hops + 1) * (blocksize + system) + sum(delays)
    device = f"virtual:inputs={hops + 1},outputs={hops + 1},delay_frames={system}"
    seconds = max(10.0, 2 * frames / SAMPLERATE)
    interface = asmu.Interface(device=device, samplerate=SAMPLERATE, blocksize=blocksize, ring_seconds=seconds)
    noise = asmu.generator.Noise(interface, seed=SEED)
    tap = asmu.analyzer.Tap(interface, channels=hops + 2)
    noise.output().connect(interface.ioutput(ch=1))
    noise.output().connect(tap.input(0))
    for hop, delay in enumerate(delays, 1):
        line = asmu.effect.Delay(interface, delay)
        interface.iinput(ch=hop).connect(line.input())
        line.output().connect(interface.ioutput(ch=hop + 1))
    for ch in range(1, hops + 2):
        interface.iinput(ch=ch).connect(tap.input(ch))
    with interface:
        interface.open()
        interface.start(drop=0)
        return next(tap.blocks(frames, start=0, timeout=30 + seconds))


def _lateness(played: np.ndarray, heard: np.ndarray) -> tuple[int, int]:
    """By how many frames what is heard is late, and how many samples are the very ones that were played; -1 where one is not."""
    late = int(np.flatnonzero(heard)[0] - np.flatnonzero(played)[0])
    same = len(heard) - late
    return (late, same) if np.array_equal(heard[late:], played[:same]) else (-1, 0)
