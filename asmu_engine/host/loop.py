"""The one loop of the host: ZeroMQ sockets, timers, and calls that other threads post."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

_log = logging.getLogger(__name__)


class Timer:
    """A call that is due once; `cancel` takes it back."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """The call will not be made; harmless when it was made already."""
        self.call = None


class Loop:
    """Runs until `stop`. Everything happens in the thread of `run`; only `post` and `wake` may be called from others.

    A handler that raises is logged and the loop goes on: a fault in the answer to one client is no reason to
    leave the others, and the audio, without a host.
    """

    def __init__(self) -> None:
        self._poller = zmq.Poller()
        self._handlers: dict[Any, Callable[[], object]] = {}
        self._unfinished: list[Any] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._posted: deque[Callable[[], None]] = deque()
        self._running = False
        self._awake = False  # no Event: its lock may be held by the very thread that a signal handler interrupts
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._poller.register(self._reader, zmq.POLLIN)
        self._handlers[self._reader.fileno()] = self._drain

    def add_socket(self, zmq_socket: zmq.Socket[bytes], handler: Callable[[], object]) -> None:
        """Call `handler` whenever there is something to receive; it must not wait for more.

        Where it returns True it has taken more than it has handled, and is called again after everything else had its turn.
        """
        self._handlers[zmq_socket] = handler
        self._poller.register(zmq_socket, zmq.POLLIN)

    def remove_socket(self, zmq_socket: zmq.Socket[bytes]) -> None:
        """Take no more notice of a socket; it may be closed then."""
        del self._handlers[zmq_socket]
        self._poller.unregister(zmq_socket)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Make a call once, after at least so many seconds."""
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Make a call again and again, about so many seconds apart, as long as the loop runs."""

        def again() -> None:
            self.later(seconds, again)
            call()

        self.later(seconds, again)

    def post(self, call: Callable[[], None]) -> None:
        """From any thread: make a call in the loop, soon, in the order of posting."""
        self._posted.append(call)
        self.wake()

    def wake(self) -> None:
        """From any thread or signal handler: let the loop look around."""
        if not self._awake:
            self._awake = True
            # Full: the loop is about to wake anyway. Closed: there is no loop any more.
            with contextlib.suppress(OSError):
                self._writer.send(b"\0")

    def run(self) -> None:
        """Handle everything until `stop`."""
        self._running = True
        while self._running:
            ready = [source for source, _ in self._poller.poll(self._patience())]
            unfinished, self._unfinished = self._unfinished, []
            for source in dict.fromkeys((*ready, *unfinished)):
                if source in self._handlers and self._guarded(self._handlers[source]) is True:
                    self._unfinished.append(source)
            self._run_posted()
            self._run_due()

    def stop(self) -> None:
        """Leave `run` when the present call is done."""
        self._running = False
        self.wake()

    def close(self) -> None:
        """Free the wake-up sockets; not while running."""
        self._reader.close()
        self._writer.close()

    def _patience(self) -> int:
        """Milliseconds until the next timer, rounded up; at most a minute."""
        if self._posted or self._unfinished:
            return 0
        if not self._timers:
            return 60_000
        return max(0, min(60_000, int((self._timers[0][0] - time.monotonic()) * 1000) + 1))

    def _drain(self) -> None:
        """Take what woke the loop; also when that comes late, after the posted call was made: else no `poll` would wait again."""
        with contextlib.suppress(OSError):
            self._reader.recv(4096)

    def _run_posted(self) -> None:
        self._awake = False  # before the queue is read: a call posted from now on wakes the loop again
        for _ in range(len(self._posted)):
            self._guarded(self._posted.popleft())

    def _run_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                self._guarded(timer.call)

    def _guarded(self, call: Callable[[], object]) -> object:
        try:
            return call()
        except Exception:  # noqa: BLE001 - see the class
            _log.exception("a handler failed; the host goes on")
            return None
