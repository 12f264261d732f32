"""The late part of a long convolution: large parts whose work is done in small slots of equal cost.

A large part is `SLOTS` small ones. While one is collected, the spectra of the one before are taken and multiplied; what
comes out is heard after that, two large parts later than the first frame of its input. So the response that a tail
convolves with begins at tap 2·SLOTS·part. Uniformly partitioned overlap-save, as in `convolution.py`.

Each channel begins its large parts at another slot, so that the transforms of all channels never fall together; and
what a channel does when depends on no other one, so that a tail can move to a node of other channels as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.memory import mapped
from asmu_engine.rt.transform import Spectra, Transform

SLOTS = 16
"""A power of two."""
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

    number: int
    begins: bool
    first: int
    last: int
    ends: bool

    @property
    def works(self) -> bool:
        """False where nothing is left to do."""
        return self.begins or self.ends or self.first < self.last


class Tail:
    """The late convolutions of some channels.

    Parameters
    ----------
    plan
        The transform and scratch.
    spectra
        Of the responses, from `TailPlan.spectra_of`, one for each channel; may be shared.
    """

    def __init__(self, plan: TailPlan, spectra: Sequence[Spectra]) -> None:
        self._plan = plan
        # Rings of two large parts, part by part: what was heard last, and what is heard next.
        self._heard = np.zeros((2 * SLOTS, len(spectra), plan.part), dtype=np.float32)
        self._due = np.zeros_like(self._heard)
        self._at = 0
        self.channels = [TailChannel(plan, responses) for responses in spectra]
        slots = slots_of(len(spectra[0]))
        # Channel by channel, the work of each step that has some.
        phases = [int(f"{channel % SLOTS:0{SLOTS.bit_length() - 1}b}"[::-1], 2) for channel in range(len(spectra))]
        self._work = [
            [(channel, slot) for channel, phase in enumerate(phases) if (slot := slots[(step + phase) % SLOTS]).works]
            for step in range(SLOTS)
        ]

    def step(self, samples: NDArray[np.float32], due: NDArray[np.float32]) -> None:
        """Take `part` new samples of each channel, do a step's work, and add to `due` what is heard in the next `part` frames."""
        at = self._at
        for channel, slot in self._work[at % SLOTS]:
            # What a channel does in the first of its slots covers the ring, the oldest sample of which comes now.
            self.channels[channel].work(slot, self._heard[:, channel], self._due[:, channel], at)
        self._heard[at] = samples
        self._at = at = (at + 1) % (2 * SLOTS)
        np.add(due, self._due[at], out=due)

    def reset(self) -> None:
        """Forget what came before."""
        self._heard.fill(0)
        self._due.fill(0)
        self._at = 0
        for channel in self.channels:
            channel.reset()

    def adopt(self, previous: Tail) -> None:
        """Channels that stay go on with what another tail heard, whose responses have as many parts; others are at rest.

        The two exchange what is large where they can: nothing large is copied, and nothing freed, which would take the
        callback milliseconds.
        """
        self._at = previous._at
        if len(self.channels) == len(previous.channels):
            self._heard, previous._heard = previous._heard, self._heard
            self._due, previous._due = previous._due, self._due
        else:
            shared = slice(min(len(self.channels), len(previous.channels)))
            self._heard[:, shared] = previous._heard[:, shared]
            self._due[:, shared] = previous._due[:, shared]
        for new, old in zip(self.channels, previous.channels, strict=False):
            new.adopt(old)


class TailChannel:
    """The spectra that one channel heard, and their sum of products in work.

    Parameters
    ----------
    plan
        Shared with the other channels.
    spectra
        Of the response.
    """

    _newest: int
    _filled: int

    def __init__(self, plan: TailPlan, spectra: Spectra) -> None:
        self._plan = plan
        self._spectra = spectra
        self._parts = len(spectra)
        self.history = mapped((self._parts, plan.large + 1))
        self._sum = np.empty(plan.large + 1, dtype=np.complex64)
        self.reset()

    def reset(self) -> None:
        """Forget what came before. The spectra are not cleared but no longer looked at: they are large."""
        self._newest = self._parts - 1
        self._filled = 0
        self._sum.fill(0)

    def adopt(self, previous: TailChannel) -> None:
        """Go on with what the same channel of another tail heard, in exchange."""
        for name in ("history", "_sum", "_newest", "_filled"):
            mine = getattr(self, name)
            setattr(self, name, getattr(previous, name))
            setattr(previous, name, mine)

    def work(self, slot: Slot, heard: NDArray[np.float32], due: NDArray[np.float32], at: int) -> None:
        """A slot's work: read the two large parts that are complete, the oldest small one at `at` in the ring; write to `due`."""
        plan, transform = self._plan, self._plan.transform
        if slot.begins:
            samples = transform.samples.reshape(heard.shape)
            samples[: len(heard) - at] = heard[at:]
            samples[len(heard) - at :] = heard[:at]
            transform.forward()
            self._newest = (self._newest + 1) % self._parts
            self._filled = min(self._filled + 1, self._parts)
            self.history[self._newest] = transform.spectra[0]
            self._sum.fill(0)
        # Place s of the ring holds the input that is (newest - s) parts old, and meets that part of the response.
        last = min(slot.last, self._filled)
        self._multiply(slot.first, min(last, self._newest + 1), self._parts - 1 - self._newest)
        self._multiply(max(slot.first, self._newest + 1), last, -self._newest - 1)
        if slot.ends:
            transform.products[0] = self._sum
            transform.backward()
            # Heard from one large part after the first slot on.
            result = transform.result[0, plan.large :].reshape(SLOTS, plan.part)
            start = (at + SLOTS - slot.number) % len(due)
            first = min(SLOTS, len(due) - start)
            due[start : start + first] = result[:first]
            due[: SLOTS - first] = result[first:]

    def _multiply(self, first: int, last: int, offset: int) -> None:
        plan = self._plan
        for start in range(first, last, _AT_ONCE):
            stop = min(start + _AT_ONCE, last)
            products = plan.products[: stop - start]
            np.multiply(self.history[start:stop], self._spectra[start + offset : stop + offset], out=products)
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
    slots = [Slot(n, n == 0, border[n], border[n + 1], n == used - 1) for n in range(used)]
    return slots + [Slot(n, False, parts, parts, False) for n in range(used, SLOTS)]
