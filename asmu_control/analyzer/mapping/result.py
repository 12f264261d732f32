"""What a map hands out: a value with its place on the frame axis, where frames were skipped, and how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class MapResult(Generic[T]):
    """What the function made of one block.

    Attributes
    ----------
    value
        What it returned.
    position
        Frame position of the block's first frame.
    frames
        Frames of the block.
    lost
        Frames in the block that the device lost: zeros.
    skipped
        Frames between the block before and this one that the map was too slow for.
    utc_ns, monotonic_ns
        Times of the first frame, ns; 0 where the engine gives none.
    seconds
        For how long the function ran.
    worker
        In which worker, from 0.
    """

    value: T
    position: int
    frames: int
    lost: int
    skipped: int
    utc_ns: int
    monotonic_ns: int
    seconds: float
    worker: int

    @property
    def utc(self) -> np.datetime64:
        """UTC of the first frame; NaT where the engine gives no times."""
        return np.datetime64(self.utc_ns, "ns") if self.utc_ns else np.datetime64("NaT", "ns")


class Overrun(NamedTuple):
    """Frames that a map was too slow for: the first one's position, and how many."""

    position: int
    frames: int


@dataclass(frozen=True, slots=True)
class MapProgress:
    """How a map goes.

    Attributes
    ----------
    results
        Handed out so far.
    position
        Frame position behind the last of them.
    lag_frames
        Frames that the tap has recorded since; above `capacity` they are being overwritten.
    capacity
        Frames that the tap's ring holds.
    samplerate
        Hz.
    waiting
        Results that are done and wait for the loop.
    lost, skipped
        Frames that the device lost; that the map was too slow for.
    workers
        How many there are.
    busy
        Share of their time that they spent in the function, 0 to 1.
    speed
        Seconds of audio that were handed out in a second: 1 is real time.
    """

    results: int
    position: int
    lag_frames: int
    capacity: int
    samplerate: float
    waiting: int
    lost: int
    skipped: int
    workers: int
    busy: float
    speed: float

    @property
    def lag_seconds(self) -> float:
        """`lag_frames` in seconds."""
        return self.lag_frames / self.samplerate

    def __str__(self) -> str:
        """One line.

        >>> print(MapProgress(50, 480_000, 4_800, 480_000, 48_000.0, 0, 0, 24_000, 2, 0.415, 1.0))
        50 results, 0.10 of 10.0 s behind, 2 workers 42 % busy, 1.00 x real time; 0.500 s skipped
        """
        lost = [
            f"{frames / self.samplerate:.3f} s {what}"
            for what, frames in (("lost", self.lost), ("skipped", self.skipped))
            if frames
        ]
        return (
            f"{self.results} results, {self.lag_seconds:.2f} of {self.capacity / self.samplerate:.1f} s behind, "
            f"{self.workers} worker{'s' * (self.workers != 1)} {100 * self.busy:.0f} % busy, {self.speed:.2f} x real time"
            + (f"; {', '.join(lost)}" if lost else "")
        )
