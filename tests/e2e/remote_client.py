"""A client on the network side as a stranger would write it: plain pyzmq with CURVE, msgpack, no client library."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import zmq
from plain_engine import PlainClient, PlainEngine, until

from asmu_engine.protocol.keys import ClientKey, KeyRing
from asmu_engine.protocol.request import Role

FAILED = (
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH),
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL),
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL),
)
SHUT = (*FAILED, int(zmq.EVENT_DISCONNECTED))


def new_key(name: str, role: Role, *, allow: bool = True) -> ClientKey:
    """A key of the engine's user, as ``asmu keys new`` makes one."""
    ring = KeyRing()
    server = ring.server_key(zmq.curve_keypair)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    if allow:
        ring.allow(name, public, role)
    return ClientKey(name, public, secret, server.public)


class RemoteClient(PlainClient):
    """Requests and events through the ports of an engine, with a key or without one."""

    def __init__(self, engine: PlainEngine, key: ClientKey | None, **hello: Any) -> None:
        self.number = 0
        self.seen: list[dict[str, Any]] = []
        self.requests = self._socket(engine.context, zmq.DEALER, key)
        self.reports = self.requests.get_monitor_socket()
        self.told: list[int] = []
        self.events = self._socket(engine.context, zmq.SUB, key)
        self.events.subscribe(b"")
        self.requests.connect(engine.info["listen"])
        self.events.connect(engine.info["listen_events"])
        engine.clients.append(self)
        if hello:
            self.hello(**{"pid": 0, **hello})

    @staticmethod
    def _socket(context: zmq.Context, kind: int, key: ClientKey | None) -> zmq.Socket:
        socket = context.socket(kind)
        socket.linger = 0
        if key is not None:
            socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
            socket.curve_serverkey = key.server.encode()
        return socket

    def reported(self, *events: int) -> bool:
        """Whether ZeroMQ has told one of these things of the connection for requests, since this last was true."""
        while self.reports.poll(0):
            self.told.append(struct.unpack("=Hi", self.reports.recv_multipart()[0])[0])
        found = [index for index, event in enumerate(self.told) if event in events]
        if found:
            del self.told[: found[0] + 1]
        return bool(found)

    def kept_out(self) -> None:
        """Wait until a handshake has failed; nothing was answered by then."""
        with contextlib.suppress(zmq.Again):  # ZeroMQ gives up where it was told that it has no access
            self.requests.send(b"\x80", zmq.NOBLOCK)
        until(lambda: self.reported(*FAILED), "the engine to refuse the connection")
        assert not self.requests.poll(0)

    def close(self) -> None:
        """Close all sockets."""
        self.requests.disable_monitor()
        self.reports.close(0)
        super().close()
