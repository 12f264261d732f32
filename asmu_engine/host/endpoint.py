"""Where clients come in: a pair of sockets, requests and events, and what is known of who speaks through it."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import zmq

from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.request import Role

HARD_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""A larger message is not read at all: ZeroMQ drops the connection. Up to here it is read, and refused in words."""

QUEUE_MESSAGES: Final = 1000
"""Answers and events that wait for one client; more are dropped."""

QUEUE_REQUESTS: Final = 32
"""Requests of one client that wait to be read; then its own queue fills. They may be large, so these are few."""

MAX_FRAMES: Final = 8
"""Frames of one message that are looked at. A request has one, or two; of a message of millions, which ZeroMQ hands over whole,
the rest is thrown away a little at a time."""

FRAMES_A_TURN: Final = 4096
"""So many are thrown away before the loop sees to everything else."""

TRACKED_BYTES: Final = 4096
"""Answers of so many bytes are counted from when they are sent until the system has taken them."""

UNREAD_BYTES: Final = 64 * 1024 * 1024
"""What of them may wait for one connection, or for all that come with the same key; with more waiting, no more are sent."""

_MAX_SUBSCRIPTION_BYTES: Final = 4096
"""Of a message to the socket of events: a topic, or a word of the handshake. Each byte of a topic takes fifty in memory."""

_HEARTBEAT_MS: Final = 1000
_HEARTBEAT_TIMEOUT_MS: Final[dict[int, int]] = {zmq.ROUTER: 2000, zmq.PUB: 10_000}
"""Of requests it decides, with what `presence` adds, how soon a client that is gone is noticed: within 5 s. Of events only when
the memory of one is freed."""


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
    socket.sndhwm = socket.rcvhwm = QUEUE_MESSAGES
    socket.setsockopt(zmq.MAXMSGSIZE, HARD_MESSAGE_BYTES)
    # Answered by the peer's ZeroMQ, whatever its Python is doing: so a connection ends exactly when the peer is gone or stopped.
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS.get(kind, _HEARTBEAT_TIMEOUT_MS[zmq.PUB]))
    if kind == zmq.ROUTER:
        socket.rcvhwm = QUEUE_REQUESTS
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # full or gone shows as an error, not as silence
    else:
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_SUBSCRIPTION_BYTES)
    return socket


class Inbox:
    """Messages of a ROUTER, of which one that has any number of frames takes no more than its turn.

    Parameters
    ----------
    socket
        Where they come in.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._begun: list[zmq.Frame] = []

    def receive(self) -> list[zmq.Frame] | None:
        """The next message without waiting, the sender's identity first, at most `MAX_FRAMES` of it; None without one."""
        begun = self._begun
        try:
            for _ in range(FRAMES_A_TURN):
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
                if len(begun) < MAX_FRAMES:
                    begun.append(frame)
                if not frame.more:
                    self._begun = []
                    return begun
        except zmq.Again:
            pass
        return None


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

    def receive(self) -> tuple[Peer, list[bytes]] | None:
        """The next message, or None."""
        received = self._inbox.receive()
        if received is None:
            return None
        identity, *frames = (frame.bytes for frame in received)
        return Peer(identity), frames

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
