"""Sines, gains in a row, and a sum behind them, as one call: no node of its own, but how the schedule runs several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asmu_engine.cores.gain import AGain
from asmu_engine.cores.sine import ASine
from asmu_engine.cores.sum import ASum
from asmu_engine.rt.acore import Block


class Chain:
    """Runs cores of which each reads all outputs of the one before it, and nobody else does.

    Frames in which no gain moves are multiplied by the product of all gains, formed in float64, or added up with it as weights;
    in the others every core works for itself. Which these are is a matter of frame numbers alone, so the cuts of the blocks do
    not show.

    Parameters
    ----------
    gains
        In the order of the signal; none only between sines and a sum.
    buffers
        Outputs of all but the last core, in order, (blocksize, channels).
    sine
        What is before the gains, if there is one; then there is a sum.
    total
        The sum behind them, if there is one.
    """

    def __init__(
        self, gains: Sequence[AGain], buffers: Sequence[Block], *, sine: ASine | None = None, total: ASum | None = None
    ) -> None:
        self._gains = tuple(gains)
        self._cores = tuple(core for core in (sine, *gains, total) if core is not None)
        self._buffers = tuple(buffers)
        self._total = total
        self._mixture = None if sine is None else sine.weighted_sum()
        self._sine = sine
        channels = self._cores[0].channels
        self._product = np.ones((channels, 1), dtype=np.float64)
        self._weights = np.ones((channels, 1), dtype=np.float32)
        self._table = np.zeros((gains[0].setup.blocksize if total is None else 0, channels), dtype=np.float32)
        self._known = -1
        self._share = 1.0
        self._uniform = False
        self._steady = np.float32(1)
        self._follow()

    def process(self, inputs: Block, outputs: Block) -> None:
        """As `ACore.process`."""
        frames, moving, versions = len(outputs), 0, 0
        for gain in self._gains:
            moving = max(moving, gain.moving)
            versions += gain.version
        total = self._total
        if versions != self._known or (total is not None and total.share != self._share):
            self._follow()
        if moving:
            moving = min(moving, frames)
            self._process_each(inputs[:moving], outputs[:moving])
            if moving == frames:
                return
            inputs, outputs = inputs[moving:], outputs[moving:]
        if total is None:
            np.multiply(inputs, self._steady if self._uniform else self._table[: len(outputs)], out=outputs)
        elif self._mixture is None or self._sine is None:
            total.mix(inputs, self._weights, outputs)
        else:
            self._sine.mix(outputs, self._mixture)
            total.mixed(len(outputs))

    def _process_each(self, inputs: Block, outputs: Block) -> None:
        frames = len(outputs)
        for core, buffer in zip(self._cores, (*self._buffers, outputs), strict=True):
            target = buffer[:frames]
            core.process(inputs, target)
            inputs = target

    def _follow(self) -> None:
        """The product of the gains as they are now."""
        self._known = sum(gain.version for gain in self._gains)
        product = self._product[:, 0]
        product.fill(1.0)
        for gain in self._gains:
            np.multiply(product, gain.gain, out=product)
        self._weights[...] = self._product
        self._steady = self._weights[0, 0]
        self._uniform = bool((product == product[0]).all())
        if self._total is None and not self._uniform:
            self._table[...] = product
        elif self._total is not None:
            self._share = self._total.share
        if self._mixture is not None:
            np.multiply(product, self._share, out=self._mixture.weights)
            self._mixture.stretch = -1
