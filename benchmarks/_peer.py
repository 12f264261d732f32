"""What the process of a peer does, whichever engine it has: check one job, then time it.

A peer is run by the interpreter that has its engine, as ``python -m benchmarks._peer_NAME JOB_FILE FOLDER``, takes orders
from stdin, a line each, and answers with a line of JSON:

- ``check PATH``: render the job and write what came out to PATH (see `Rendered`);
- ``time SECONDS``: time it in steady state, for about so long.

It imports nothing but numpy and `benchmarks._jobs` beside its engine.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

from benchmarks._jobs import SAMPLERATE, Job, Samples

_REPEATS = 3
_SHORTEST = 16
_MOST = 1 << 18


class Unable(Exception):
    """The engine has no means for this job; the text says why."""


@dataclass
class Rendered:
    """What a peer rendered.

    Attributes
    ----------
    data
        Samples, shape (frames, outputs); of the job ``meter`` those recorded.
    first
        Frame of the inputs that the first of them belongs to: a peer that is so many frames late says so here.
    levels
        Of the job ``meter``: what the meter showed, shape (channels,), over the `level_frames` frames from `level_first` on.
    late
        Frames from an input to its output: the latency of the peer's algorithm.
    """

    data: Samples
    first: int
    levels: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    level_first: int = 0
    level_frames: int = 0
    late: int = 0

    def save(self, path: Path) -> None:
        """Write it down for the benchmark's own process."""
        about = np.array([self.first, self.level_first, self.level_frames, self.late])
        np.savez(path, data=self.data, levels=self.levels, about=about)

    @classmethod
    def load(cls, path: Path) -> Rendered:
        """What `save` wrote."""
        with np.load(path) as data:
            first, level_first, level_frames, late = map(int, data["about"])
            return cls(data["data"], first, data["levels"], level_first, level_frames, late)


class Peer(Protocol):
    """An engine with one job in it."""

    def check(self) -> Rendered:
        """Render the job from its beginning until the closed form holds for a while."""

    def time(self, seconds: float) -> dict[str, float]:
        """Time it for about `seconds`: ``us_per_block``, and whatever else is known."""

    def close(self) -> None:
        """End whatever was started."""


def slope(run: Callable[[int], float], seconds: float) -> float:
    """Time of a block, µs, from the difference of a long and a short run, so that what a run takes at its begin is no part.

    The peers give the time that their process had the processor: what other programs take from them is not held against them.

    Parameters
    ----------
    run
        Run so many blocks; the seconds that it took.
    seconds
        About how long the blocks are to take altogether.
    """
    begin = min(run(_SHORTEST), run(_SHORTEST))
    blocks, enough = 4 * _SHORTEST, seconds / (2 * _REPEATS)
    while (taken := run(blocks) - begin) < enough and blocks < _MOST:
        # Not by more than 8 at a time: what is measured of a few blocks is not much.
        blocks = min(_MOST, blocks * max(2, min(8, round(enough / max(taken, 1e-6)))))
    short = blocks // 4
    taken_us = [1e6 * (run(blocks) - run(short)) / (blocks - short) for _ in range(_REPEATS)]
    return median(taken_us)


def read_wav(path: Path) -> Samples:
    """The samples of a WAV file of 32-bit floats, shape (frames, channels); an engine need not have closed it yet."""
    data = path.read_bytes()
    channels = int.from_bytes(data[22:24], "little")
    start = data.index(b"data") + 8
    whole = (len(data) - start) // (4 * channels)
    return np.frombuffer(data, "<f4", whole * channels, start).reshape(whole, channels).copy()


def write_wav(path: Path, samples: Samples) -> None:
    """One channel as a WAV file of 32-bit floats; `samples` has the shape (frames,)."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, SAMPLERATE, 4 * SAMPLERATE, 4, 32)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data)


def serve(make: Callable[[Job, Path], Peer], versions: Callable[[], dict[str, str]]) -> None:
    """Have the process do what it is told until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints is no answer
    try:
        peer = make(Job.load(Path(sys.argv[1])), Path(sys.argv[2]))
    except Unable as error:
        _answer(answers, {"unable": str(error)})
        return
    _answer(answers, {"versions": versions()})
    try:
        for line in sys.stdin:
            order, _, value = line.strip().partition(" ")
            if order == "check":
                rendered = peer.check()
                rendered.save(Path(value))
                _answer(answers, {"late": rendered.late})
            else:
                _answer(answers, peer.time(float(value)))
    finally:
        peer.close()


def _answer(stream: Any, value: dict[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()
