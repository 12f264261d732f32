"""A reader's view of the table of gaps."""

from __future__ import annotations

from typing import Any, NamedTuple

from asmu_engine.shm.fence import Fence
from asmu_engine.shm.ring import GAP_SLOTS, GAP_STRIDE, WORD_GAP_BEGIN, WORD_GAP_COUNT, WORD_GAPS


class Gap(NamedTuple):
    """Frames that were lost: the first one's position, how many, the writer's cause (see `asmu_engine.shm.causes`), and the
    standard uncertainty of how many, frames; 0 where they were counted."""

    position: int
    lost: int
    cause: int
    uncertainty: int = 0

    @property
    def end(self) -> int:
        """Position of the first frame behind the gap."""
        return self.position + self.lost


class GapTable:
    """Walks the table along with a reader, so that a stretch without gaps costs one comparison.

    What it says about positions before `oldest_known` is worthless, and a caller that finds its frames there
    after using it drops what it made of them.
    """

    def __init__(self, words: Any, fence: Fence) -> None:
        self._words = words
        self._fence = fence
        self._next = 0  # entries before this one end at or before the reader's position

    def rewind(self) -> None:
        """Forget what has been passed: the reader went back."""
        self._next = 0

    def oldest_known(self) -> int:
        """Position from which on every gap is still in the table."""
        words = self._words
        begun = words[WORD_GAP_BEGIN]
        if begun <= GAP_SLOTS:
            return 0
        while True:
            position: int = words[WORD_GAPS + begun % GAP_SLOTS * GAP_STRIDE]
            self._fence()
            latest = words[WORD_GAP_BEGIN]
            if latest == begun:
                return position
            begun = latest

    def touch(self, position: int, end: int) -> bool:
        """True when frames of ``[position, end)`` were lost; `position` never goes back without `rewind`."""
        count = self._words[WORD_GAP_COUNT]
        if count == self._next:
            return False
        self._pass(position, count)
        return self._next < count and self.entry(self._next).position < end

    def run(self, position: int, end: int) -> tuple[int, int]:
        """The first stretch of delivered frames in ``[position, end)``: its begin and its end, equal where there is none."""
        count = self._words[WORD_GAP_COUNT]
        self._pass(position, count)
        if self._next == count:
            return position, end
        gap = self.entry(self._next)
        if gap.position > position:
            return position, min(end, gap.position)
        # The gap is not passed yet: a reader that was overtaken meanwhile may go on in the middle of it.
        begin = min(end, gap.end)
        after = self._next + 1
        return begin, end if after == count else max(begin, min(end, self.entry(after).position))

    def current(self) -> Gap:
        """The gap at whose end the stretch begins that `run` has just found, where that does not begin at once."""
        return self.entry(self._next)

    def known(self, end: int) -> list[Gap]:
        """The gaps before `end` that are still in the table."""
        while True:
            count = self._words[WORD_GAP_COUNT]
            oldest = max(0, self._words[WORD_GAP_BEGIN] - GAP_SLOTS)
            gaps = [self.entry(index) for index in range(oldest, count)]
            self._fence()
            if max(0, self._words[WORD_GAP_BEGIN] - GAP_SLOTS) == oldest:
                return [gap for gap in gaps if gap.position < end]

    def _pass(self, position: int, count: int) -> None:
        index = max(self._next, self._words[WORD_GAP_BEGIN] - GAP_SLOTS)
        while index < count and self.entry(index).end <= position:
            index += 1
        self._next = min(index, count)

    def entry(self, index: int) -> Gap:
        """The gap with this number."""
        word = WORD_GAPS + index % GAP_SLOTS * GAP_STRIDE
        return Gap(*self._words[word : word + GAP_STRIDE])
