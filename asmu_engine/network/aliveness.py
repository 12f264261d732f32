"""How the sockets of the two ends learn that the other is gone without a word.

ZeroMQ's own heartbeats tell most: they are answered whatever the peer's Python does, and show also a process that was stopped.
But a heartbeat that falls due on a connection that broke while its receive queue was full ends the whole process, with
"Assertion failed: !_io_error" (libzmq up to 4.3.5, its issue 4841); so does an answer to the other's heartbeat. So heartbeats
go only over sockets whose queue is never full. Those of subscribers, where messages may wait, are looked after by the system.
"""

from __future__ import annotations

from typing import Any, Final

import zmq

_BEAT_MS: Final = 1000
_IDLE_S, _PROBES, _PROBE_S, _UNACKNOWLEDGED_MS = 4, 3, 2, 10_000


def ping(socket: zmq.Socket[Any], timeout_ms: int) -> None:
    """Heartbeats each second, and a connection ends when one was not answered for so long; the receive queue has no limit.

    For sockets whose messages are taken soon, and which see to their number by themselves; before `bind` or `connect`.
    """
    socket.rcvhwm = 0
    socket.setsockopt(zmq.HEARTBEAT_IVL, _BEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, timeout_ms)


def probe(socket: zmq.Socket[Any]) -> None:
    """Have the system end a TCP connection whose other machine has said nothing for about ten seconds."""
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _IDLE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _PROBES)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _PROBE_S)
    socket.setsockopt(zmq.TCP_MAXRT, _UNACKNOWLEDGED_MS)  # while something is on its way, no probes are sent
