"""Where clients come in: a pair of sockets, requests and events, and what is known of who speaks through it."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import zmq

from asmu_engine.host.inbox import Inbox
from asmu_engine.network.aliveness import ping, probe
from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.request import Role

HARD_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""A larger message is not read at all: ZeroMQ drops the connection. Up to here it is read, and refused in words."""

QUEUE_MESSAGES: Final = 1000
"""Answers and events that wait for one client; more are dropped."""

TRACKED_BYTES: Final = 4096
"""Answers of so many bytes are counted from when they are sent until the system has taken them."""

UNREAD_BYTES: Final = 64 * 1024 * 1024
"""What of them may wait for one connection, or for all that come with the same key; with more waiting, no more are sent."""

_MAX_SUBSCRIPTION_BYTES: Final = 4096
"""Of a message to the socket of events: a topic, or a word of the handshake. Each byte of a topic takes fifty in memory."""

_HEARTBEAT_TIMEOUT_MS: Final = 2000
"""It decides, with what `presence` adds, how soon a client that is gone is noticed: within 5 s."""


@dataclass(frozen=True)
class Peer:
    """Who sent a message.

    `identity`: its connection, as ZeroMQ knows it. `role`: the most that it may do; None for a key that was revoked since.
    `user`: the name of its key, empty for this user on this machine. `address`: as ZeroMQ tells it.
    """

    identity: bytes
    role: Role | None = "admin"
    user: str = ""
    address: str = ""

    @property
    def remote(self) -> bool:
        """True for one that came over the network."""
        return bool(self.user)


class Endpoint(Protocol):
    """One way in. `requests` is a ROUTER, `events` a PUB socket."""

    requests: zmq.Socket[bytes]
    events: zmq.Socket[bytes]

    @property
    def events_port(self) -> int | None:
        """TCP port of the events for who came in here; None where they are found by name."""

    @property
    def more(self) -> bool:
        """True while messages wait of which the sockets say nothing."""

    def receive(self) -> tuple[Peer, list[bytes]] | None:
        """The next message, without waiting: its sender, and its frames beside the sender's identity; None without one."""

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """Send without waiting; False when that peer is gone. To one that does not read, nothing is sent."""

    def close(self, linger: float) -> None:
        """Close both sockets; what is on its way gets at most so many seconds."""


@dataclass(frozen=True)
class Line:
    """The way to one client: its answers go where its request came from, in the same envelope."""

    endpoint: Endpoint
    peer: Peer
    envelope: tuple[bytes, ...] = ()

    def send(self, message: bytes) -> bool:
        """Send without waiting; False when nobody is at the other end."""
        return self.endpoint.send(self.peer, [*self.envelope, message])


def open_socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
    """A socket with the limits that hold for all clients."""
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = QUEUE_MESSAGES
    socket.setsockopt(zmq.MAXMSGSIZE, HARD_MESSAGE_BYTES)
    if kind == zmq.ROUTER:
        # Answered by the peer's ZeroMQ, whatever its Python does: so a connection ends exactly when the peer is gone or stopped.
        ping(socket, _HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # full or gone shows as an error, not as silence
    else:
        probe(socket)
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_SUBSCRIPTION_BYTES)
    return socket


class Outbox:
    """Answers through a ROUTER, of which a peer that does not read them cannot have the host keep any number.

    ZeroMQ bounds what waits for a peer in messages only, and an answer may have eight megabytes.

    Parameters
    ----------
    socket
        Where they go out.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        socket.copy_threshold = TRACKED_BYTES
        self._waiting: dict[str | bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """Send without waiting; False when the peer is gone. To one that does not read nothing is sent, which is its own loss."""
        message = frames[-1]
        large = len(message) >= TRACKED_BYTES
        whose = peer.user or peer.identity
        if large and self._unread(whose) + len(message) > max(UNREAD_BYTES, len(message)):
            return True
        try:
            if large:
                self._socket.send_multipart([peer.identity, *frames[:-1]], zmq.NOBLOCK | zmq.SNDMORE)
                # Not copied, and so tracked until the system has it, or the connection is gone.
                tracker = self._socket.send(message, zmq.NOBLOCK, copy=False, track=True)
                assert tracker is not None
                self._waiting.setdefault(whose, deque()).append((tracker, len(message)))
            else:
                self._socket.send_multipart([peer.identity, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return True
        except zmq.ZMQError:
            return False
        return True

    def _unread(self, whose: str | bytes) -> int:
        """Bytes that wait for that peer; what is done with is forgotten, of everybody."""
        for each, sent in list(self._waiting.items()):
            while sent and sent[0][0].done:
                sent.popleft()
            if not sent:
                del self._waiting[each]
        return sum(size for _, size in self._waiting.get(whose, ()))


class LocalEndpoint:
    """For this user on this machine: two sockets in the engine's folder, which nobody else can enter.

    Parameters
    ----------
    folder
        Where the ``ipc`` endpoints are put; ``tcp://127.0.0.1`` instead where the system has none, or where the path
        would be longer than a socket's address can be.
    """

    def __init__(self, context: zmq.Context[Any], folder: Path) -> None:
        self.requests = open_socket(context, zmq.ROUTER)
        self.requests.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a client that reconnects under its old identity gets its answers
        self.events = open_socket(context, zmq.PUB)
        self._inbox, self._outbox = Inbox(self.requests), Outbox(self.requests)
        try:
            self.requests_endpoint = _bind(self.requests, folder / "requests.sock")
            self.events_endpoint = _bind(self.events, folder / "events.sock")
        except BaseException:
            self.close(0)
            raise

    @property
    def events_port(self) -> int | None:
        """None: clients find both sockets in the engine's folder."""
        return None

    @property
    def more(self) -> bool:
        """True while messages wait of which the sockets say nothing."""
        return self._inbox.more

    def receive(self) -> tuple[Peer, list[bytes]] | None:
        """The next message, or None."""
        received = self._inbox.receive()
        if received is None:
            return None
        return Peer(received.identity), received.frames

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """Send; False when the peer is gone."""
        return self._outbox.send(peer, frames)

    def close(self, linger: float) -> None:
        """Close both sockets."""
        self.requests.close(linger=round(linger * 1000))
        self.events.close(linger=round(linger * 1000))


def _bind(socket: zmq.Socket[bytes], path: Path) -> str:
    local = zmq.has("ipc") and os.name == "posix" and len(os.fsencode(path)) <= zmq.IPC_PATH_MAX_LEN
    try:
        socket.bind(f"ipc://{path}" if local else "tcp://127.0.0.1:*")
        if local:
            path.chmod(0o600)
    except (zmq.ZMQError, OSError) as error:
        raise EngineError(f"no endpoint at {path}: {error.strerror or error}", code="engine_failed", where=str(path)) from None
    return str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")
