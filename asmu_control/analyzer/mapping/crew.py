"""The workers together: who does which block, and the reports in the order of the blocks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from asmu_control.analyzer.mapping.hand import Hand
from asmu_control.analyzer.mapping.report import NOWHERE, Place, Report, Setup, Task
from asmu_control.analyzer.mapping.wire import Piece, flatten, rebuild
from asmu_control.exceptions import AsmuError, MapError

_TASKS: Final = 2
"""Blocks that a worker has before it: one in work, and one so that it need not wait for this process."""


class Plan(Protocol):
    """Where the blocks come from; see `asmu_control.analyzer.mapping.ringplan.RingPlan`."""

    samplerate: float
    capacity: int

    @property
    def place(self) -> Place:
        """Where the workers find the blocks."""

    @property
    def origin(self) -> int | None:
        """Frame position from which offsets count; None while it is not known."""

    def next(self, needed: float) -> int | None:
        """The next block; None where there is none."""

    def done_before(self, offset: int | None) -> None:
        """No worker needs what is before."""

    def behind(self, position: int | None) -> int:
        """Frames from there on that are there."""

    def close(self) -> None:
        """Let go."""


class Came(NamedTuple):
    """A report, what follows it, and whose it is."""

    report: Report
    pieces: Sequence[Piece]
    worker: int


class Crew:
    """So many worker processes with one function.

    Parameters
    ----------
    plan
        Says what is to be done.
    function
        In pieces, from `flatten`.
    copy
        Whether it gets copies.
    workers
        How many processes.
    ahead
        Blocks, at most, that are in work or wait to be handed out.
    """

    def __init__(self, plan: Plan, function: Sequence[Piece], *, copy: bool, workers: int, ahead: int) -> None:
        self._plan = plan
        self._ahead = ahead
        self._changed = threading.Condition()
        self._came: dict[int, Came] = {}
        self._offsets: dict[int, int] = {}  # of what is in work
        self._given = self._taken = 0
        self._needed = 0.0
        self._busy = 0.0
        self._failure: AsmuError | None = None
        self._exhausted = self._closed = False
        self.hands: list[Hand] = []
        setup = [*flatten(Setup(list(sys.path), plan.place, copy)), *function]
        try:
            for number in range(workers):
                self.hands.append(Hand(number, setup, self._reported))
        except BaseException:
            self.close()
            raise

    @property
    def waiting(self) -> int:
        """Results that wait to be handed out."""
        return len(self._came)

    @property
    def busy_seconds(self) -> float:
        """How long the function has run, in all workers."""
        return self._busy

    def behind(self, position: int | None) -> int:
        """Frames that the tap has from `position` on."""
        with self._changed:
            return 0 if self._closed else self._plan.behind(position)

    def next(self, deadline: float | None) -> Came | None:
        """The report of the next block, waiting for it; None when the deadline on the monotonic clock has come.

        Raises
        ------
        AsmuError
            The workers could not begin: MapError ``function_unusable``, ``worker_ended``, or the ring's error.
        """
        with self._changed:
            while (came := self._came.pop(self._taken, None)) is None:
                if self._failure is not None:
                    raise self._failure
                if self._exhausted and self._taken == self._given:
                    return Came(Report(self._taken, "ended"), (), 0)
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            self._taken += 1
            self._share_out()
            return came

    def close(self) -> None:
        """End the workers, what they do included."""
        if any(hand.is_current_thread for hand in self.hands):
            # A map that was forgotten, and found by the garbage collector in a thread that cannot wait for itself.
            threading.Thread(target=self.close, name="map close").start()
            return
        with self._changed:
            self._closed = True
            for hand in self.hands:
                hand.dismiss()
        for hand in self.hands:
            hand.close()
        with self._changed:
            self._plan.close()

    # -- in the threads of the hands -----------------------------------------------------------------------------------

    def _reported(self, hand: Hand, report: Report | None, pieces: Sequence[Piece]) -> None:
        with self._changed:
            if self._closed:
                return
            if report is None:
                self._lost(hand)
            elif report.number >= 0:
                task = hand.tasks.pop(report.number)
                if report.position == NOWHERE:
                    report = report._replace(position=self._position(task))
                self._finish(report.number, Came(report, pieces, hand.number))
            elif report.outcome == "failed":
                words = f"the function could not be loaded in a worker process\n{report.text}"
                unusable = MapError(words, code="function_unusable", where=f"worker {hand.number}")
                self._failure = rebuild(pieces) if pieces else unusable  # the ring's own error, where that cannot be had
            else:
                hand.ready = True
            self._share_out()
            self._changed.notify_all()

    def _lost(self, hand: Hand) -> None:
        hand.ready = False
        if self._failure is not None:
            return
        words = f"worker {hand.number} (process {hand.pid}) {hand.fate()}"
        if not hand.tasks:
            self._failure = MapError(words, code="worker_ended", where=f"worker {hand.number}")
        for number in list(hand.tasks):
            # The first was in its hands; the others are lost with it, behind an error that ends the map.
            task = hand.tasks.pop(number)
            self._finish(number, Came(Report(number, "died", self._position(task), text=words), (), hand.number))

    def _finish(self, number: int, came: Came) -> None:
        self._came[number] = came
        self._offsets.pop(number)
        report = came.report
        self._busy += report.seconds
        # A block that is to be handed out now is done when the worker has done those before it.
        self._needed = (_TASKS + 1) * report.seconds
        self._plan.done_before(min(self._offsets.values(), default=None))

    def _share_out(self) -> None:
        """Give those who have least, as long as there is anything to be given."""
        while self._given - self._taken < self._ahead and not self._closed:
            hand = min((hand for hand in self.hands if hand.ready), key=lambda hand: len(hand.tasks), default=None)
            if hand is None or len(hand.tasks) >= _TASKS:
                return
            offset = self._plan.next(self._needed)
            if offset is None:
                self._exhausted = True
                return
            self._offsets[self._given] = offset
            hand.give(Task(self._given, offset))
            self._given += 1

    def _position(self, task: Task) -> int:
        return task.offset + (self._plan.origin or 0)
