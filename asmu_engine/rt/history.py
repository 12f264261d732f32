"""The newest rows of a signal together with those right before them, in one piece of memory."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64, np.int64)


class History(Generic[Number]):
    """Rows (frames, channels) that are appended block by block, with at least `past` older ones always before them.

    Rows are moved to the front only when the memory is used up, so a block costs its own rows and seldom more, and
    nothing is allocated.

    Parameters
    ----------
    past
        Older rows to keep.
    blocksize
        Most rows that are appended at once.
    channels
        Columns.
    dtype
        Type of a value.
    first
        Value of all rows before the first appended one.
    """

    def __init__(self, past: int, blocksize: int, channels: int, dtype: type[Number], first: float = 0) -> None:
        self.past = past
        self._first = first
        self._end = past
        # Twice the past, so that source and target of a move never overlap.
        self._rows: NDArray[Any] = np.empty((2 * past + blocksize, channels), dtype=dtype)
        self.reset()

    def extend(self, frames: int) -> NDArray[Number]:
        """The next `frames` rows, to be written by the caller."""
        if self._end + frames > len(self._rows):
            self._rows[: self.past] = self._rows[self._end - self.past : self._end]
            self._end = self.past
        self._end += frames
        return self._rows[self._end - frames : self._end]

    def window(self, frames: int) -> NDArray[Number]:
        """The newest `frames` rows and the `past` ones before them, shape (past + frames, channels)."""
        return self._rows[self._end - frames - self.past : self._end]

    def reset(self) -> None:
        """As at the beginning."""
        self._rows.fill(self._first)
        self._end = self.past

    def adopt(self, previous: History[Number]) -> None:
        """Columns that both have go on with the past of another of the same `past`; the others are as at the beginning."""
        shared = min(self._rows.shape[1], previous._rows.shape[1])
        self.reset()
        self._rows[: self.past, :shared] = previous._rows[previous._end - self.past : previous._end, :shared]
