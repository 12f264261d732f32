"""Gain, one a channel, clickless."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.stackable import Columns, Stackable

RAMP_SECONDS = 0.005
"""A new gain is reached in a straight line over this time."""
_PIECE: Final = 64
_FEW: Final = 4
"""So many different ramps, or new gains, are quicker one by one than all channels at once."""


class AGain(Stackable, AEffect):
    """Output n is input n times its gain. A change is a straight line over 5 ms, in whole frames, never a step."""

    kind = "gain"
    parameters = (Parameter("gain", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True, doc="factor"),)
    remembered: ClassVar[tuple[str, ...]] = ("_from", "_to", "_rise", "_left")
    follows: ClassVar[bool] = True

    gain: np.ndarray
    moving: int = 0

    def prepare(self) -> None:
        """The factors of a block without ramps, and scratch for ramps."""
        frames, channels = self.setup.blocksize, self.channels
        self._length = max(1, round(RAMP_SECONDS * self.setup.samplerate))
        scratch = self.setup.context.scratch
        self._count = _count(frames)
        self._slope = scratch("gain slope", (frames,), np.float64)
        self._factors = scratch("gain factors", (frames, 1), np.float32)
        self._from = np.empty(channels, dtype=np.float64)
        self._to = np.empty(channels, dtype=np.float64)
        self._rise = np.zeros(channels, dtype=np.float64)
        self._left = np.zeros(channels, dtype=np.float64)
        self._past = np.empty(channels, dtype=np.float64)
        # A table, since to multiply by a row takes numpy twice the time.
        self._table = np.zeros((frames, channels), dtype=np.float32)
        piece = min(_PIECE, frames)
        self._lines = scratch("gain lines", (piece, channels), np.float64)
        self._piece = scratch("gain piece", (piece, channels), np.float32)
        self._over = scratch("gain over", (piece, channels), np.bool_)
        self._ramps: list[slice] = []
        self._behind = False  # what follows from the state waits for the next block: a transaction may change many channels
        self.reset()

    def process(self, inputs: Block, outputs: Block) -> None:
        """One multiplication a sample, or two while a ramp runs."""
        if self._behind:
            self._catch_up()
        if self._uniform:
            np.multiply(inputs, self._steady, out=outputs)
        else:
            np.multiply(inputs, self._table[: len(outputs)], out=outputs)
        if self.moving:
            self._ramp(inputs, outputs)

    def _ramp(self, inputs: Block, outputs: Block) -> None:
        """Gains of a ramp are start + (target − start)·n/length, by frame number alone."""
        frames = len(outputs)
        stop = min(frames, self.moving)
        if len(self._ramps) <= _FEW:
            for columns in self._ramps:
                self._ramp_alike(columns, inputs, outputs)
        else:
            for first in range(0, stop, _PIECE):
                self._ramp_all(first, inputs[first:stop], outputs[first:stop])
        np.subtract(self._left, frames, out=self._left)
        np.maximum(self._left, 0.0, out=self._left)
        self.moving = max(0, self.moving - frames)

    def _ramp_alike(self, columns: slice, inputs: Block, outputs: Block) -> None:
        """Neighbours with the same ramp."""
        first = columns.start
        left = int(self._left[first])
        done = min(left, len(outputs))
        slope, factors = self._slope[:done], self._factors[:done]
        np.add(self._count[:done], float(self._length - left), out=slope)
        np.multiply(slope, self._rise[first], out=slope)
        np.add(slope, self._from[first], out=slope)
        factors[:, 0] = slope
        np.multiply(inputs[:done, columns], factors, out=outputs[:done, columns])

    def _ramp_all(self, first: int, inputs: Block, outputs: Block) -> None:
        """Up to a piece of frames of all channels, from the block's frame `first` on, each where its own ramp stands."""
        frames = min(len(outputs), _PIECE)
        count = self._count[first : first + frames, None]
        lines, factors, over = self._lines[:frames], self._piece[:frames], self._over[:frames]
        np.subtract(self._length, self._left, out=self._past)
        np.add(count, self._past, out=lines)
        np.multiply(lines, self._rise, out=lines)
        np.add(lines, self._from, out=lines)
        factors[...] = lines
        np.greater(count, self._left, out=over)
        np.copyto(factors, self._table[:frames], where=over)
        np.multiply(inputs[:frames], factors, out=outputs[:frames])

    def changed_at(self, name: str, columns: Columns) -> None:
        """Ramp from where the gain stands now, to one that is another."""
        those = range(self.channels)[columns] if isinstance(columns, slice) else columns
        if self._begin_one(int(those[0])) if len(those) == 1 else self._begin(columns):
            self.version += 1
            self.moving = self._length
            self._behind = True

    def _begin_one(self, channel: int) -> bool:
        """The same with single numbers, which take Python a third of the time that numpy has for arrays of one."""
        target, former = float(self.gain[channel]), float(self._to[channel])
        if target == former:
            return False
        begin = float(self._from[channel])
        begin += (former - begin) * ((self._length - float(self._left[channel])) / self._length)
        self._from[channel], self._to[channel] = begin, target
        self._rise[channel] = (target - begin) / self._length
        self._left[channel] = self._length
        return True

    def _begin(self, columns: Columns) -> bool:
        other = self.gain[columns] != self._to[columns]
        if not other.any():
            return False
        if not other.all():
            columns = np.arange(self.channels)[columns][other]
        share = (self._length - self._left[columns]) / self._length
        begin = self._from[columns] + (self._to[columns] - self._from[columns]) * share
        self._from[columns] = begin
        self._to[columns] = self.gain[columns]
        self._rise[columns] = (self.gain[columns] - begin) / self._length
        self._left[columns] = self._length
        return True

    def reset(self) -> None:
        """The gain at once."""
        self._from[:] = self._to[:] = self.gain
        self._left[:] = 0
        self.carried()

    def skip(self, frames: int) -> None:
        """Ramps go on unheard."""
        np.maximum(self._left - frames, 0.0, out=self._left)
        self.version += 1
        self._settle()

    def follow(self, previous: AGain, mine: Columns, theirs: Columns) -> None:
        """Ramps are so much further."""
        if previous.moving or self.moving:
            self._left[mine] = previous._left[theirs]
            self.version += 1
            self._settle()

    def carried(self) -> None:
        """What follows from the state, which is another now."""
        self.version += 1
        self._catch_up()

    def _catch_up(self) -> None:
        """The factors of the channels that have others now, and what else follows from the state."""
        self._behind = False
        if self.channels > 1:
            new = np.flatnonzero(self._table[0] != self.gain.astype(np.float32))
            if len(new) == self.channels:
                self._table[...] = self.gain
            elif len(new) > _FEW:
                self._table[:, new] = self.gain[new]
            else:
                for channel in new.tolist():
                    self._table[:, channel] = self.gain[channel]
        self._settle()

    def _settle(self) -> None:
        """One number where all channels have the same; and which neighbours have the same ramp."""
        self._steady = np.float32(self.gain[0])
        if self.channels == 1:
            self._uniform = True
            self.moving = int(self._left[0])
            self._ramps = [slice(0, 1)] if self.moving else []
            return
        self._uniform = bool((self.gain == self.gain[0]).all())
        ramping = np.flatnonzero(self._left)
        self.moving = int(self._left.max())
        if len(ramping) <= _FEW:
            self._ramps = [slice(channel, channel + 1) for channel in ramping.tolist()]
            return
        other = np.diff(ramping) != 1
        for values in (self._left, self._from, self._rise):
            other |= np.diff(values[ramping]) != 0
        edges = [0, *(np.flatnonzero(other) + 1).tolist(), len(ramping)]
        self._ramps = [slice(int(ramping[a]), int(ramping[b - 1]) + 1) for a, b in pairwise(edges)]


@lru_cache(maxsize=4)
def _count(frames: int) -> NDArray[np.float64]:
    """The numbers from 1 on, for all gains."""
    count = np.arange(1, frames + 1, dtype=np.float64)
    count.flags.writeable = False
    return count
