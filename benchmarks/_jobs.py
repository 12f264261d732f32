"""The five jobs that `benchmarks.peers` gives to every engine, and what each must render, in closed form.

numpy alone is imported here: the processes of the peers read this file with interpreters that have nothing else of ours.

Input c of a job is the sine ``AMPLITUDE sin(2π k_c n / PERIOD)`` at frame n, k_c a whole number: each fits a whole number
of times into `PERIOD` frames, so that a sound that is looped has no seam, and no peer's phase, whatever its number format,
drifts away from the closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLERATE, FRAMES = 48000, 256
PERIOD = 65536
AMPLITUDE = 0.5
TAPS = 48000
METER_FRAMES = 4800
TOLERANCE = 1e-4
GAINS = 4

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """One job with the numbers that it is done with.

    Attributes
    ----------
    name
        ``sines``, ``gains``, ``weighting``, ``convolution`` or ``meter``.
    channels
        Sines, or inputs.
    inputs, outputs
        Channels of the device that the job takes.
    settle
        Frames after which the closed form holds: a filter has forgotten that its input began.
    cycles
        k_c: cycles of each input in `PERIOD` frames, shape (channels,).
    gains
        Factor of each gain, shape (channels, GAINS).
    sos
        Second-order sections, shape (sections, 6), of the weighting; else none.
    ir
        Impulse responses, shape (TAPS, channels), of the convolution; else none.
    """

    name: str
    channels: int
    inputs: int
    outputs: int
    settle: int
    cycles: NDArray[np.int64]
    gains: Floats = field(default_factory=lambda: np.ones((0, GAINS)))
    sos: Floats = field(default_factory=lambda: np.zeros((0, 6)))
    ir: Samples = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def frequencies(self) -> Floats:
        """Frequency of each input, Hz, shape (channels,)."""
        return np.asarray(self.cycles * (SAMPLERATE / PERIOD))

    def inputs_at(self, first: int, frames: int) -> Floats:
        """The inputs (of ``sines``: the sines, of peak 1) from frame `first` on, shape (frames, channels)."""
        peak = 1.0 if self.name == "sines" else AMPLITUDE
        return np.asarray(peak * np.sin(self._phases(first, frames)))

    def expected(self, first: int, frames: int) -> Floats:
        """What it renders from frame `first` on, shape (frames, outputs); of ``meter`` what is recorded."""
        if self.name in ("weighting", "convolution"):
            turned = self.response() * np.exp(1j * self._phases(first, frames))
            return np.asarray(AMPLITUDE * turned.imag)
        signals = self.inputs_at(first, frames)
        if self.name == "meter":
            return signals
        signals = signals * self.gains.prod(axis=1)
        return signals if self.name == "gains" else np.repeat(signals.mean(axis=1, keepdims=True), 2, axis=1)

    def levels(self, first: int, frames: int) -> Floats:
        """Root mean square of each input over `frames` frames from `first` on, shape (channels,)."""
        angle = 2 * np.pi * self.cycles / PERIOD
        # The sum of cos(2 angle n): a geometric series.
        ripple = np.sin(angle * frames) / np.sin(angle) * np.cos(angle * (2 * first + frames - 1))
        return np.asarray(AMPLITUDE * np.sqrt(0.5 - ripple / (2 * frames)))

    def response(self) -> NDArray[np.complex128]:
        """Complex response of the filter of each channel at the frequency of its input, shape (channels,)."""
        angle = 2 * np.pi * self.cycles / PERIOD
        if self.name == "convolution":
            back = np.exp(-1j * np.outer(np.arange(len(self.ir)), angle))
            return np.asarray(np.sum(self.ir * back, axis=0))
        delays = np.exp(-1j * np.outer(np.arange(3), angle))
        return np.asarray(np.prod((self.sos[:, :3] @ delays) / (self.sos[:, 3:] @ delays), axis=0))

    def save(self, path: Path) -> None:
        """Write it down for a peer's process."""
        about = np.array([self.channels, self.inputs, self.outputs, self.settle])
        arrays: dict[str, Any] = {"cycles": self.cycles, "gains": self.gains, "sos": self.sos, "ir": self.ir}
        np.savez(path, name=np.array(self.name), about=about, **arrays)

    @classmethod
    def load(cls, path: Path) -> Job:
        """What `save` wrote."""
        with np.load(path) as data:
            channels, inputs, outputs, settle = map(int, data["about"])
            arrays = {key: data[key] for key in ("cycles", "gains", "sos", "ir")}
            return cls(str(data["name"]), channels, inputs, outputs, settle, **arrays)

    def _phases(self, first: int, frames: int) -> Floats:
        turns = np.outer(np.arange(first, first + frames), self.cycles) % PERIOD
        return np.asarray(turns * (2 * np.pi / PERIOD))


def sines(channels: int = 64) -> Job:
    """So many sines of different frequency, each through 4 gains, their mean to 2 outputs."""
    return Job("sines", channels, 0, 2, 0, _cycles(channels), _gains(channels))


def gains(channels: int = 64) -> Job:
    """So many inputs through 4 gains to as many outputs."""
    same = np.repeat(_gains(1), channels, axis=0)
    return Job("gains", channels, channels, channels, 0, _cycles(channels), same)


def weighting(sos: Floats, channels: int = 32) -> Job:
    """So many inputs with frequency weighting A, as second-order sections, to as many outputs."""
    return Job("weighting", channels, channels, channels, 16384, _cycles(channels), sos=sos)


def convolution(channels: int = 8) -> Job:
    """So many inputs, each convolved with an impulse response of its own of 1 s, to as many outputs."""
    decay = np.exp(-6.9 * np.arange(TAPS) / TAPS)
    noise = np.random.default_rng(6).standard_normal((TAPS, channels))
    ir = (noise * decay[:, np.newaxis] / 60).astype(np.float32)
    return Job("convolution", channels, channels, channels, TAPS + 8192, _cycles(channels), ir=ir)


def meter(channels: int = 128) -> Job:
    """So many inputs recorded to a file and their level measured, the root mean square over 0.1 s."""
    return Job("meter", channels, channels, 0, 0, _cycles(channels))


def _cycles(channels: int) -> NDArray[np.int64]:
    """From 93.75 Hz on in steps of 11.7 Hz."""
    return 128 + 16 * np.arange(channels)


def _gains(channels: int) -> Floats:
    """A factor of its own for each of the gains."""
    return np.asarray(0.9 - 0.05 * np.arange(GAINS) - 0.001 * np.arange(channels)[:, np.newaxis])
