"""BlockMap: the results of a function over the blocks of a tap, in order, with the account of what is missing."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Generic, NoReturn, Self, TypeVar

from asmu_control.analyzer.mapping.crew import Came, Crew, Plan
from asmu_control.analyzer.mapping.progressline import ProgressLine
from asmu_control.analyzer.mapping.result import MapProgress, MapResult, Overrun
from asmu_control.analyzer.mapping.wire import rebuild
from asmu_control.exceptions import MapError
from asmu_engine.protocol.errors import RingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asmu_control.analyzer.mapping.wire import Piece

T = TypeVar("T")

_TELL_SECONDS: Final = 0.2
_KEPT: Final = 1024


@dataclass
class Options:
    """What a map is told besides its function."""

    name: str
    frames: int
    workers: int
    ahead: int
    copy: bool
    timeout: float | None
    progress: bool | Callable[[MapProgress], object]


class BlockMap(Generic[T]):
    """What ``Tap.map`` gives: ``for result in tap.map(function, workers=2): …``.

    Iterating gives one `MapResult` a block, in the order of the blocks, until the engine ends. Left before that, it is to be
    closed: ``with tap.map(…) as results: …``, or ``close``; one that nobody refers to any longer closes itself. One thread at a
    time.

    Attributes
    ----------
    total_lost
        Frames that the device lost, in the blocks handed out so far; of blocks that overlap, each counts its own.
    total_skipped
        Frames that the map was too slow for: overwritten before they were done.
    overruns
        Where those were, oldest first; the newest 1024.
    """

    def __init__(self, plan: Plan, function: Sequence[Piece], options: Options) -> None:
        self.total_lost = self.total_skipped = 0
        self.overruns: deque[Overrun] = deque(maxlen=_KEPT)
        self._options = options
        self._samplerate, self._capacity = plan.samplerate, plan.capacity
        self._end = plan.origin  # behind the last frame of a result
        self._missed: tuple[int, int] | None = None  # from the first to the last block after that which was not done
        self._results = self._frames = 0
        self._over = False
        self._began = self._told = time.monotonic()
        self._line = ProgressLine() if options.progress is True else None
        self._crew = Crew(plan, function, copy=options.copy, workers=options.workers, ahead=options.ahead)
        self._finalizer = weakref.finalize(self, _let_go, self._crew, self._line)

    # -- results ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[MapResult[T]]:
        return self

    def __next__(self) -> MapResult[T]:
        """The next result, waiting for it.

        Raises
        ------
        Exception
            What the function raised, with the block's position and the worker's traceback as a note. The map is closed then.
        MapError
            ``worker_ended``: a worker process was killed, or crashed; ``function_unusable``: the function cannot be loaded there.
        RingError
            ``ring_timeout``: no result within the `timeout`; the map goes on.
        """
        if self._over:
            raise StopIteration
        try:
            return self._next()
        except RingError as error:
            if error.code != "ring_timeout":
                self.close()
            raise
        except BaseException:  # of the function, of Ctrl-C, or the end
            self.close()
            raise

    @property
    def lag_frames(self) -> int:
        """Frames that the tap has recorded behind the last result handed out. Above `capacity` they are being overwritten."""
        return self._crew.behind(self._end)

    @property
    def lag_seconds(self) -> float:
        """`lag_frames` in seconds."""
        return self.lag_frames / self._samplerate

    @property
    def capacity(self) -> int:
        """Frames that the tap's ring holds: so far may a map be behind without losing anything."""
        return self._capacity

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [hand.pid for hand in self._crew.hands]

    def progress(self) -> MapProgress:
        """How it goes."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        return MapProgress(
            results=self._results,
            position=self._end or 0,
            lag_frames=self.lag_frames,
            capacity=self._capacity,
            samplerate=self._samplerate,
            waiting=self._crew.waiting,
            lost=self.total_lost,
            skipped=self.total_skipped,
            workers=self._options.workers,
            busy=min(1.0, self._crew.busy_seconds / seconds / self._options.workers),
            speed=self._frames / self._samplerate / seconds,
        )

    def close(self) -> None:
        """End the workers; results that were not handed out are gone. Harmless when that has happened."""
        if not self._over:
            self._over = True
            try:
                self._tell(last=True)
            finally:
                self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._over else f"{self.lag_seconds:.1f} s behind"
        return f"<{type(self).__name__} of {self._options.name}: {self._results} results, {state}>"

    # -- within -----------------------------------------------------------------------------------------------------

    def _next(self) -> MapResult[T]:
        options = self._options
        deadline = None if options.timeout is None else time.monotonic() + options.timeout
        while True:
            came = self._crew.next(self._wake(deadline))
            self._tell()
            if came is None:
                if deadline is not None and time.monotonic() >= deadline:
                    raise RingError(
                        f"map of {options.name}: no result within {options.timeout:g} s",
                        code="ring_timeout",
                        where=options.name,
                        retry=True,
                    )
                continue
            report = came.report
            if report.outcome == "done":
                return self._result(came)
            if report.outcome == "missed":
                begin = report.position if self._missed is None else self._missed[0]
                self._missed = begin, report.position + options.frames
            elif report.outcome == "ended":
                if self._missed is not None:
                    self._skip(self._missed[1])
                raise StopIteration
            else:
                self._raise(came)

    def _wake(self, deadline: float | None) -> float | None:
        """When to come back from waiting at the latest: also to tell of the progress where there is none."""
        if not self._options.progress:
            return deadline
        due = self._told + _TELL_SECONDS
        return due if deadline is None else min(due, deadline)

    def _result(self, came: Came) -> MapResult[T]:
        report, options = came.report, self._options
        value: T = rebuild(came.pieces)
        position, end = report.position, report.position + options.frames
        skipped = self._skip(position)
        self._frames += options.frames if self._end is None else min(options.frames, end - self._end)
        self._end = end
        self._results += 1
        self.total_lost += report.lost
        return MapResult(
            value, position, options.frames, report.lost, skipped, report.utc_ns, report.monotonic_ns, report.seconds, came.worker
        )

    def _skip(self, position: int) -> int:
        """Frames up to this position that are in no result; noted."""
        begin = self._end if self._end is not None else position if self._missed is None else self._missed[0]
        skipped = max(0, position - begin)
        if skipped:
            self.overruns.append(Overrun(begin, skipped))
            self.total_skipped += skipped
        self._missed = None
        return skipped

    def _raise(self, came: Came) -> NoReturn:
        report, name = came.report, self._options.name
        where = f"the block of {self._options.frames} frames at position {report.position} of {name}"
        if report.outcome == "died":
            raise MapError(f"{report.text}, at {where}", code="worker_ended", where=name)
        try:
            error = rebuild(came.pieces) if came.pieces else None
        except Exception:  # noqa: BLE001 - an exception of the user's that was made anew in the worker, but not here
            error = None
        if isinstance(error, Exception):
            error.add_note(f"in map, worker {came.worker}, {where}:\n{report.text}")
            raise error
        raise MapError(
            f"the function failed in worker {came.worker}, at {where}:\n{report.text}", code="function_failed", where=name
        )

    def _tell(self, last: bool = False) -> None:
        """Show the progress, now and then."""
        shown = self._line.show if self._line is not None else self._options.progress
        now = time.monotonic()
        if callable(shown) and (last or now - self._told >= _TELL_SECONDS):
            self._told = now
            shown(self.progress())


def _let_go(crew: Crew, line: ProgressLine | None) -> None:
    try:
        crew.close()
    finally:
        if line is not None:
            line.close()
