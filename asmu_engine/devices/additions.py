"""What is added at the inputs of a simulated device: a tone, noise, a sound file. Allocation-free once made.

Levels are in dBFS after AES17: 0 dBFS is the rms of a sine whose peak is 1.0, which is ``1/sqrt(2)``.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asmu_engine.devices.base import Block
from asmu_engine.devices.soundfile_io import source_sound


class Addition(Protocol):
    """Something that sounds at the inputs."""

    def add(self, indata: Block, position: int) -> None:
        """Add itself to `indata`, shape (frames, inputs), whose first frame is at `position`."""

    def reset(self) -> None:
        """Start again."""


class Tone:
    """``peak * sin(2 pi f n / samplerate)`` at frame position n, the same at each input."""

    def __init__(self, frequency: float, level_dbfs: float, samplerate: float, blocksize: int, inputs: int) -> None:
        self._frequency = frequency
        self._samplerate = samplerate
        self._peak = 10.0 ** (level_dbfs / 20.0)
        self._steps = np.arange(blocksize) * (2.0 * math.pi * frequency / samplerate)
        self._phase = np.empty(blocksize)
        # As wide as the inputs: numpy adds arrays of one shape without a buffer, and others with one.
        self._tone = np.empty((blocksize, inputs), dtype=np.float32)

    def add(self, indata: Block, position: int) -> None:
        """Add the tone."""
        frames = len(indata)
        phase, tone = self._phase[:frames], self._tone[:frames]
        # Whole turns are taken off first, so that the phase of a late position is as good as that of the first.
        turns = math.fmod(position * self._frequency, self._samplerate) / self._samplerate
        np.add(self._steps[:frames], 2.0 * math.pi * turns, out=phase)
        np.sin(phase, out=phase)
        np.multiply(phase, self._peak, out=phase)
        np.copyto(tone, phase[:, np.newaxis])
        np.add(indata, tone, out=indata)

    def reset(self) -> None:
        """Nothing to do: the phase follows from the position."""


class Noise:
    """White Gaussian noise, independent at each input, the same on every run."""

    def __init__(self, level_dbfs: float, seed: int, blocksize: int, inputs: int) -> None:
        self._seed = seed
        self._rms = np.float32(10.0 ** (level_dbfs / 20.0) / math.sqrt(2.0))
        self._values = np.empty((blocksize, inputs), dtype=np.float32)
        self._generator = np.random.default_rng(seed)

    def add(self, indata: Block, position: int) -> None:
        """Add the next frames of the noise; it goes on where it was, whatever `position` is."""
        values = self._values[: len(indata)]
        self._generator.standard_normal(out=values, dtype=np.float32)
        np.multiply(values, self._rms, out=values)
        np.add(indata, values, out=indata)

    def reset(self) -> None:
        """The noise from its seed."""
        self._generator = np.random.default_rng(self._seed)


class Sound:
    """A sound file, looped; frame 0 of the file is at position 0."""

    def __init__(self, path: str, samplerate: float, rows: NDArray[np.intp], blocksize: int) -> None:
        self._sound = source_sound(path, samplerate, rows)
        self._part = np.empty((blocksize, len(rows)), dtype=np.float32)

    def add(self, indata: Block, position: int) -> None:
        """Add the frames of the file that are due."""
        frames, length, done = len(indata), len(self._sound), 0
        while done < frames:
            start = (position + done) % length
            count = min(frames - done, length - start)
            np.copyto(self._part[done : done + count], self._sound[start : start + count])
            done += count
        np.add(indata, self._part[:frames], out=indata)

    def reset(self) -> None:
        """Nothing to do: the place in the file follows from the position."""
