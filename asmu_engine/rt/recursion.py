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

Matrix = NDArray[np.float64]

PIECE = 32
"""Frames that are unrolled: longer pieces cost more products a frame, shorter ones more calls. (Measured for orders 8 to
16 at 1 to 64 channels: 32 is the best or within a tenth of it.)"""


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
        self.order = filter_.order
        self._unrolled = _unroll(filter_, PIECE)
        # States at the beginning of the present piece, then its inputs as far as they are known.
        self._vector = np.zeros((self.order + PIECE, channels))
        self._result = np.zeros((PIECE + self.order, channels))
        self._scratch = np.empty((PIECE, channels), dtype=bool)
        self._at = 0

    @property
    def state(self) -> Matrix:
        """States before the first frame of the present piece, shape (order, channels); a view, to be set at the start."""
        return self._vector[: self.order]

    def process(self, inputs: Block, outputs: Block) -> None:
        """Filter (frames, channels); `outputs` may be `inputs`."""
        order, vector, result, at = self.order, self._vector, self._result, self._at
        frames = len(inputs)
        clean = all_finite(inputs)
        done = 0
        while done < frames:
            count = min(PIECE - at, frames - done)
            known = vector[order + at : order + at + count]
            known[...] = inputs[done : done + count]
            if not clean:
                zero_unless_finite(known, self._scratch[:count])
            np.matmul(self._unrolled, vector, out=result)
            outputs[done : done + count] = result[at : at + count]
            done += count
            at += count
            if at == PIECE:
                vector[:order] = result[PIECE:]
                at = 0
        self._at = at
        if order and not all_finite(vector[:order]):
            # Only an unstable filter comes here; at rest it is heard again, as NaN it would be silent for ever.
            self.reset()

    def reset(self) -> None:
        """Back to rest."""
        self._vector.fill(0)
        self._at = 0

    def adopt(self, previous: Recursion) -> None:
        """Go on where another with the same filter and other channels stands; channels that it lacks are at rest."""
        shared = min(self._vector.shape[1], previous._vector.shape[1])
        self._vector[:, :shared] = previous._vector[:, :shared]
        self._at = previous._at


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
