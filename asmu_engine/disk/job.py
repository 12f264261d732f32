"""A job of the disk process: one recording or one player, in a thread of its own."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.protocol.errors import AsmuError, DiskError

Send = Callable[[dict[str, Any]], object]

TERMINATED: Final = "the disk process was told to end"
HOST_GONE: Final = "the engine was gone"
"""Why a process ends that nobody told in order."""

_PROGRESS_S: Final = 1.0
_SHORTEST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.05


class Pace:
    """How long to rest between two looks at a ring: long beside a sound card, hardly at all beside an offline engine.

    A ring that moves little between two looks is looked at half as often, down to 20 times a second, where looking costs
    nothing worth mentioning; one that moves by much of its capacity, more often.
    """

    def __init__(self, capacity: int) -> None:
        self._little = max(1, capacity // 16)
        self._much = max(1, capacity // 4)
        self._pause = _SHORTEST_PAUSE_S

    def rest(self, moved: int, wake: threading.Event) -> None:
        """Rest after `moved` frames were read or written; `wake` ends it at once."""
        if moved >= self._much:
            self._pause = max(_SHORTEST_PAUSE_S, self._pause / 4)
        elif moved < self._little:
            wake.wait(self._pause)
            wake.clear()
            self._pause = min(_LONGEST_PAUSE_S, self._pause * 2)


class Job(ABC):
    """What recordings and players share: the thread, the state, and answers that come when the work is done.

    Attributes
    ----------
    number
        The host's number of the job.
    state
        ``running``, ``finished`` or ``failed``.
    """

    def __init__(self, number: int, send: Send) -> None:
        self.number = number
        self.state = "running"
        self._send = send
        self._error: AsmuError | None = None
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._stop_asked = False
        self._waiting: list[int] = []
        self._next_progress = time.monotonic() + _PROGRESS_S
        self._thread = threading.Thread(target=self._run, name=f"job-{number}", daemon=True)

    def start(self) -> None:
        """Begin the work."""
        self._thread.start()

    def stop(self, request: int | None = None, until: int | None = None) -> None:
        """End the job; `request` is answered when it has ended, with its status or with why it failed.

        `until` names the frame position before which a recording ends; a player ends at once.
        """
        with self._lock:
            running = self.state == "running"
            if running:
                self._stop_asked = True
                if request is not None:
                    self._waiting.append(request)
        self._wake.set()
        if not running and request is not None:
            self._answer(request)

    def interrupt(self, why: str) -> None:
        """End the job because the process ends, `TERMINATED` or `HOST_GONE`; one that can be gone on with is left so."""
        self.stop()

    def join(self) -> None:
        """Wait until the job has ended."""
        self._thread.join()

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """How far the job is; may be called from any thread."""

    @abstractmethod
    def _work(self) -> None:
        """All of the job; returns when it is done or when a stop that was asked for has been carried out."""

    def _run(self) -> None:
        try:
            self._work()
        except AsmuError as error:
            self._end("failed", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the host must hear of it and the other jobs go on
            self._end("failed", DiskError(f"{type(error).__name__}: {error}", code="disk_failed", where=f"job {self.number}"))
        else:
            self._end("finished", None)

    def _end(self, state: str, error: AsmuError | None) -> None:
        with self._lock:
            self._error = error
            self.state = state
            waiting, self._waiting = self._waiting, []
        self._tell()
        for request in waiting:
            self._answer(request)

    def _answer(self, request: int) -> None:
        if self._error is not None:
            self._send({"id": request, "error": self._error.to_wire()})
        else:
            self._send({"id": request, "result": self.status()})

    def _tell(self) -> None:
        event = {"event": "job", **self.status()}
        if self._error is not None:
            event["error"] = self._error.to_wire()
        self._send(event)

    def _progress(self) -> None:
        """Tell the host how far the job is, once a second."""
        now = time.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_S
            self._tell()
