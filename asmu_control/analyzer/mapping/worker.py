"""A worker process of ``Tap.map``: ``python -m asmu_control.analyzer.mapping.worker``, which only `Crew` starts.

It gets tasks on its stdin and gives reports on its stdout. When its stdin ends, because its owner has enough or is gone, it ends
too: at once where it waits, and a moment later in the middle of a function.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final, cast

import numpy as np

from asmu_control.analyzer.mapping.report import NOWHERE, Report, Setup, Taker, Task
from asmu_control.analyzer.mapping.wire import Piece, flatten, rebuild, receive, send
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.shm.end import Frames

_NICE: Final = 10
_LAST_SECONDS: Final = 0.2
"""How long a function may go on when the pipe has ended."""


class Owner:
    """The pipe to the process that maps. What the function prints goes to stderr, so that it cannot damage the pipe."""

    def __init__(self) -> None:
        self._incoming = os.fdopen(os.dup(0), "rb", 0)
        self._outgoing = os.fdopen(os.dup(1), "wb", 0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def receive(self) -> list[memoryview] | None:
        """The next message; None at the end."""
        with contextlib.suppress(OSError):
            return receive(cast(io.RawIOBase, self._incoming))
        return None

    def report(self, report: Report, pieces: Sequence[Piece] = ()) -> None:
        """Say what came of a task, with the value or the error."""
        send(cast(io.RawIOBase, self._outgoing), [*flatten(report), *pieces])


def do(task: Task, taker: Taker, function: Callable[[Frames], Any], copy: bool) -> tuple[Report, list[Piece]]:
    """Do one block: its report, and the value or error in pieces."""
    try:
        taken = taker.take(task.offset)
    except AsmuError as error:
        return Report(task.number, "failed", NOWHERE, text=str(error)), flatten(error)
    if taken is None:
        return Report(task.number, "ended"), []
    if isinstance(taken, int):
        return Report(task.number, "missed", taken), []
    data = taken.data
    if copy:
        data = data if data.flags.owndata else data.copy()
        if not taken.intact():
            return Report(task.number, "missed", taken.position), []
    else:
        data.flags.writeable = False  # also where it is no view: a function is wrong about that always, or never
    began = time.perf_counter()
    report = Report(task.number, "done", taken.position, taken.lost, taken.utc_ns, taken.monotonic_ns)
    try:
        value = function(data)
        # A value may be a part of the ring, which would be overwritten on its way.
        pieces = flatten(value, lambda raw: not np.may_share_memory(np.frombuffer(raw, np.uint8), data))
    except BaseException as error:  # noqa: BLE001 - the function's own, for its user
        report = report._replace(outcome="failed", text=_trace(error))
        pieces = _error_pieces(error)
    report = report._replace(seconds=time.perf_counter() - began)
    if not copy and not taken.intact():
        return report._replace(outcome="missed", text=""), []
    return report, pieces


def main() -> None:
    """Begin, and do tasks until the owner is gone."""
    # Ctrl-C is for the script, which then ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stand_back()
    owner = Owner()
    first = owner.receive()
    if first is None:
        return
    setup: Setup = rebuild(first[:1])
    # As in the script, whose modules the function may use; later than this module's own imports, so that a file random.py
    # beside the script does not break them.
    sys.path[:] = setup.path
    try:
        taker = setup.place.open()
    except AsmuError as error:
        owner.report(Report(-1, "failed"), flatten(error))
        return
    try:
        function = rebuild(first[1:])
    except BaseException as error:  # noqa: BLE001 - an import or a class of the user's
        owner.report(Report(-1, "failed", text=_trace(error)))
        return
    owner.report(Report(-1, "done"))
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(owner, tasks), name="tasks", daemon=True).start()
    with contextlib.suppress(OSError):
        while (task := tasks.get()) is not None:
            owner.report(*do(task, taker, function, setup.copy))


def _listen(owner: Owner, tasks: SimpleQueue[Task | None]) -> None:
    """Take tasks off the pipe, in a thread: it also sees the end of the pipe while a function runs."""
    while (message := owner.receive()) is not None:
        tasks.put(rebuild(message))
    tasks.put(None)
    time.sleep(_LAST_SECONDS)
    os._exit(0)


def _stand_back() -> None:
    """Below the audio, and below whatever else people wait for."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    if hasattr(os, "nice"):
        os.nice(_NICE)


def _trace(error: BaseException) -> str:
    """The traceback from the function on."""
    trace = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, trace.tb_next if trace is not None else None)).rstrip()


def _error_pieces(error: BaseException) -> list[Piece]:
    """The error itself where it can be brought over; none where the traceback has to do."""
    try:
        pieces = flatten(error.with_traceback(None))
        rebuild(pieces)  # many errors of libraries can be taken apart, but not be made again
    except Exception:  # noqa: BLE001 - whatever it is
        return []
    return pieces


if __name__ == "__main__":
    main()
