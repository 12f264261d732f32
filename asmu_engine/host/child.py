"""A child process of the host: requests over its pipe, its messages, and its end."""

from __future__ import annotations

import itertools
import logging
import os
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from asmu_engine.host.loop import Loop
from asmu_engine.host.outlet import Outlet
from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.errors import AsmuError, EngineError, PatchError, from_wire
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)
_LENGTH = struct.Struct("<I")

Answer = Callable[[dict[str, Any] | None, AsmuError | None], None]
"""Called once with a result or an error."""


@dataclass
class _Pending:
    what: str
    answer: Answer
    seconds: float
    since: float


class Child:
    """One running child; all callbacks are made in the loop.

    Two threads keep the loop from waiting for the child: one reads from it, one writes what its pipe has no room for (a
    stopped child lets it fill up). A child is started in a process group of its own, so that Ctrl-C in a terminal ends the
    user's script, which then ends its engine in order.

    Parameters
    ----------
    name
        What people read: ``audio``, ``disk``.
    command
        Program and arguments.
    on_event
        Called with each message that answers no request.
    in_order
        The child answers one request after another: the time for an answer counts from when its turn has come, so
        that a request that may take long makes none behind it late.
    on_end
        Called once with the exit status (negative: signal) when the child is gone, after every open request has
        been answered with an error.
    """

    def __init__(
        self,
        loop: Loop,
        name: str,
        command: Sequence[str],
        on_event: Callable[[dict[str, Any]], None],
        on_end: Callable[[int], None],
        *,
        in_order: bool,
    ) -> None:
        self.name = name
        self.started = time.monotonic()
        self.ended = False
        self._loop = loop
        self._on_event = on_event
        self._on_end = on_end
        self._in_order = in_order
        self._ids = itertools.count()
        self._pending: dict[int, _Pending] = {}
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0 if os.name == "posix" else None
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._pipe = MessagePipe(cast(BinaryIO, self._process.stdout), cast(BinaryIO, self._process.stdin))
        self._outlet = Outlet(cast(BinaryIO, self._process.stdin), f"{name}-write")
        self._reader = threading.Thread(target=self._read, name=f"{name}-read", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def request(self, message: dict[str, Any], answer: Answer, timeout: float | None = 30.0) -> None:
        """Send a request; `answer` gets its result, or the error of the child, of the pipe, or of time.

        Raises
        ------
        PatchError
            ``patch_too_large``: the message passes the size limit of a pipe; nothing was sent.
        """
        identifier = next(self._ids)
        try:
            data = pack({"id": identifier, **message})
        except (OverflowError, ValueError) as error:
            raise PatchError(f"{message.get('do')}: has no wire form: {error}", code="bad_value") from None
        if len(data) > MAX_MESSAGE_BYTES:
            raise PatchError(
                f"{message.get('do')}: {len(data)} bytes in full form, the limit is {MAX_MESSAGE_BYTES}; send it in parts",
                code="patch_too_large",
            )
        seconds = float("inf") if timeout is None else timeout
        self._pending[identifier] = _Pending(str(message.get("do")), answer, seconds, time.monotonic())
        self._outlet.put(_LENGTH.pack(len(data)) + data)

    def overdue(self) -> str | None:
        """What the child was asked and did not answer in time, if anything; it is the caller's to `kill` it."""
        now = time.monotonic()
        counted = itertools.islice(self._pending.values(), 1 if self._in_order else None)
        return next((pending.what for pending in counted if now - pending.since > pending.seconds), None)

    def kill(self) -> None:
        """End the child from outside, now (SIGKILL): it may hang where nothing else reaches it."""
        self._process.kill()

    def close_pipe(self) -> None:
        """No more requests: the child reads the end of its stdin when it has read those before, and ends."""
        self._outlet.close()

    def _read(self) -> None:
        while True:
            try:
                message = self._pipe.receive()
            except AsmuError as error:
                _log.error("the %s process sent something unreadable: %s", self.name, error)
                message = None
            if message is None:
                break
            self._loop.post(lambda message=message: self._take(message))  # type: ignore[misc]
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            # It closed its pipe but lives on: of no use to anybody.
            self._process.kill()
            status = self._process.wait()
        self._loop.post(lambda: self._finish(status))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            self._on_event(message)
            return
        pending = self._pending.pop(message["id"], None)
        if self._in_order and (following := next(iter(self._pending.values()), None)) is not None:
            following.since = time.monotonic()
        if pending is None:
            _log.error("the %s process answered a request that nobody made: %r", self.name, message["id"])
        elif "error" in message:
            pending.answer(None, from_wire(message["error"]))
        else:
            pending.answer(message.get("result") or {}, None)

    def _finish(self, status: int) -> None:
        self.ended = True
        self._outlet.close()
        self._outlet.join(1.0)
        self._reader.join(1.0)
        self._pipe.close()
        pending, self._pending = list(self._pending.values()), {}
        for one in pending:
            error = EngineError(
                f"the {self.name} process ended ({describe_exit(status)}) before it answered {one.what!r}; nothing of it holds",
                code="engine_failed",
                where=self.name,
                retry=True,
            )
            try:
                one.answer(None, error)
            except Exception:  # noqa: BLE001 - logged; the others must still be answered
                _log.exception("an answer failed; the host goes on")
        self._on_end(status)


def describe_exit(status: int) -> str:
    """An exit status in words.

    >>> describe_exit(-9), describe_exit(3)
    ('signal 9', 'exit status 3')
    """
    return f"signal {-status}" if status < 0 else f"exit status {status}"
