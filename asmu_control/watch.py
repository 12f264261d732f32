"""What becomes of a connection, as ZeroMQ tells of it."""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from asmu_engine.protocol.errors import AccessError

if TYPE_CHECKING:
    import zmq

    from asmu_engine.protocol.keys import ClientKey

_VAIN_HANDSHAKES: Final = 3
"""Handshakes that broke off without a word until it is taken for certain that the engine has another key."""


class Watch:
    """What becomes of the connection of a socket, from its monitor; any thread may look.

    Attributes
    ----------
    connections
        How often one came about.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, key: ClientKey | None) -> None:
        import zmq

        self.connections = 0
        self._endpoint = endpoint
        self._key = key
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self._since = time.monotonic()  # connected or not for so long
        self._up = False
        self._vain = 0
        self._refused = False
        self._made, self._lost, self._denied = (
            zmq.EVENT_HANDSHAKE_SUCCEEDED,
            zmq.EVENT_DISCONNECTED,
            zmq.EVENT_HANDSHAKE_FAILED_AUTH,
        )
        broke = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        self._broke = broke
        self._socket = socket
        self._monitor = socket.get_monitor_socket(self._made | self._lost | self._denied | broke)
        self._monitor.linger = 0

    def look(self) -> float:
        """Take note of what happened; the time of `time.monotonic` since which there is no connection, or now if there is."""
        import zmq

        with self._lock:
            while not self._closed and os.getpid() == self._pid:
                try:
                    frames = self._monitor.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                self._note(struct.unpack("=hi", frames[0])[0])
            return time.monotonic() if self._up else self._since

    def check(self) -> None:
        """AccessError ``key_refused`` once it is clear that there will be no connection with this key."""
        if self._refused or self._vain >= _VAIN_HANDSHAKES:
            assert self._key is not None
            why = "is not allowed there, or was revoked" if self._refused else "is made for another engine"
            raise AccessError(
                f"{self._endpoint} refuses key {self._key.name!r}: it {why}; ask whoever keeps the engine for a new one "
                "('asmu keys new')",
                code="key_refused",
                where=self._endpoint,
            )

    def close(self) -> None:
        """Stop looking, before the socket is closed."""
        with self._lock:
            self._closed = True
            self._socket.disable_monitor()
            self._monitor.close()

    def _note(self, event: int) -> None:
        if event == self._made:
            self.connections += 1
            self._up, self._vain, self._refused = True, 0, False
        elif event == self._denied:
            self._refused = True
        elif event & self._broke:
            # One that was made before shows that the keys are right, and that it is the network that fails.
            self._vain += self._key is not None and not self.connections
        if event != self._made and self._up:
            self._up, self._since = False, time.monotonic()
