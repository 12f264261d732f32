"""Is the recording what was played? Sample by sample, with the delay found from the recording itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

NOISE_SEED: Final = 20_251
NOISE_AMPLITUDE: Final = 0.5
_SEARCH_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Verdict:
    """What the comparison found.

    Attributes
    ----------
    exact
        Every recorded sample is the one that was played, bit for bit, and silence stands before the first.
    delay_frames
        By how many frames the recording is later.
    first_difference
        Recorded frame of the first sample that differs; None when exact.
    differing_samples
        How many samples differ.
    worst
        Largest difference.
    """

    exact: bool
    delay_frames: int
    first_difference: int | None
    differing_samples: int
    worst: float


def played_noise(frames: int, channels: int) -> Samples:
    """The first `frames` frames of the Noise that the demo plays, shape (frames, channels), from its definition."""
    numbers = np.random.Generator(np.random.PCG64(NOISE_SEED)).random((frames, channels), dtype=np.float32)
    return (numbers * np.float32(2) - np.float32(1)) * np.float32(NOISE_AMPLITUDE)


def find_delay(played: Samples, recorded: Samples, samplerate: float) -> int:
    """Frames by which `recorded` is later than `played`, from the peak of their cross-correlation; 0 for silence.

    Arrays of shape (frames, channels); the channel with the most energy is looked at, up to two seconds of it.
    """
    length = min(len(played), len(recorded), int(_SEARCH_SECONDS * samplerate))
    if length == 0:
        return 0
    channel = int(np.argmax(np.square(recorded[:length], dtype=np.float64).sum(axis=0)))
    spectrum = np.fft.rfft(recorded[:length, channel], 2 * length) * np.conj(np.fft.rfft(played[:length, channel], 2 * length))
    correlation = np.fft.irfft(spectrum)[:length]
    return int(np.argmax(np.abs(correlation))) if np.any(recorded[:length]) else 0


def compare(expected: Samples, recorded: Samples, delay_frames: int) -> Verdict:
    """Hold `recorded` against `expected` (both (frames, channels)) moved back by `delay_frames`, with silence before."""
    wanted = np.zeros_like(recorded)
    moved = expected[: max(len(recorded) - delay_frames, 0)]
    wanted[delay_frames : delay_frames + len(moved)] = moved
    difference = np.abs(recorded.astype(np.float64) - wanted)
    wrong = difference > 0
    frames = np.flatnonzero(wrong.any(axis=1))
    return Verdict(
        exact=len(recorded) > 0 and frames.size == 0,
        delay_frames=delay_frames,
        first_difference=int(frames[0]) if frames.size else None,
        differing_samples=int(wrong.sum()),
        worst=float(difference.max(initial=0.0)),
    )
