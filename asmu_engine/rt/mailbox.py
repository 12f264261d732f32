"""The way into real time: finished edits, taken between two frames; what they replace comes back the other way.

Both ends rely on two facts of CPython: `deque.append` and `deque.popleft` are atomic, and under the global
interpreter lock all threads see all stores in one order. (On a free-threaded build the second needs a lock.)
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asmu_engine.rt.acore import ACore
    from asmu_engine.rt.schedule import Schedule

AT_ONCE: Final = -1


@dataclass
class PreparedEdit:
    """One transaction, built outside the callback; taking it in is assignments and small copies only.

    Attributes
    ----------
    at
        Frame position of effect; `AT_ONCE` for the next block.
    schedule
        The schedule from then on; None when the structure stays.
    adoptions
        (new core, old core): the new one takes over the state.
    values
        (core, parameter name, value in its final form).
    calls
        (core, method name).
    drop
        Blocks from there on that play silence and process nothing.
    retired
        Cores to close once the edit is in; values and schedules that were replaced are added to it.
    applied_at
        Frame position at which it was taken in; None before.
    """

    at: int = AT_ONCE
    schedule: Schedule | None = None
    adoptions: list[tuple[ACore, ACore]] = field(default_factory=list)
    values: list[tuple[ACore, str, Any]] = field(default_factory=list)
    calls: list[tuple[ACore, str]] = field(default_factory=list)
    drop: int = 0
    retired: list[ACore] = field(default_factory=list)
    replaced: list[Any] = field(default_factory=list)
    applied_at: int | None = None


class Mailbox:
    """Edits on their way in, in order, and those on their way back."""

    def __init__(self) -> None:
        self._waiting: deque[PreparedEdit] = deque()
        self.returned: deque[PreparedEdit] = deque()
        # Positions of the block whose edits were last begun to be taken, and last done with: equal except meanwhile.
        self._begun = -1
        self._done = -1
        self.next_position = 0

    # ---- the control thread's end

    def post(self, edit: PreparedEdit) -> int:
        """Hand over one edit; returns the frame position from which it holds.

        The position is certain before the callback has run: once no taking is under way, whatever waits is taken at
        the block that comes next, and nothing is processed between here and there. Frames that the device loses
        meanwhile are processed by neither the old nor the new patch.
        """
        self._waiting.append(edit)
        while self._begun != self._done and edit.applied_at is None:
            time.sleep(20e-6)
        if edit.applied_at is not None:
            return edit.applied_at
        return max(edit.at, self.next_position)

    def collect(self) -> list[PreparedEdit]:
        """The edits that have been taken in since the last call, for their replaced parts to be freed."""
        taken = []
        while self.returned:
            taken.append(self.returned.popleft())
        return taken

    # ---- the callback's end

    def begin(self, position: int, frames: int) -> None:
        """A block of `frames` begins at `position`; `due` may be asked until `end`."""
        self._begun = position
        self.next_position = position + frames

    def due(self, position: int) -> PreparedEdit | None:
        """The next edit that holds from `position` or earlier, marked as taken; None when there is none."""
        if not self._waiting or self._waiting[0].at > position:
            return None
        edit = self._waiting.popleft()
        edit.applied_at = position
        self.returned.append(edit)
        return edit

    def cut(self, end: int) -> int:
        """Where the block that ends at `end` must be cut for the next edit; `end` when nowhere."""
        return min(self._waiting[0].at, end) if self._waiting and self._waiting[0].at != AT_ONCE else end

    def end(self) -> None:
        """No more edits are taken for this block."""
        self._done = self._begun
