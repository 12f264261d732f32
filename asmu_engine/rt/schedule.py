"""The graph compiled to a run order: steps over preallocated buffers, with the fewest copies that its wiring allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from asmu_engine.rt.acore import ACore, Block
from asmu_engine.rt.stackable import Columns, Stackable

OUTPUT: Final = np.empty((0, 0), dtype=np.float32)
"""Stands for the device's output where a step writes into that, and others read there."""

# (columns of the destination, source buffer, `OUTPUT`, or None for the device's input, columns of the source); numbers of columns
# pick all that the destination has.
Gather = tuple[slice, Block | None, Columns]


@dataclass(eq=False)
class Step:
    """One call of one core.

    Attributes
    ----------
    run
        The core's method: process, or for a delay line in a cycle emit or absorb.
    inputs, outputs
        Buffers of (blocksize, ports), or `OUTPUT`; `inputs` None reads the device's input as it comes.
    gathers
        Copies into `inputs` before the call; none where a producer's buffer is read in place.
    nodes
        Whose channels these are, and what share of them; of one node unless it is a stack.
    cores
        All that run in it, more than `core` where several are one call, and whose channels each runs.
    """

    core: ACore
    run: Callable[[Block, Block], None]
    inputs: Block | None
    outputs: Block
    gathers: Sequence[Gather] = ()
    nodes: Mapping[str, float] = field(default_factory=dict)
    cores: Mapping[ACore, Sequence[str]] = field(default_factory=dict)
    failed: bool = False
    error: Exception | None = None
    nanoseconds: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        self.nodes = self.nodes or {self.core.setup.node: 1.0}
        self.cores = self.cores or {self.core: tuple(self.nodes)}

    def silence(self, error: Exception) -> None:
        """Run no more, for what the core raised, and give silence to whoever listens."""
        self.failed = True
        self.error = error
        self.outputs.fill(0)


class Part(NamedTuple):
    """Channels of a node, and the columns of the core in which they run."""

    core: Stackable
    columns: Columns
    channels: Columns


class Move(NamedTuple):
    """Channels that go on in another core.

    Attributes
    ----------
    core, mine
        Where, and its channels.
    old, theirs
        Where they were.
    values
        False where they have new parameters: their node is resized.
    seen
        Version of `old` at which they were copied already; −1 where they were not.
    """

    core: Stackable
    mine: Columns
    old: Stackable
    theirs: Columns
    values: bool
    seen: int = -1

    @property
    def stands(self) -> bool:
        """True when nothing but time has changed what was copied."""
        return self.seen == self.old.version

    def follow(self) -> None:
        """Copy what time has changed."""
        self.core.follow(self.old, self.mine, self.theirs)

    def do(self) -> None:
        """Copy them."""
        if self.values:
            self.core.carry_values(self.old, self.mine, self.theirs)
        self.core.carry(self.old, self.mine, self.theirs)
        self.core.version += 1  # whoever copied from it beforehand, for an edit behind this one, has to do so again


@dataclass
class Takeover:
    """What cores take over from those of the schedule before; plain copies, done in the callback.

    Attributes
    ----------
    moves
        Channels that go on elsewhere.
    joins
        (core, its channels, former core, a channel of it): new channels of a node whose first channel that is.
    waking
        Cores that slept and are concerned: they make up for what they have not heard.
    sleeping
        Cores that are not run any more, or not yet, though they are in the patch.
    """

    moves: list[Move] = field(default_factory=list)
    joins: list[tuple[Stackable, Columns, Stackable, int]] = field(default_factory=list)
    waking: list[Stackable] = field(default_factory=list)
    sleeping: list[Stackable] = field(default_factory=list)


NOTHING: Final = Takeover()
"""What a schedule has to take over once it has done so."""


@dataclass
class Schedule:
    """Steps in run order, then the copies into the device's output.

    A core that raises is silenced and noticed; the others go on.

    Attributes
    ----------
    covers
        True when every channel of the device's output is written in every block, whatever fails; else it must be silent before.
    places
        Where the channels of stackable cores run that do not run by themselves.
    takeover
        What is to be done as it comes into effect.
    """

    steps: list[Step] = field(default_factory=list)
    output: list[Gather] = field(default_factory=list)
    blocksize: int = 0
    profiling: bool = False
    covers: bool = False
    places: Mapping[ACore, Sequence[Part]] = field(default_factory=dict)
    takeover: Takeover = field(default_factory=Takeover)

    def run(self, indata: Block, outdata: Block) -> list[Step] | None:
        """Process one block of at most `blocksize` frames; returns the steps that failed in it, None when all went well."""
        frames = outdata.shape[0]
        whole = frames == self.blocksize
        failures: list[Step] | None = None
        for step in self.steps:
            inputs, outputs = step.inputs, step.outputs
            if step.failed:
                if outputs is OUTPUT:
                    outdata.fill(0)
                continue
            if inputs is None:
                inputs = indata
            elif inputs is OUTPUT:
                inputs = outdata
            elif not whole:
                inputs = inputs[:frames]
            if outputs is OUTPUT:
                outputs = outdata
            elif not whole:
                outputs = outputs[:frames]
            for target, source, columns in step.gathers:
                block = indata if source is None else outdata if source is OUTPUT else source[:frames]
                if type(columns) is slice:
                    inputs[:, target] = block[:, columns]
                else:
                    np.take(block, columns, axis=1, out=inputs[:, target], mode="clip")
            started = time.perf_counter_ns() if self.profiling else 0
            try:
                step.run(inputs, outputs)
            except Exception as error:  # noqa: BLE001 - whatever a core raises, the audio goes on
                step.silence(error)
                outputs.fill(0)
                failures = [*(failures or ()), step]
            if self.profiling:
                step.nanoseconds += time.perf_counter_ns() - started
                step.calls += 1
        for target, source, columns in self.output:
            block = indata if source is None else source[:frames]
            if type(columns) is slice:
                outdata[:, target] = block[:, columns]
            else:
                np.take(block, columns, axis=1, out=outdata[:, target], mode="clip")
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
