"""Who tried to come in over the network and did not get as far as showing a key: its address, which ZeroMQ does not tell.

ZeroMQ reports a connection with its file descriptor, and a failed handshake with a reason, but the address can be had only
from the descriptor, which is closed as soon as the handshake fails. So a thread waits for the reports, and where the system
can, the engine's first word is held back until that thread has looked (see `hold_back`).
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

import zmq

MAX_CONNECTIONS: Final = 1024
"""Connections of one endpoint at a time; one more is shut again."""

_numbers: Final = itertools.count(1)
_CORK: Final = getattr(socket, "TCP_CORK", None)
_EVENTS: Final = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_MONITOR_STOPPED
)
_REASONS: Final = {
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): "it shows no key",
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): "what it sent was not meant for this engine's key",
}


def hold_back(listener: socket.socket) -> None:
    """Let connections begin with their output held back, for 0.2 s at most, until a `HandshakeWatch` has seen them.

    Accepted sockets inherit it on Linux; elsewhere there is no such thing, and the address of a peer is sometimes not known.
    """
    if _CORK is not None:
        listener.setsockopt(socket.IPPROTO_TCP, _CORK, 1)


class HandshakeWatch:
    """Watches the connections of one listening socket until that is closed.

    Parameters
    ----------
    watched
        A CURVE server, not yet bound.
    note
        Called in a thread of its own with the address of a peer, empty where it is not known, and why it was refused.
    """

    def __init__(self, watched: zmq.Socket[bytes], note: Callable[[str, str], None]) -> None:
        self._note = note
        self._watched = watched
        self._addresses: dict[int, str] = {}
        endpoint = f"inproc://handshakes-{next(_numbers)}"
        watched.monitor(endpoint, _EVENTS)
        self._reports: zmq.Socket[bytes] = watched.context.socket(zmq.PAIR)
        self._reports.linger = 0
        self._reports.rcvhwm = 0  # a full queue would stop all traffic of the context
        self._reports.connect(endpoint)
        self._thread = threading.Thread(target=self._run, name="handshakes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more; called before the socket is closed."""
        self._watched.disable_monitor()
        self._thread.join()
        self._reports.close(0)

    def _run(self) -> None:
        failed = ""
        while True:
            event, value = struct.unpack("=Hi", self._reports.recv_multipart()[0])
            if event == zmq.EVENT_MONITOR_STOPPED:
                return
            if event == zmq.EVENT_ACCEPTED:
                self._accepted(value)
            elif event == zmq.EVENT_DISCONNECTED:
                # One thread of ZeroMQ tells all this: the connection that ends is the one whose handshake just failed.
                address = self._addresses.pop(value, "")
                if failed:
                    self._note(address, failed)
                failed = ""
            elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                failed = _REASONS.get(value, f"it does not keep to the protocol (ZeroMQ error {value:#x})")
            else:
                failed = "it shows no key, but left or fell silent"

    def _accepted(self, descriptor: int) -> None:
        self._addresses[descriptor] = ""
        with contextlib.suppress(OSError), socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as connection:
            self._addresses[descriptor] = address = str(connection.getpeername()[0])
            if len(self._addresses) > MAX_CONNECTIONS:
                connection.shutdown(socket.SHUT_RDWR)
                self._note(address, f"there are {MAX_CONNECTIONS} connections already")
            elif _CORK is not None:
                connection.setsockopt(socket.IPPROTO_TCP, _CORK, 0)
