"""Exact convolution of a stream with impulse responses, with no latency, for blocks of any size.

Uniformly partitioned overlap-save [1]: the impulse response is cut into parts of the block size, each part is a
multiplication of spectra, and their sum is transformed back once. A block that does not fill a part is computed
with zeros in its rest, which is exact for the frames that are there since none of them depends on a later one, and
again when more has come. In double precision: what reaches the float32 result is the rounding of the result.

[1] F. Wefers, Partitioned convolution algorithms for real-time auralization, Logos, 2015, section 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asmu_engine.devices.base import Block


class Convolver:
    """Each channel with its own impulse response, in place.

    Parameters
    ----------
    taps
        Impulse responses, shape (taps, channels), or (taps, 1) for all channels alike.
    channels
        Columns of the blocks.
    part
        Frames of a part; blocks of that size are the cheapest.
    """

    def __init__(self, taps: NDArray[np.float64], channels: int, part: int) -> None:
        self.taps = len(taps)
        self._part = part
        parts = -(-len(taps) // part)
        padded = np.zeros((parts * part, taps.shape[1]))
        padded[: len(taps)] = taps
        # As wide as the blocks: numpy multiplies arrays of one shape without a buffer, and others with one.
        padded = np.broadcast_to(padded, (parts * part, channels))
        spectra = np.fft.rfft(padded.reshape(parts, part, -1).transpose(0, 2, 1), 2 * part, axis=2)
        # Twice and backwards: for any place of the newest input in its ring, one slice has the order that fits.
        self._spectra = np.ascontiguousarray(np.concatenate([spectra[::-1], spectra[::-1]]))
        self._history = np.zeros((parts, channels, part + 1), dtype=np.complex128)
        self._products = np.empty_like(self._history)
        self._sum = np.empty((channels, part + 1), dtype=np.complex128)
        # Two, since numpy moves data within one array through a temporary one.
        self._window = np.zeros((channels, 2 * part))
        self._next_window = np.zeros((channels, 2 * part))
        self._result = np.empty((channels, 2 * part))
        self._newest = 0
        self._filled = 0

    def process(self, block: Block) -> None:
        """Replace `block`, shape (frames, channels), by its convolution with what came before."""
        frames, done = len(block), 0
        while done < frames:
            count = min(frames - done, self._part - self._filled)
            self._process_within_part(block[done : done + count])
            done += count

    def reset(self) -> None:
        """Forget what came before."""
        self._history.fill(0.0)
        self._window.fill(0.0)
        self._newest = self._filled = 0

    def _process_within_part(self, block: Block) -> None:
        part, parts = self._part, len(self._history)
        start = part + self._filled
        end = start + len(block)
        self._window[:, start:end] = block.T
        np.fft.rfft(self._window, axis=1, out=self._history[self._newest])
        # history[newest - k] meets part k: spectra backwards, shifted so that part 0 stands at `newest`.
        shift = parts - 1 - self._newest
        np.multiply(self._history, self._spectra[shift : shift + parts], out=self._products)
        np.add.reduce(self._products, axis=0, out=self._sum)
        np.fft.irfft(self._sum, 2 * part, axis=1, out=self._result)
        block[...] = self._result[:, start:end].T
        self._filled += len(block)
        if self._filled == part:
            self._next_window[:, :part] = self._window[:, part:]
            self._window, self._next_window = self._next_window, self._window
            self._window[:, part:] = 0.0
            self._newest = (self._newest + 1) % parts
            self._filled = 0
