"""The graph compiled to a run order: steps over preallocated buffers, with the fewest copies that its wiring allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from asmu_engine.rt.acore import ACore, Block

# (columns of the destination, source buffer or None for the device's input, columns of the source)
Gather = tuple[slice, Block | None, slice]


@dataclass
class Step:
    """One call of one core.

    Attributes
    ----------
    run
        The core's method: process, or for a delay line in a cycle emit or absorb.
    inputs, outputs
        Buffers of (blocksize, ports); `inputs` None reads the device's input as it comes.
    gathers
        Copies into `inputs` before the call; none where a producer's buffer is read in place.
    """

    core: ACore
    run: Callable[[Block, Block], None]
    inputs: Block | None
    outputs: Block
    gathers: Sequence[Gather] = ()
    failed: bool = False
    error: Exception | None = None
    nanoseconds: int = 0
    calls: int = 0

    def silence(self, error: Exception) -> None:
        """Run no more, for what the core raised, and give silence to whoever listens."""
        self.failed = True
        self.error = error
        self.outputs.fill(0)


@dataclass
class Schedule:
    """Steps in run order, then the copies into the device's output.

    A core that raises is silenced and noticed; the others go on.
    """

    steps: list[Step] = field(default_factory=list)
    output: list[tuple[slice, Block | None, slice]] = field(default_factory=list)
    blocksize: int = 0
    profiling: bool = False

    def run(self, indata: Block, outdata: Block) -> list[Step] | None:
        """Process one block of at most `blocksize` frames; returns the steps that failed in it, None when all went well."""
        frames = outdata.shape[0]
        whole = frames == self.blocksize
        failures: list[Step] | None = None
        for step in self.steps:
            if step.failed:
                continue
            inputs = step.inputs
            if inputs is None:
                inputs = indata
            elif not whole:
                inputs = inputs[:frames]
            for target, source, columns in step.gathers:
                inputs[:, target] = indata[:, columns] if source is None else source[:frames, columns]
            started = time.perf_counter_ns() if self.profiling else 0
            try:
                step.run(inputs, step.outputs if whole else step.outputs[:frames])
            except Exception as error:  # noqa: BLE001 - whatever a core raises, the audio goes on
                step.silence(error)
                failures = [*(failures or ()), step]
            if self.profiling:
                step.nanoseconds += time.perf_counter_ns() - started
                step.calls += 1
        for target, source, columns in self.output:
            outdata[:, target] = indata[:, columns] if source is None else source[:frames, columns]
        return failures


def contiguous_runs(pairs: Sequence[tuple[int, int, int]]) -> list[tuple[slice, int, slice]]:
    """Merge (destination column, source key, source column) into as few slice copies as possible, in the given order."""
    runs: list[list[int]] = []
    for target, key, column in pairs:
        if runs and runs[-1][1] == key and runs[-1][0] + runs[-1][3] == target and runs[-1][2] + runs[-1][3] == column:
            runs[-1][3] += 1
        else:
            runs.append([target, key, column, 1])
    return [(slice(t, t + n), key, slice(c, c + n)) for t, key, c, n in runs]


def silence(frames: int, channels: int) -> Block:
    """A buffer of zeros, its pages touched so that the first block finds them in memory."""
    buffer = np.empty((frames, channels), dtype=np.float32)
    buffer.fill(0)
    return buffer
