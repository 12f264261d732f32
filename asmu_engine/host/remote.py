"""Where clients of other machines come in: TCP, always with CURVE, and only with a key that the key ring knows."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import zmq

from asmu_engine.host.endpoint import Outbox, Peer, open_socket
from asmu_engine.host.events import Events
from asmu_engine.host.inbox import Inbox
from asmu_engine.host.loop import Loop
from asmu_engine.network.door import Door
from asmu_engine.network.handshakes import MAX_CONNECTIONS, HandshakeWatch
from asmu_engine.network.listening import endpoint_of, listen_at, put_on
from asmu_engine.protocol.keys import KeyRing
from asmu_engine.protocol.zap import Refusals

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often the files of the keys are looked at."""

LAST_WORDS_SECONDS: Final = 0.2
"""What answers get that are on their way when all connections are ended."""

_DESCRIPTORS: Final = 4 * MAX_CONNECTIONS
_MAX_SPEAKERS: Final = 4096


class RemoteEndpoint:
    """A ROUTER at a TCP port and a PUB at the next one, with the user's server key.

    It has a ZeroMQ context of its own: whatever strangers do at these ports takes none of the local clients' I/O thread.
    The listening sockets are this object's and stay while the ZeroMQ sockets on them are replaced: so nobody else gets the
    ports when a key is revoked and every connection has to show its key anew.

    Parameters
    ----------
    listen
        ``tcp://ADDRESS:PORT``; events are at the port after it. ``*`` as a port: two free ones.
    ring
        Who may come in.

    Raises
    ------
    ConfigError
        The address is none of this machine.
    EngineError
        A port is taken.
    """

    def __init__(self, listen: str, ring: KeyRing) -> None:
        self._ring = ring
        self._server_key = ring.server_key(zmq.curve_keypair)
        ring.refresh()
        self.public_key = self._server_key.public
        self._listeners = listen_at(listen, 2)
        self.requests_endpoint, self.events_endpoint = (endpoint_of(listener) for listener in self._listeners)
        self._context: zmq.Context[Any] = zmq.Context(io_threads=1)
        self._refusals = Refusals(_log.warning)
        self._door = Door(self._context, ring, self._refusals)
        self._watches: list[HandshakeWatch] = []
        self._note: Callable[[str, str], None] = self._refusals.note
        self._loop: Loop | None = None
        self._events_of: Events | None = None
        self._read: Callable[[RemoteEndpoint], bool] = lambda endpoint: False
        self._said: list[str] = []
        self._is_open = False
        self._speakers: OrderedDict[bytes, str] = OrderedDict()
        _raise_limit()

    @property
    def events_port(self) -> int:
        """The port at which events are published."""
        return int(self._listeners[1].getsockname()[1])

    def serve(self, loop: Loop, read: Callable[[RemoteEndpoint], bool], events: Events) -> None:
        """Begin: `read` is called when requests have come, and `events` are published here too.

        Called in the thread of the loop, or before that runs; `close` ends it.
        """
        self._loop, self._read, self._events_of = loop, read, events
        # Handshakes are watched by threads; what they note is said in the loop.
        self._note = lambda address, why: loop.post(partial(self._refusals.note, address, why))
        loop.add_socket(self._door.socket, self._door.answer)
        self.look()
        loop.every(LOOK_SECONDS, self.look)

    @property
    def more(self) -> bool:
        """True while messages wait of which the sockets say nothing."""
        return self._is_open and self._inbox.more

    def receive(self) -> tuple[Peer, list[bytes]] | None:
        """The next message, with the name and present role of the key that it came with; None without a message."""
        if not self._is_open:
            return None
        received = self._inbox.receive()
        if received is None:
            return None
        identity, frames, (public, address) = received
        key = self._ring.find(public)
        user = key.name if key else self._ring.name_of(public)
        self._speakers[identity] = user
        self._speakers.move_to_end(identity)
        if len(self._speakers) > _MAX_SPEAKERS:
            self._speakers.popitem(last=False)
        return Peer(identity, key.role if key else None, user, address), frames

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """Send; False when the peer is gone, or another with another key has taken up its identity."""
        if not self._is_open or self._speakers.get(peer.identity, peer.user) != peer.user:
            return False
        return self._outbox.send(peer, frames)

    def look(self) -> None:
        """Look whether keys changed; after a revocation every connection is ended, and comes back only with a good key."""
        if self._loop is None:
            return
        self._ring.refresh()
        for problem in self._ring.problems:
            if problem not in self._said:
                _log.warning("a key is left out: %s", problem)
        self._said = list(self._ring.problems)
        if gone := self._ring.take_gone():
            names = ", ".join(self._ring.name_of(public) for public in sorted(gone))
            _log.warning("key revoked: %s; all connections from other machines are made anew", names)
            self._shut(LAST_WORDS_SECONDS)
        if not self._is_open:
            try:
                self._open()
            except (zmq.ZMQError, OSError) as error:
                _log.error("no clients of other machines, until this works again: %s", error)
                self._shut(0)

    def close(self, linger: float) -> None:
        """Close everything; what is on its way gets at most so many seconds."""
        if self._loop is not None:
            self._shut(linger)
            self._loop.remove_socket(self._door.socket)
            self._loop = None
        self._door.close()
        self._context.term()
        for listener in self._listeners:
            listener.close()

    def _open(self) -> None:
        """New ZeroMQ sockets on the listening ones."""
        assert self._loop is not None
        assert self._events_of is not None
        self.requests = self._make(zmq.ROUTER)
        self._inbox, self._outbox = Inbox(self.requests, ("User-Id", "Peer-Address")), Outbox(self.requests)
        self.events = self._make(zmq.PUB)
        for made, listener in zip((self.requests, self.events), self._listeners, strict=True):
            self._bind(made, listener)
        self._events_of.attach(self.events)
        self._loop.add_socket(self.requests, lambda: self._read(self))
        self._is_open = True

    def _shut(self, linger: float) -> None:
        assert self._loop is not None
        assert self._events_of is not None
        if self._is_open:
            self._is_open = False
            self._events_of.detach(self.events)
            self._loop.remove_socket(self.requests)
        for watch in self._watches:
            watch.close()
        self._watches.clear()
        self._speakers.clear()
        self.requests.close(round(linger * 1000))
        self.events.close(0)

    def _make(self, kind: int) -> zmq.Socket[bytes]:
        made = open_socket(self._context, kind)
        if kind == zmq.ROUTER:
            # One that lost its connection without our knowing comes back under its identity, which others do not know.
            made.setsockopt(zmq.ROUTER_HANDOVER, 1)
        return made

    def _bind(self, made: zmq.Socket[bytes], listener: socket.socket) -> None:
        put_on(listener, made, self._server_key.secret)
        self._watches.append(HandshakeWatch(made, self._note))
        made.bind(endpoint_of(listener))


def _raise_limit() -> None:
    """Let strangers' connections use up no descriptors that the engine needs, where there may be more than there are."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
