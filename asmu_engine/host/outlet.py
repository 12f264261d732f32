"""The way into a child's stdin: what fits into the pipe is written at once, the rest by a thread that waits for room."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from typing import BinaryIO, Final

_AT_ONCE: Final = os.name == "posix"
"""Elsewhere a pipe cannot be written to without waiting, and the thread does all of it."""


class Outlet:
    """Never keeps its caller waiting, not even for a child that was stopped; `put` and `close` belong to one thread.

    To hand every message to another thread costs two changes of thread, some 50 µs, as much as all else that the host does
    with an edit of one value.

    Parameters
    ----------
    pipe
        The child's stdin, which is closed here.
    name
        Of the thread.
    """

    def __init__(self, pipe: BinaryIO, name: str) -> None:
        self._pipe = pipe
        self._file = pipe.fileno()
        if _AT_ONCE:
            os.set_blocking(self._file, False)
        self._closed = False
        self._given = 0  # pieces that the thread got, counted here, and has written, counted there
        self._written = 0
        self._waiting: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_on, name=name, daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Write this behind all before it; nothing once closed, or when the child is gone."""
        if self._closed:
            return
        rest = memoryview(data)
        if _AT_ONCE and self._given == self._written:
            rest = rest[self._attempt(rest) :]
        if rest:
            self._given += 1
            self._waiting.put(rest)

    def close(self) -> None:
        """Close the pipe when all of that is written; harmless when done before."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, which comes when the pipe is closed."""
        self._thread.join(seconds)

    def _attempt(self, data: memoryview) -> int:
        """Bytes that are done with."""
        try:
            return os.write(self._file, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # the child is gone, which shows where it is read from

    def _write_on(self) -> None:
        while (data := self._waiting.get()) is not None:
            while data:
                if _AT_ONCE:
                    _wait_for_room(self._file)
                data = data[self._attempt(data) :]
            self._written += 1
        with contextlib.suppress(OSError):
            self._pipe.close()


def _wait_for_room(file: int) -> None:
    """Until a pipe takes something, or nobody reads it any more."""
    room = select.poll()
    room.register(file, select.POLLOUT)
    room.poll()
