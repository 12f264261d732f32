"""Convolution of a stream with finite impulse responses: exact, without latency, at an even load.

The response is cut in three [1][2]:

- the first `part` taps are a direct sum, so that nothing is late (`direct.py`);
- what follows, up to twice a large part or to the end of a response that is not much longer, is uniformly partitioned
  overlap-save [3]: each time `part` frames are complete, their spectrum meets those of the parts of the response, which
  gives the next `part` frames;
- the rest is the same with large parts, whose work is spread over the time until it is due (`tail.py`).

Parts lie on a grid from the first frame on, however blocks are cut, and the direct sum has the same terms in the same
order for each frame: the samples are the same, to the bit, for any blocks.

[1] W. G. Gardner, Efficient convolution without input-output delay, J. Audio Eng. Soc. 43 (3), 1995.
[2] G. García, Optimal filter partition for efficient convolution with short input/output delay, AES 113, 2002.
[3] F. Wefers, Partitioned convolution algorithms for real-time auralization, Logos, 2015, section 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.acore import Block
from asmu_engine.rt.direct import DirectSum, frames_after
from asmu_engine.rt.guard import Guard
from asmu_engine.rt.tail import SLOTS, Tail, TailPlan
from asmu_engine.rt.transform import Transform, is_smooth

LONGEST_PART, SHORTEST_PART = 256, 32
_EARLY_ALONE = 48
"""Parts up to which small ones alone cost less than large ones with their transforms; measured."""
_CHANNELS_AT_ONCE = 8
"""The products of so many channels stay in the cache until they are summed."""


class Convolution:
    """Each channel with its own impulse response, or all with one.

    Parameters
    ----------
    taps
        Impulse responses, shape (taps, channels) or (taps, 1), at least one tap. Computed in float32.
    channels
        Columns of the blocks.
    blocksize
        Most frames a block; the load is most even where all blocks have it.
    """

    def __init__(self, taps: NDArray[np.floating], channels: int, blocksize: int) -> None:
        self.part = part = part_of(blocksize)
        self.channels = channels
        self.taps = len(taps)
        self._guard = Guard(blocksize, channels)
        self._at = 0
        self._due = np.zeros((channels, part), dtype=np.float32)
        self._last = np.zeros((channels, part), dtype=np.float32)
        parts = -(-self.taps // part)
        self._early = (parts if parts <= _EARLY_ALONE else 2 * SLOTS) - 1
        self._late = -(-self.taps // (SLOTS * part)) - 2 if parts > _EARLY_ALONE else 0
        self._tail: Tail | None = None
        if self._early > 0:
            self._prepare_early(taps[part : (1 + self._early) * part].T)
        else:
            self._window = np.zeros((channels, 2 * part + frames_after(part)), dtype=np.float32)
        if self._late > 0:
            plan = TailPlan(part)
            # Views of single columns: a copy of all would hold up the audio thread when its memory is given back.
            spectra = [plan.spectra_of(response) for response in taps[2 * SLOTS * part :].T]
            self._tail = Tail(plan, [spectra[channel % len(spectra)] for channel in range(channels)])
        self._direct = DirectSum(taps[:part], self._window, part)

    def _prepare_early(self, responses: NDArray[np.floating]) -> None:
        part, early, channels = self.part, self._early, self.channels
        self._transform = Transform(channels, 2 * part, spare=frames_after(part))
        self._window = self._transform.samples
        padded = np.zeros((len(responses), early * part))
        padded[:, : responses.shape[1]] = responses
        spectra = np.fft.rfft(padded.reshape(len(responses), early, part), 2 * part, axis=2) / (2 * part)
        # As wide as the blocks, which numpy multiplies fastest; backwards and twice: for any place of the newest input
        # in its ring, one slice has the order that fits.
        wide = np.empty((2 * early, channels, part + 1), dtype=np.complex64)
        wide[:early] = wide[early:] = spectra.transpose(1, 0, 2)[::-1]
        self._spectra = wide
        self._history = np.zeros((early, channels, part + 1), dtype=np.complex64)
        self._products = np.empty((early, min(channels, _CHANNELS_AT_ONCE), part + 1), dtype=np.complex64)
        self._products.fill(0)  # its pages are in memory before the first block
        self._newest = 0

    def process(self, inputs: Block, outputs: Block) -> None:
        """Convolve (frames, channels) with what came before; what is no finite number counts as silence."""
        part, window = self.part, self._window
        inputs = self._guard.clean(inputs)
        frames, done = len(inputs), 0
        while done < frames:
            at = self._at
            count = min(part - at, frames - done)
            window[:, part + at : part + at + count] = inputs[done : done + count].T
            now = self._direct.compute(at, at + count)
            if self._early > 0:
                np.add(now, self._due[:, at : at + count], out=now)
            outputs[done : done + count] = now.T
            done += count
            self._at = at + count
            if self._at == part:
                self._finish_part()
                self._at = 0

    def _finish_part(self) -> None:
        """A part is complete: what it and those before contribute to the next one."""
        part, window, due = self.part, self._window, self._due
        if self._early > 0:
            transform, newest = self._transform, self._newest
            transform.forward()
            self._history[newest] = transform.spectra
            # history[newest - k] meets part k of the response.
            shift = self._early - 1 - newest
            spectra = self._spectra[shift : shift + self._early]
            for first in range(0, self.channels, _CHANNELS_AT_ONCE):
                some = slice(first, first + _CHANNELS_AT_ONCE)
                products = self._products[:, : self.channels - first]
                np.multiply(self._history[:, some], spectra[:, some], out=products)
                np.add.reduce(products, axis=0, out=transform.products[some])
            transform.backward()
            due[...] = transform.result[:, part:]
            self._newest = (newest + 1) % self._early
        if self._tail is not None:
            self._tail.step(window[:, part : 2 * part], due)
        # By way of another array: numpy would move data within one through a temporary copy.
        self._last[...] = window[:, part : 2 * part]
        window[:, :part] = self._last

    def reset(self) -> None:
        """Forget what came before."""
        self._window.fill(0)
        self._due.fill(0)
        self._at = 0
        if self._early > 0:
            self._history.fill(0)
            self._newest = 0
        if self._tail is not None:
            self._tail.reset()

    def adopt(self, previous: Convolution) -> None:
        """Go on where another stands, whose channels or taps may differ; channels that it lacks are at rest.

        Of responses with as many parts all that was heard stays, of others only what the direct sum needs.
        """
        shared = slice(0, min(self.channels, previous.channels))
        self._at = previous._at
        self._window[shared] = previous._window[shared]
        if (self._early, self._late) != (previous._early, previous._late):
            return
        self._due[shared] = previous._due[shared]
        if self._early > 0:
            self._newest = previous._newest
            if self.channels == previous.channels:
                # Large: neither copied nor freed here, but exchanged.
                self._history, previous._history = previous._history, self._history
            else:
                self._history[:, shared] = previous._history[:, shared]
        if self._tail is not None and previous._tail is not None:
            self._tail.adopt(previous._tail)


def part_of(blocksize: int) -> int:
    """Frames of a part: the block, or the largest equal pieces of it up to `LONGEST_PART`, so that every block does the same.

    >>> [part_of(n) for n in (64, 256, 1000, 1024, 441, 1, 509)]
    [64, 256, 250, 256, 147, 32, 256]
    """
    if blocksize < SHORTEST_PART:
        return SHORTEST_PART
    for pieces in range(1, blocksize // SHORTEST_PART + 1):
        part, rest = divmod(blocksize, pieces)
        if not rest and part <= LONGEST_PART and is_smooth(part):
            return part
    return LONGEST_PART
