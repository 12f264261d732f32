"""What a tap gets in a replay, block by block."""

from __future__ import annotations

import numpy as np

from asmu_engine.shm.reader import RingReader


class ReplayTap:
    """Zeros where the tap is not there.

    Attributes
    ----------
    block
        The present block, float32, shape (frames, channels).
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.block = np.zeros((0, channels), np.float32)
        self._reader: RingReader | None = None

    def open(self, ring: str) -> None:
        """The tap has this ring from now on."""
        self.close()
        self._reader = RingReader(ring, "first")

    def begin(self, frames: int) -> None:
        """Another block, of silence."""
        self.block = np.zeros((frames, self.channels), np.float32)

    def take(self, first: int, last: int) -> None:
        """Frames `first` to `last` of the block have been processed."""
        got = self._reader.read(last - first, copy=True) if self._reader is not None else None
        if got is not None:
            self.block[first:last, : got.data.shape[1]] = got.data

    def close(self) -> None:
        """The tap is not there from now on; harmless when it is not."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
