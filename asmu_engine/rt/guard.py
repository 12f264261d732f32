"""What is no number is kept out of cores that remember: one NaN in a recursion or a spectrum would stay or spread."""

from __future__ import annotations

import numpy as np

from asmu_engine.rt.acore import Block
from asmu_engine.rt.finite import sums_up

LIMIT = 1e30
"""Samples beyond this count as no numbers too: sums and products of them would leave the range of float32."""


class Guard:
    """Gives blocks in which NaN, infinities and what is beyond ±`LIMIT` are silence.

    Parameters
    ----------
    frames, channels
        Shape of the largest block.
    """

    def __init__(self, frames: int, channels: int) -> None:
        self._copy = np.empty((frames, channels), dtype=np.float32)
        self._bad = np.empty((frames, channels), dtype=bool)

    def clean(self, block: Block) -> Block:
        """The block itself where it is sound, else a repaired copy that is good until the next call."""
        if block.flags.c_contiguous and sums_up(block):
            return block
        frames = len(block)
        copy, bad = self._copy[:frames], self._bad[:frames]
        np.absolute(block, out=copy)
        # A comparison with NaN is false.
        np.less_equal(copy, np.float32(LIMIT), out=bad)
        if bad.all():
            return block
        np.logical_not(bad, out=bad)
        np.copyto(copy, block)
        np.copyto(copy, np.float32(0.0), where=bad)
        return copy
