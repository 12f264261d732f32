"""Listening TCP sockets that outlive the ZeroMQ sockets on them, so that nobody else gets their ports in between."""

from __future__ import annotations

import re
import socket
from typing import Any, Final

import zmq

from asmu_engine.network.handshakes import hold_back
from asmu_engine.protocol.errors import ConfigError, EngineError
from asmu_engine.protocol.zap import ZAP_DOMAIN

_BACKLOG: Final = 128
HANDSHAKE_MS: Final = 5000
_MAX_PORT: Final = 65535


def listen_at(address: str, count: int = 1) -> list[socket.socket]:
    """`count` sockets listening at ``tcp://ADDRESS:PORT`` and the ports after it.

    ``*`` as an address: all of this machine; as a port: free ones.

    Raises
    ------
    ConfigError
        ``bad_config``: the text is no such address, or the address is not known.
    EngineError
        ``engine_failed``: a port is taken, or the address is not of this machine.
    """
    found = re.fullmatch(r"tcp://(\*|\[[0-9a-fA-F:.]+\]|[^:/\s\[\]]+):(\*|\d{1,5})", address)
    first = 0 if found is None or found[2] == "*" else int(found[2])
    if found is None or (found[2] != "*" and not 1 <= first <= _MAX_PORT + 1 - count):
        more = " (the one after it is used too)" if count > 1 else ""
        raise ConfigError(
            f"listen {address!r}: use tcp://ADDRESS:PORT, such as tcp://*:5555, with a port from 1 to "
            f"{_MAX_PORT + 1 - count}{more}, or * for a free one",
            code="bad_config",
            where="listen",
        )
    host = "0.0.0.0" if found[1] == "*" else found[1].strip("[]")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(
            f"listen {address!r}: {host} is no address: {error.strerror}; use one of this machine, or * for all",
            code="bad_config",
            where="listen",
        ) from None
    listeners: list[socket.socket] = []
    port = first
    try:
        for number in range(count):
            port = first + number if first else 0
            listeners.append(socket.create_server((place[0], port, *place[2:]), family=family, backlog=_BACKLOG))
            hold_back(listeners[-1])
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise EngineError(
            f"listen {address!r}: port {port or 'of any number'}: {error.strerror}; use another port, or * for a free one, "
            "and an address of this machine, or * for all",
            code="engine_failed",
            where="listen",
        ) from None
    return listeners


def endpoint_of(listener: socket.socket) -> str:
    """Address and port of a listening socket, as ZeroMQ writes them."""
    host, port = listener.getsockname()[:2]
    return f"tcp://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"tcp://{host}:{port}"


def put_on(listener: socket.socket, made: zmq.Socket[Any], secret: str) -> None:
    """Let a new ZeroMQ socket serve a listening one, as a CURVE server with the key `secret`; `zmq.Socket.bind` comes next."""
    made.curve_server = True
    made.curve_secretkey = secret.encode()
    made.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    made.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # should nobody answer at the door, nobody comes in
    made.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    made.ipv6 = listener.family == socket.AF_INET6
    made.setsockopt(zmq.USE_FD, listener.dup().detach())
