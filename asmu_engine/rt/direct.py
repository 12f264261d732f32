"""The first taps of a convolution as a direct sum: what is heard in the very frame in which it comes in.

`LINE` neighbouring frames are one row of samples times one matrix, in which the response stands once a frame, each time one
place further: most of its weights are the response, and a product of matrices runs several times as fast as single sums.
Several rows make one product, always of the same shape and of the same frames. Samples that are not there yet have
weight 0, so that every frame is the same sum in the same order, to the bit, however blocks are cut.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from asmu_engine.rt.acore import Block

LINE = 16
MOST_AT_ONCE = 128
"""Frames of a product: more make it faster, and what a cut repeats longer."""
_CHANNELS_AT_ONCE = 16
"""Rows of so many channels stay in the cache while they are multiplied."""


def products_of(part: int) -> tuple[int, int]:
    """How many products a part is, and how many lines each of them has; together they may reach beyond the part.

    >>> [products_of(part) for part in (64, 147, 256)]
    [(1, 4), (2, 5), (2, 8)]
    """
    products = -(-part // MOST_AT_ONCE)
    return products, -(-part // (products * LINE))


def frames_after(part: int) -> int:
    """Frames by which the products of a part reach beyond it; the window must have them too.

    >>> [frames_after(part) for part in (64, 147, 256)]
    [0, 13, 0]
    """
    products, lines = products_of(part)
    return products * lines * LINE - part


class DirectSum:
    """Each channel with its own taps, or all with the same.

    Parameters
    ----------
    taps
        Shape (taps, channels) or (taps, 1); at most `part` taps. Computed in float32.
    window
        The samples of the part before and of the present one, shape (channels, 2·part + `frames_after`); all finite.
    part
        Frames a part.

    Attributes
    ----------
    result
        Shape (channels, part): the sums that were computed last.
    """

    def __init__(self, taps: NDArray[np.floating], window: NDArray[np.float32], part: int) -> None:
        channels, reach = len(window), len(taps)
        products, lines = products_of(part)
        self._product = lines * LINE
        width = reach + LINE
        # weights[line frame, width]: tap t of frame n meets the sample at reach + n - t.
        weights = np.zeros((taps.shape[1], LINE, width), dtype=np.float32)
        for frame in range(LINE):
            weights[:, frame, frame + 1 : frame + 1 + reach] = taps[::-1].T
        self._lines = np.empty((min(channels, _CHANNELS_AT_ONCE), products, lines, width), dtype=np.float32)
        self._lines.fill(0)  # its pages are in memory before the first block
        sums = np.zeros((channels, products, lines, LINE), dtype=np.float32)
        self.result: NDArray[np.float32] = sums.reshape(channels, products * lines * LINE)[:, :part]
        row, step = window.strides
        shape, strides = (channels, products, lines, width), (row, lines * LINE * step, LINE * step, step)
        heard = as_strided(window[:, part - reach :], shape, strides, writeable=False)
        weights_of = np.broadcast_to(weights.transpose(0, 2, 1)[:, None], (channels, 1, width, LINE))
        starts = range(0, channels, _CHANNELS_AT_ONCE)
        groups = [slice(start, min(start + _CHANNELS_AT_ONCE, channels)) for start in starts]
        self._groups = [
            (self._lines[: group.stop - group.start], heard[group], weights_of[group], sums[group]) for group in groups
        ]

    def compute(self, start: int, stop: int) -> Block:
        """The sums of frames `start` to `stop` of the part, whose samples are in the window; (channels, frames), a view."""
        first, last = start // self._product, -(-stop // self._product)
        for lines, heard, weights, sums in self._groups:
            lines[:, first:last] = heard[:, first:last]
            np.matmul(lines[:, first:last], weights, out=sums[:, first:last])
        return self.result[:, start:stop]
