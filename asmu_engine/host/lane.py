"""The order in which transactions, and what depends on them, reach the audio process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asmu_engine.host.child import Answer
from asmu_engine.protocol.errors import AsmuError, EngineError

_log = logging.getLogger(__name__)

MAX_IN_FLIGHT: Final = 256
MAX_WAITING: Final = 4096
MAX_LOOKING: Final = 1024
"""Of those who only look; they take no room from the others, whom they are not allowed to stand in the way of."""

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
MAX_TOGETHER: Final = 64
MAX_TOGETHER_BYTES: Final = 256 * 1024
"""Of pieces of work that are begun together: the others wait for all of them."""

Start = Callable[[Callable[[], None]], None]
"""Starts a piece of work, which calls what it was given once, when it is done: at once or later."""


@dataclass(frozen=True)
class _Entry:
    start: Start
    alone: Callable[[], bool]
    size: int
    joins: Any


class Lane:
    """First come, first served. Work that must be `alone` waits until all before it is done and holds back all after it.

    A transaction that changes structure runs alone: so nothing builds on it before the audio process has taken it,
    and taking it back when a core cannot be prepared is simple. Those that only set values follow one another
    without waiting, up to a limit.

    Attributes
    ----------
    together
        Starts several pieces of work at once, given what each was submitted with to be known by; None where nobody can.
    """

    def __init__(self) -> None:
        self.together: Callable[[list[Any], Callable[[], None]], None] | None = None
        self._waiting: deque[_Entry] = deque()
        self._size = 0
        self._in_flight = 0
        self._alone = False
        self._looking = 0
        self._head_alone: bool | None = None
        self._paused = False
        self._pumping = False

    def submit(self, start: Start, *, alone: Callable[[], bool], size: int = 0, ours: bool = False, joins: Any = None) -> None:
        """Run `start` in turn; EngineError when too much is waiting, unless it is the engine's own: `ours`.

        `alone` is asked when its turn has come. `joins`: by what `together` knows it, where it may be begun together with those
        behind it when it is alone; None: it may not.
        """
        waiting = len(self._waiting) - self._looking
        if not ours and (waiting >= MAX_WAITING or (self._waiting and self._size + size > MAX_WAITING_BYTES)):
            raise EngineError(
                f"{waiting} transactions are waiting for the audio process; wait for answers before sending more",
                code="engine_state",
                where="transaction",
                retry=True,
            )
        self._waiting.append(_Entry(start, alone, size, joins))
        self._size += size
        self._pump()

    def in_turn(self, work: Callable[[], None], answer: Answer) -> None:
        """Do something when all transactions before it hold, before any after it; `answer` gets what it raises."""
        self.submit(lambda done: _do(work, answer, done), alone=lambda: True)

    def look(self, work: Callable[[], None], answer: Answer) -> None:
        """As `in_turn`, for work that changes nothing; EngineError when too many look."""
        if self._looking >= MAX_LOOKING:
            raise EngineError(
                f"{self._looking} requests to look at the patch are waiting; wait for answers before sending more",
                code="engine_state",
                where="patch",
                retry=True,
            )

        def start(done: Callable[[], None]) -> None:
            self._looking -= 1
            _do(work, answer, done)

        self._looking += 1
        self.submit(start, alone=lambda: True, ours=True)

    def pause(self) -> None:
        """Start nothing more for now: the audio process is being replaced."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._pump()

    def _pump(self) -> None:
        if self._pumping:  # work that was done at once has called back
            return
        self._pumping = True
        try:
            while self._waiting and not self._paused and not self._alone and self._in_flight < MAX_IN_FLIGHT:
                if self._head_alone is None:
                    # Asked once: what the answer depends on does not change while only values are in flight.
                    self._head_alone = self._waiting[0].alone()
                if self._head_alone and self._in_flight:
                    break
                alone, self._head_alone = self._head_alone, None
                entry = self._next()
                group = [entry]
                while alone and self._joins(group):
                    group.append(self._next())
                self._in_flight += 1
                self._alone = alone
                if len(group) > 1 and self.together is not None:
                    self.together([one.joins for one in group], self._done)
                else:
                    entry.start(self._done)
        finally:
            self._pumping = False

    def _next(self) -> _Entry:
        entry = self._waiting.popleft()
        self._size -= entry.size
        return entry

    def _joins(self, group: list[_Entry]) -> bool:
        """Whether what comes next may be begun together with these."""
        if self.together is None or group[0].joins is None or len(group) == MAX_TOGETHER or not self._waiting:
            return False
        following = self._waiting[0]
        return following.joins is not None and sum(one.size for one in group) + following.size <= MAX_TOGETHER_BYTES

    def _done(self) -> None:
        self._in_flight -= 1
        self._alone = False
        self._pump()


def _do(work: Callable[[], None], answer: Answer, done: Callable[[], None]) -> None:
    try:
        work()
    except AsmuError as error:
        answer(None, error)
    except Exception as error:  # noqa: BLE001 - whoever's turn ended before this one is not to hear of it
        _log.exception("a request failed inside the host, in its turn")
        answer(None, EngineError(f"the engine failed inside: {error!r}", code="engine_failed"))
    finally:
        done()
