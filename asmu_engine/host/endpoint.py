"""Where clients come in: a pair of sockets, requests and events, and what is known of who speaks through it."""

from __future__ import annotations

import contextlib
import os
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
    return socket


def send_to(socket: zmq.Socket[bytes], identity: bytes, frames: list[bytes]) -> bool:
    """Send through a ROUTER without waiting; False when the peer is gone."""
    try:
        socket.send_multipart([identity, *frames], zmq.NOBLOCK)
    except zmq.Again:
        return True  # there, but not reading: its loss, nobody else's
    except zmq.ZMQError:
        return False
    return True


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
        with contextlib.suppress(zmq.Again):
            identity, *frames = self.requests.recv_multipart(zmq.NOBLOCK)
            return Peer(identity), frames
        return None

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """Send; False when the peer is gone."""
        return send_to(self.requests, peer.identity, frames)

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
