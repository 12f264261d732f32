"""Recursive (IIR) filters of many channels in numpy, a short piece at a time as one matrix product.

A filter x' = A·x + B·u, y = C·x + D·u is unrolled over L frames: the outputs of a piece and the state after it are one
constant matrix times (state before it, inputs of the piece), the same for all channels. No loop over frames remains, and
nothing is allocated.

Pieces lie on a grid from the first frame on, however blocks are cut: a block that ends within a piece gets its frames
from the same product, in which later inputs have weight 0, and the next one computes that piece again. So every frame
is the result of the same sum in the same order, and the samples do not depend on the cuts, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.acore import Block
from asmu_engine.rt.finite import all_finite, zero_unless_finite
from asmu_engine.rt.stackable import Columns

Matrix = NDArray[np.float64]

PIECE = 32
"""Frames that are unrolled: longer pieces cost more products a frame, shorter ones more calls. (Measured for orders 8 to
16 at 1 to 64 channels: 32 is the best or within a tenth of it.)"""

AT_ONCE = 8
"""Pieces that are copied in and out together."""


@dataclass(frozen=True)
class StateSpace:
    """A linear filter of one input and one output, states in the order of its sections."""

    a: Matrix
    b: Matrix
    c: Matrix
    d: float

    @property
    def order(self) -> int:
        """Number of states."""
        return len(self.b)

    def then(self, other: StateSpace) -> StateSpace:
        """This filter followed by another."""
        n, m = self.order, other.order
        a = np.zeros((n + m, n + m))
        a[:n, :n] = self.a
        a[n:, :n] = np.outer(other.b, self.c)
        a[n:, n:] = other.a
        b = np.concatenate([self.b, other.b * self.d])
        c = np.concatenate([other.d * self.c, other.c])
        return StateSpace(a, b, c, other.d * self.d)

    def scaled(self, factor: float) -> StateSpace:
        """This filter with its output times `factor`."""
        return StateSpace(self.a, self.b, self.c * factor, self.d * factor)

    def covariance(self) -> Matrix:
        """Covariance of the states, shape (order, order), while white noise of variance 1 runs through a stable filter.

        The solution of P = A·P·Aᵀ + B·Bᵀ (discrete Lyapunov equation).
        """
        n = self.order
        equations = np.eye(n * n) - np.kron(self.a, self.a)
        return np.asarray(np.linalg.solve(equations, np.outer(self.b, self.b).ravel()), dtype=np.float64).reshape(n, n)


def from_sections(sections: Sequence[Sequence[float]]) -> StateSpace:
    """Second-order sections, each (b0, b1, b2, 1, a1, a2) as scipy.signal writes them, as one cascade."""
    cascade = StateSpace(np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0)
    for section in np.asarray(sections, dtype=np.float64):
        b0, b1, b2, _, a1, a2 = section / section[3]
        # Transposed direct form II: y = b0·u + s1, s1' = b1·u − a1·y + s2, s2' = b2·u − a2·y.
        a = np.array([[-a1, 1.0], [-a2, 0.0]])
        b = np.array([b1 - a1 * b0, b2 - a2 * b0])
        # A section of first order has one state; the other would be 0 for ever.
        order = 2 if b2 or a2 else 1 if b1 or a1 else 0
        cascade = cascade.then(StateSpace(a[:order, :order], b[:order], np.eye(2)[0, :order], float(b0)))
    return cascade


class Recursion:
    """A running filter, the same for each channel, with a state a channel.

    Input samples that are NaN or infinite count as 0, so that they cannot stay in the state.

    Parameters
    ----------
    filter_
        What to run.
    channels
        Number of columns.
    """

    def __init__(self, filter_: StateSpace, channels: int) -> None:
        self.order = order = filter_.order
        self._unrolled = _unroll(filter_, PIECE)
        self._powers = _powers(filter_.a, PIECE)
        # Piece after piece: (states before it; its inputs; its outputs). The states after it are the next one's, so that each
        # product writes what the next one reads, and a run of pieces is copied in and out at once.
        rows = order + 2 * PIECE
        self._rows = np.zeros((AT_ONCE * rows + order, channels))
        self._vectors = [self._rows[start : start + order + PIECE] for start in range(0, AT_ONCE * rows, rows)]
        self._results = [self._rows[start + order + PIECE :][: PIECE + order] for start in range(0, AT_ONCE * rows, rows)]
        pieces = self._rows[: AT_ONCE * rows].reshape(AT_ONCE, rows, channels)
        self._inputs, self._outputs = pieces[:, order : order + PIECE], pieces[:, order + PIECE :]
        self._scratch = np.empty((PIECE, channels), dtype=bool)
        self._states = np.empty((2, order, channels))
        self._at = 0
        self._fresh = True

    @property
    def state(self) -> Matrix:
        """States before the first frame of the present piece, shape (order, channels); a view, to be set at the start."""
        return self._rows[: self.order]

    def process(self, inputs: Block, outputs: Block) -> None:
        """Filter (frames, channels); `outputs` may be `inputs`."""
        self._fresh = False
        frames, done = len(inputs), 0
        clean = all_finite(inputs)
        while done < frames:
            pieces = min((frames - done) // PIECE, AT_ONCE) if not self._at else 0
            stop = done + (pieces * PIECE or min(PIECE - self._at, frames - done))
            if pieces:
                self._run(pieces, inputs[done:stop], outputs[done:stop], clean)
            else:
                self._begin(inputs[done:stop], outputs[done:stop], clean)
            done = stop
        if self.order and not all_finite(self.state):
            # Only an unstable filter comes here; at rest it is heard again, as NaN it would be silent for ever.
            self.reset()

    def _run(self, pieces: int, inputs: Block, outputs: Block, clean: bool) -> None:
        """Whole pieces, at most `AT_ONCE`."""
        shape = (pieces, PIECE, inputs.shape[1])
        known = self._inputs[:pieces]
        known[...] = inputs.reshape(shape)
        if not clean:
            for piece in known:
                zero_unless_finite(piece, self._scratch)
        product = self._unrolled.dot  # as a method, a third of np.matmul's overhead
        for piece in range(pieces):
            product(self._vectors[piece], self._results[piece])
        outputs.reshape(shape)[...] = self._outputs[:pieces]
        self.state[...] = self._results[pieces - 1][PIECE:]

    def _begin(self, inputs: Block, outputs: Block, clean: bool) -> None:
        """Frames of one piece, of which those before are known, and those after may be yet to come."""
        start, stop = self._at, self._at + len(inputs)
        known = self._inputs[0, start:stop]
        known[...] = inputs
        if not clean:
            zero_unless_finite(known, self._scratch[: len(inputs)])
        self._unrolled.dot(self._vectors[0], self._results[0])
        outputs[...] = self._outputs[0, start:stop]
        if stop == PIECE:
            self.state[...] = self._results[0][PIECE:]
        self._at = stop % PIECE

    def reset(self) -> None:
        """Back to rest."""
        self._rows.fill(0)
        self._at = 0
        self._fresh = True

    def rest(self, columns: Columns) -> None:
        """Some columns back to rest."""
        self._rows[: self.order + self._at, columns] = 0

    def adopt(self, previous: Recursion) -> None:
        """Go on where another with a filter of the same order and other channels stands; channels that it lacks stay."""
        shared = slice(min(self._rows.shape[1], previous._rows.shape[1]))
        self.carry(previous, shared, shared)

    def carry(self, previous: Recursion, mine: Columns, theirs: Columns) -> None:
        """Columns `mine` go on where columns `theirs` of another with a filter of the same order stand.

        Both have heard the same frames last. Where they began at different frames, and so cut time into different pieces,
        this one begins a new piece here: its samples are the same but for the rounding of float64.
        """
        if self._fresh:
            # Nothing but rest: its present piece may have begun where the other's did.
            self._at, self._fresh = previous._at, False
        if self._at == previous._at:
            known = slice(self.order + self._at)
            self._rows[known, mine] = previous._rows[known, theirs]
            return
        self.state[...] = self._now()
        self._rows[self.order : self.order + PIECE] = 0
        self._at = 0
        self.state[:, mine] = previous._now()[:, theirs]

    def _now(self) -> Matrix:
        """States before the next frame; good until the next call."""
        now, heard, order, at = *self._states, self.order, self._at
        np.matmul(self._powers[at], self.state, out=now)
        if at:
            # The last weights are those of the last inputs before a state, however many these are.
            np.matmul(self._unrolled[PIECE:, order + PIECE - at :], self._inputs[0, :at], out=heard)
            np.add(now, heard, out=now)
        return now


def _unroll(filter_: StateSpace, frames: int) -> Matrix:
    """(outputs of `frames` frames; state after) = matrix · (state before; inputs of `frames` frames)."""
    n = filter_.order
    matrix = np.zeros((frames + n, n + frames))
    power = np.eye(n)
    answers = []  # C·Aᵏ·B, the impulse response after D
    for frame in range(frames):
        matrix[frame, :n] = filter_.c @ power
        answers.append(filter_.c @ power @ filter_.b)
        power = filter_.a @ power
    for frame in range(frames):
        matrix[frame, n + frame] = filter_.d
        for earlier in range(frame):
            matrix[frame, n + earlier] = answers[frame - earlier - 1]
    matrix[frames:, :n] = power
    column = filter_.b
    for earlier in reversed(range(frames)):
        matrix[frames:, n + earlier] = column
        column = filter_.a @ column
    return np.ascontiguousarray(matrix)


def _powers(a: Matrix, last: int) -> Matrix:
    """A⁰ to A to the power `last`, shape (last + 1, order, order)."""
    powers = [np.eye(len(a))]
    for _ in range(last):
        powers.append(a @ powers[-1])
    return np.stack(powers)
