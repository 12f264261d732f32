"""Messages between a host and its child processes: length-prefixed msgpack over the child's stdin and stdout.

A pipe rather than a socket, because it closes with the process at either end, however that ended: a child whose
host is gone reads the end of its stdin and ends too, and a host learns of a dead child at once.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
from typing import Any, BinaryIO

from asmu_engine.protocol.codec import pack, unpack

_LENGTH = struct.Struct("<I")


class MessagePipe:
    """One end of a two-way message pipe; `send` may be called from any thread, `receive` from one."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()
        self._receiving = threading.Lock()
        self._closed = False

    @classmethod
    def of_this_process(cls) -> MessagePipe:
        """The pipe to the parent. What anything prints from now on goes to stderr, so that it cannot damage the pipe."""
        incoming = os.fdopen(os.dup(0), "rb")
        outgoing = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        return cls(incoming, outgoing)

    def send(self, message: dict[str, Any]) -> bool:
        """Send one message; False when the other end is gone."""
        data = pack(message)
        try:
            with self._lock:
                self._outgoing.write(_LENGTH.pack(len(data)) + data)
                self._outgoing.flush()
        except (OSError, ValueError):
            return False
        return True

    def receive(self) -> dict[str, Any] | None:
        """The next message, waiting for it; None when the other end is gone."""
        with self._receiving:
            data = self._frame()
            if self._closed:
                self._close_incoming()
        # Without the limit of clients' messages: a whole patch that is replayed may be larger than any one transaction.
        return None if data is None else unpack(data, limit=None)

    def close(self) -> None:
        """Close both directions; the other end reads the end of its stream.

        A stream that is being read cannot be closed without waiting for it: a thread that is inside `receive` closes
        its direction when it comes out, which is when the other end closes in its turn.
        """
        self._closed = True
        with contextlib.suppress(OSError):
            self._outgoing.close()
        if self._receiving.acquire(blocking=False):
            self._close_incoming()
            self._receiving.release()

    def _frame(self) -> bytes | None:
        try:
            head = self._incoming.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return None
            (length,) = _LENGTH.unpack(head)
            data = self._incoming.read(length)
        except (OSError, ValueError):
            return None
        return data if len(data) == length else None

    def _close_incoming(self) -> None:
        with contextlib.suppress(OSError):
            self._incoming.close()
