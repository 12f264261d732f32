"""The late part of a long convolution: large parts whose work is done in small slots of equal cost.

A large part is `SLOTS` small ones. While one is collected, the spectra of the one before are taken and multiplied; what
comes out is heard after that, two large parts later than the first frame of its input. So the response that a tail
convolves with begins at tap 2·SLOTS·part. Uniformly partitioned overlap-save, as in `convolution.py`.

Each channel begins its large parts at another slot, so that the transforms of all channels never fall together; and
what a channel does when depends on no other one, so that a tail can move to a node of other channels as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.memory import mapped
from asmu_engine.rt.transform import Spectra, Transform

SLOTS = 16
_TRANSFORM_COST = 6.0
"""Cost of a transform in multiplications of one part; measured."""
_LEAST_COST = 8.0
"""Below this a slot's work is not worth its calls: fewer slots do more."""
_AT_ONCE = 8
"""Parts that are multiplied in one call: their products stay in the cache."""


class TailPlan:
    """What the tails of all channels share: the transform and scratch, used by one after the other.

    Parameters
    ----------
    part
        Frames of a small part.
    """

    def __init__(self, part: int) -> None:
        self.part = part
        self.large = SLOTS * part
        self.transform = Transform(1, 2 * self.large)
        bins = self.large + 1
        self.products = np.empty((_AT_ONCE, bins), dtype=np.complex64)
        self.sum = np.empty(bins, dtype=np.complex64)

    def spectra_of(self, response: NDArray[np.floating]) -> Spectra:
        """Spectra of the large parts of a response, backwards, shape (parts, large + 1), scaled for the way back."""
        large = self.large
        parts = -(-len(response) // large)
        spectra = mapped((parts, large + 1))
        for part in range(parts):
            # One at a time: a long response makes no huge temporary array.
            piece = response[part * large : (part + 1) * large].astype(np.float64)
            spectra[parts - 1 - part] = np.fft.rfft(piece, 2 * large) / (2 * large)
        return spectra


@dataclass(frozen=True)
class Slot:
    """What one slot does: begin with the transform, multiply places `first` to `last` of the ring, end with the way back."""

    begins: bool
    first: int
    last: int
    ends: bool


class Tail:
    """The late convolution of one channel.

    Parameters
    ----------
    plan
        Shared with the other channels.
    spectra
        Of the response, from `TailPlan.spectra_of`; may be shared.
    channel
        Number of the channel, from 0; decides where its large parts begin.
    """

    _slot: int
    _collecting: int
    _heard: int
    _newest: int
    _filled: int

    def __init__(self, plan: TailPlan, spectra: Spectra, channel: int) -> None:
        self._plan = plan
        self._spectra = spectra
        self._parts = len(spectra)
        self._slots = slots_of(self._parts)
        self._phase = int(f"{channel % SLOTS:04b}"[::-1], 2)
        self._history = mapped((self._parts, plan.large + 1))
        self._sum = np.empty(plan.large + 1, dtype=np.complex64)
        # Collected, complete, and the one before: three places by turns. And what is heard now and next.
        self._inputs = np.zeros((3, plan.large), dtype=np.float32)
        self._outputs = np.zeros((2, plan.large), dtype=np.float32)
        self.reset()

    def step(self, samples: NDArray[np.float32], due: NDArray[np.float32]) -> None:
        """Take `part` new samples, do a slot's work, and add what this contributes to the next `part` frames to `due`."""
        part = self._plan.part
        start = self._slot * part
        self._inputs[self._collecting, start : start + part] = samples
        self._work(self._slots[self._slot])
        self._slot += 1
        if self._slot == SLOTS:
            self._slot = 0
            self._collecting = (self._collecting + 1) % 3
            self._heard = 1 - self._heard
        start = self._slot * part
        np.add(due, self._outputs[self._heard, start : start + part], out=due)

    def reset(self) -> None:
        """Forget what came before. The spectra are not cleared but no longer looked at: they are large."""
        self._inputs.fill(0)
        self._outputs.fill(0)
        self._slot = self._phase
        self._collecting = 0
        self._heard = 0
        self._newest = self._parts - 1
        self._filled = 0
        self._sum.fill(0)

    def adopt(self, previous: Tail) -> None:
        """Go on with what the tail of the same channel heard, for a response of as many parts.

        The two exchange their arrays: nothing large is copied, and nothing freed, which would take the callback milliseconds.
        """
        for name in ("_history", "_sum", "_inputs", "_outputs", "_slot", "_collecting", "_heard", "_newest", "_filled"):
            mine = getattr(self, name)
            setattr(self, name, getattr(previous, name))
            setattr(previous, name, mine)

    def _work(self, slot: Slot) -> None:
        plan, transform = self._plan, self._plan.transform
        if slot.begins:
            transform.samples[0, : plan.large] = self._inputs[(self._collecting + 1) % 3]
            transform.samples[0, plan.large :] = self._inputs[(self._collecting + 2) % 3]
            transform.forward()
            self._newest = (self._newest + 1) % self._parts
            self._filled = min(self._filled + 1, self._parts)
            self._history[self._newest] = transform.spectra[0]
            self._sum.fill(0)
        # Place s of the ring holds the input that is (newest - s) parts old, and meets that part of the response.
        last = min(slot.last, self._filled)
        self._multiply(slot.first, min(last, self._newest + 1), self._parts - 1 - self._newest)
        self._multiply(max(slot.first, self._newest + 1), last, -self._newest - 1)
        if slot.ends:
            transform.products[0] = self._sum
            transform.backward()
            self._outputs[1 - self._heard] = transform.result[0, plan.large :]

    def _multiply(self, first: int, last: int, offset: int) -> None:
        plan = self._plan
        for start in range(first, last, _AT_ONCE):
            stop = min(start + _AT_ONCE, last)
            products = plan.products[: stop - start]
            np.multiply(self._history[start:stop], self._spectra[start + offset : stop + offset], out=products)
            np.add.reduce(products, axis=0, out=plan.sum)
            np.add(self._sum, plan.sum, out=self._sum)


def slots_of(parts: int) -> list[Slot]:
    """The work for a response of so many large parts in slots of equal cost; those at the end may have none.

    >>> [(slot.begins, slot.last - slot.first, slot.ends) for slot in slots_of(10)[:4]]
    [(True, 5, False), (False, 5, True), (False, 0, False), (False, 0, False)]
    """
    cost = 2 * _TRANSFORM_COST + parts
    used = int(min(SLOTS, max(1.0, cost // _LEAST_COST)))
    border = [round(cost * slot / used - _TRANSFORM_COST) for slot in range(used + 1)]
    border = [min(max(places, 0), parts) for places in border]
    border[-1] = parts
    slots = [Slot(n == 0, border[n], border[n + 1], n == used - 1) for n in range(used)]
    return slots + [Slot(False, parts, parts, False)] * (SLOTS - used)
