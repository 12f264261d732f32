"""What analyzers hand out: an array that knows where it is from and whether it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FACTS = ("position", "lost", "skipped", "clipped")


class Result(np.ndarray[Any, np.dtype[Any]]):
    """A numpy array with four facts about the frames that it was made from.

    It is an ndarray in every other respect. What numpy makes of it carries the facts on; of two results with different
    positions combined into one (``a + b``) the counts are added, of two with the same the larger is kept. A reduction to
    a single number is a plain number. `np.asarray` gives the plain array.

    Attributes
    ----------
    position
        Frame position of the first frame.
    lost
        Frames among them that the device lost; they count as zeros.
    skipped
        Frames right before them that were overwritten before anybody fetched them; 0: it follows the result before it
        without a gap. Not counted with ``latest=True``.
    clipped
        Samples, over all channels, at or beyond full scale: not inside (-1, 1).
    """

    position: int
    lost: int
    skipped: int
    clipped: int

    def __new__(cls, data: ArrayLike, position: int = 0, lost: int = 0, skipped: int = 0, clipped: int = 0) -> Self:
        """A view of `data` as a result."""
        result = np.asarray(data).view(cls)
        result.position, result.lost, result.skipped, result.clipped = position, lost, skipped, clipped
        return result

    def __array_finalize__(self, source: NDArray[Any] | None) -> None:
        for fact in _FACTS:
            setattr(self, fact, getattr(source, fact, 0))

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if return_scalar:
            return array[()]
        result = array.view(type(self))
        result._take_facts(self)
        for other in context[1] if context else ():
            if isinstance(other, Result) and other is not self:
                result._merge_facts(other)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        reduced: Any = super().__reduce__()
        make, arguments, state = reduced
        return make, arguments, (state, tuple(getattr(self, fact) for fact in _FACTS))

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state[0])
        for fact, value in zip(_FACTS, state[1], strict=True):
            setattr(self, fact, value)

    def of(self, data: ArrayLike) -> Result:
        """Other values, computed from these frames, with the same facts."""
        return Result(data, self.position, self.lost, self.skipped, self.clipped)

    def _take_facts(self, other: Result) -> None:
        for fact in _FACTS:
            setattr(self, fact, getattr(other, fact))

    def _merge_facts(self, other: Result) -> None:
        join = max if other.position == self.position else int.__add__
        self.lost, self.clipped = join(self.lost, other.lost), join(self.clipped, other.clipped)
        self.skipped = join(self.skipped, other.skipped)
        self.position = min(self.position, other.position)


def count_clipped(data: NDArray[Any]) -> int:
    """Samples that are not inside (-1, 1); those that are no number too."""
    if data.size and data.max() < 1.0 and data.min() > -1.0:
        return 0  # most buffers: half the time of counting; a comparison with NaN is false
    return int(data.size - np.count_nonzero(np.abs(data) < 1.0))
