"""Messages that have come in at a ROUTER and wait for their turn: each sender's own, so that nobody waits behind a flood."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import zmq

from asmu_engine.protocol.version import MAX_WAITING, MAX_WAITING_BYTES

_log = logging.getLogger(__name__)

MAX_FRAMES: Final = 8
"""Frames of one message that are looked at. A request has one, or two; of a message of millions, which ZeroMQ hands over whole,
the rest is thrown away a little at a time."""

FRAMES_A_TURN: Final = 4096
"""So many are thrown away before the loop sees to everything else."""

MESSAGES_A_TURN: Final = 64
"""So many are taken from ZeroMQ, to wait here, for one that is handled."""


class Incoming(NamedTuple):
    """A message of a ROUTER, copied: ZeroMQ's own, however small it is, holds the 8 kB of the read with which it came.

    `identity`: its connection. `frames`: the others, at most `MAX_FRAMES` with the identity. `told`: its properties, in the order
    in which the inbox was asked for them, empty where it has none.
    """

    identity: bytes
    frames: list[bytes]
    told: tuple[str, ...]


class Inbox:
    """Messages of a ROUTER whose own queues have no limit: they are counted here.

    Of a message of any number of frames it takes no more than its turn.

    Parameters
    ----------
    socket
        Where they come in.
    properties
        Names of what else is to be known of each message, as ZeroMQ's ``zmq_msg_gets`` has them.
    """

    def __init__(self, socket: zmq.Socket[bytes], properties: Sequence[str] = ()) -> None:
        self._socket = socket
        self._properties = properties
        self._begun: list[zmq.Frame] = []
        self._waiting: OrderedDict[bytes, _Sender] = OrderedDict()

    @property
    def more(self) -> bool:
        """True while messages wait here, of which the socket says nothing."""
        return bool(self._waiting)

    def receive(self) -> Incoming | None:
        """The next message, without waiting; None without one."""
        self._take()
        if not self._waiting:
            return None
        identity, sender = self._waiting.popitem(last=False)
        message = sender.pop()
        if sender.messages:
            self._waiting[identity] = sender  # behind the others
        return message

    def _take(self) -> None:
        begun, taken = self._begun, 0
        with contextlib.suppress(zmq.Again):
            for _ in range(FRAMES_A_TURN):
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
                if len(begun) < MAX_FRAMES:
                    begun.append(frame)
                if not frame.more:
                    self._keep(begun)
                    begun = self._begun = []
                    taken += 1
                    if taken == MESSAGES_A_TURN:
                        return

    def _keep(self, message: list[zmq.Frame]) -> None:
        identity = message[0].bytes
        sender = self._waiting.get(identity)
        if sender is None:
            sender = self._waiting[identity] = _Sender()
        if sender.has_room(size := sum(map(len, message))):
            told = tuple(_told(message[-1], name) for name in self._properties)
            sender.put(Incoming(identity, [frame.bytes for frame in message[1:]], told), size)
        elif not sender.ended:
            sender.ended = True
            ended = end_connection(message[-1])
            _log.warning(
                "a client sends more than can be handled: %d requests wait, with %d bytes; what is more is thrown away%s",
                len(sender.messages),
                sender.bytes,
                ", and its connection was ended" if ended else "",
            )


class _Sender:
    """What waits of one sender. `ended`: its connection was ended since it had nothing waiting."""

    def __init__(self) -> None:
        self.messages: deque[tuple[Incoming, int]] = deque()
        self.bytes = 0
        self.ended = False

    def has_room(self, size: int) -> bool:
        """Whether another message of so many bytes may wait; a single one may be as large as it likes."""
        return not self.messages or (len(self.messages) < MAX_WAITING and self.bytes + size <= MAX_WAITING_BYTES)

    def put(self, message: Incoming, size: int) -> None:
        """Behind the others."""
        self.messages.append((message, size))
        self.bytes += size

    def pop(self) -> Incoming:
        """The one that has waited longest."""
        message, size = self.messages.popleft()
        self.bytes -= size
        return message


def _told(frame: zmq.Frame, name: str) -> str:
    """What ZeroMQ says of a message: a property of the connection that it came over; empty where that has none."""
    with contextlib.suppress(zmq.ZMQError):
        return str(frame.get(name))
    return ""


def end_connection(frame: zmq.Frame) -> bool:
    """End the connection over which a message came; False where that cannot be told, or it has ended by now."""
    try:
        said, descriptor = _told(frame, "Peer-Address"), int(frame.get(zmq.SRCFD))
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            if _peer(connection) != said:  # another has the number now
                return False
            connection.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError, zmq.ZMQError):
        return False
    return True


def _peer(connection: socket.socket) -> str:
    """The other end as ZeroMQ names it: the address, or on this machine user, group and process."""
    if connection.family != getattr(socket, "AF_UNIX", None):
        return str(connection.getpeername()[0])
    process, user, group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"localhost:{user}:{group}:{process}"
