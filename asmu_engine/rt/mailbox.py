"""The way into real time: finished edits, taken between two frames; what they replace comes back the other way.

Both ends rely on two facts of CPython: `deque.append`, `deque.popleft`, `heappush` and `heappop` are atomic, and under the
global interpreter lock all threads see all stores in one order. (On a free-threaded build these need a lock.)
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asmu_engine.rt.acore import ACore
    from asmu_engine.rt.schedule import Schedule

AT_ONCE: Final = -1
_PAUSE_S: Final = 20e-6


@dataclass
class PreparedEdit:
    """One transaction, built outside the callback; taking it in is assignments and small copies only.

    Attributes
    ----------
    at
        Frame position of effect; `AT_ONCE` for the next block.
    tag
        Number by which its sender knows a dated one; of several for one frame the smallest comes first.
    schedule
        The schedule from then on; None when the structure stays.
    adoptions
        (new core, old core): the new one takes over the state.
    values
        (core, parameter name, value in its final form).
    calls
        (core, method name).
    reset
        Every core goes back to its start.
    drop
        Blocks from there on that play silence and process nothing.
    retired
        Cores to close once the edit is in; values and schedules that were replaced are added to it.
    applied_at
        Frame position at which it was taken in; None before.
    receipt
        Called in the callback as it is taken in, in the order of taking: to be atomic, and no more than an append.
    """

    at: int = AT_ONCE
    tag: int = 0
    schedule: Schedule | None = None
    adoptions: list[tuple[ACore, ACore]] = field(default_factory=list)
    values: list[tuple[ACore, str, Any]] = field(default_factory=list)
    calls: list[tuple[ACore, str]] = field(default_factory=list)
    reset: bool = False
    drop: int = 0
    retired: list[ACore] = field(default_factory=list)
    replaced: list[Any] = field(default_factory=list)
    applied_at: int | None = None
    receipt: Callable[[], None] | None = None


class Mailbox:
    """Edits on their way in, and those on their way back.

    Those for the next block go first, in their order; those for a frame position wait for it, and can be had back until then.
    """

    def __init__(self) -> None:
        self._waiting: deque[PreparedEdit] = deque()
        self._dated: list[tuple[int, int, int, PreparedEdit]] = []  # a heap: position, tag, and a number that no other has
        self._numbers = itertools.count()
        self.returned: deque[PreparedEdit] = deque()
        # How many blocks' edits have been begun to be taken, and done with: equal except meanwhile.
        self._begun = 0
        self._done = 0
        self.next_position = 0

    # ---- the control thread's end

    def post(self, edit: PreparedEdit) -> int:
        """Hand over one edit; returns the frame position from which it holds.

        The position is certain before the callback has run: once no taking is under way, whatever waits is taken at
        the block that comes next, and nothing is processed between here and there. Frames that the device loses
        meanwhile are processed by neither the old nor the new patch.
        """
        if edit.at != AT_ONCE:
            self.arm(edit)
        else:
            self._waiting.append(edit)
        while True:
            phase = self._begun
            promise = self.next_position
            if edit.applied_at is not None:
                return edit.applied_at
            # The second look says that no block began between the first and the promise.
            if phase == self._done and phase == self._begun:
                return max(edit.at, promise)
            time.sleep(_PAUSE_S)

    def arm(self, edit: PreparedEdit) -> None:
        """Hand over an edit that waits for its frame position; one whose position is past is taken with the next block."""
        heappush(self._dated, (edit.at, edit.tag, next(self._numbers), edit))

    def withdraw(self) -> list[PreparedEdit]:
        """Have back the dated edits that were not taken yet, in their order; none of them is taken any more."""
        dated, self._dated = self._dated, []
        # Whoever is taking edits right now may still hold the old heap.
        phase = self._begun
        while phase != self._done and phase == self._begun:
            time.sleep(_PAUSE_S)
        return [entry[-1] for entry in sorted(dated)]

    def collect(self) -> list[PreparedEdit]:
        """The edits that have been taken in since the last call, for their replaced parts to be freed."""
        taken = []
        while self.returned:
            taken.append(self.returned.popleft())
        return taken

    # ---- the callback's end

    def begin(self, position: int, frames: int) -> None:
        """A block of `frames` begins at `position`; `due` may be asked until `end`."""
        self._begun += 1
        self.next_position = position + frames

    def passes(self, position: int, frames: int) -> bool:
        """A block begins, as in `begin`; True where no edit concerns it, and then none is taken for it any more: no `end`."""
        self._begun += 1
        self.next_position = end = position + frames
        dated = self._dated  # `withdraw` may put another in its place any moment
        if self._waiting or (dated and dated[0][0] < end):
            return False
        self._done = self._begun
        return True

    def due(self, position: int) -> PreparedEdit | None:
        """The next edit that holds from `position` or earlier, marked as taken; None when there is none."""
        if self._waiting:
            edit = self._waiting.popleft()
        else:
            dated = self._dated
            if not dated or dated[0][0] > position:
                return None
            edit = heappop(dated)[-1]
        edit.applied_at = position
        if edit.receipt is not None:
            edit.receipt()
        self.returned.append(edit)
        return edit

    def cut(self, end: int) -> int:
        """Where the block that ends at `end` must be cut for the next edit; `end` when nowhere."""
        dated = self._dated
        return min(dated[0][0], end) if dated else end

    def end(self) -> None:
        """No more edits are taken for this block."""
        self._done = self._begun
