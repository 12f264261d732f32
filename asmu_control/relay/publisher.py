"""The relay's socket: messages to whoever subscribed with a key, and word of who did."""

from __future__ import annotations

import contextlib
import logging
import math
from collections import deque
from typing import Any, Final, NamedTuple

import zmq

from asmu_control.relay.wire import Header, encode
from asmu_engine.network.aliveness import probe
from asmu_engine.network.door import Door
from asmu_engine.network.handshakes import HandshakeWatch
from asmu_engine.network.listening import endpoint_of, listen_at, put_on
from asmu_engine.protocol.keys import KeyRing
from asmu_engine.protocol.zap import Refusals

QUEUE_MESSAGES: Final = 200
"""Messages that wait for one subscriber that is too slow; what comes then is not sent to it, which it sees by the positions."""

_MOST_TOPICS: Final = 10_000
_LONGEST_TOPIC: Final = 256

_log = logging.getLogger(__name__)


class Subscription(NamedTuple):
    """Somebody subscribed to what begins with `topic`; or, with `wanted` false, nobody does any more."""

    topic: bytes
    wanted: bool


class Publisher:
    """An XPUB socket behind CURVE: only clients with a key that is allowed hear of anything.

    Parameters
    ----------
    listen
        ``tcp://ADDRESS:PORT``; ``*`` as an address: all of this machine; as a port: a free one.
    ring
        Who may subscribe, with whatever role; and the key by which subscribers know this user's engines.
    queue
        See `QUEUE_MESSAGES`.

    Raises
    ------
    ConfigError
        ``bad_config``: the text is no such address.
    EngineError
        ``engine_failed``: the port is taken, or the address is not of this machine.

    Attributes
    ----------
    endpoint
        The address that it is bound to, with its port.
    server
        Its public key.
    """

    def __init__(self, listen: str, ring: KeyRing, queue: int = QUEUE_MESSAGES) -> None:
        self._ring = ring
        self._queue = queue
        self._key = ring.server_key(zmq.curve_keypair)
        self.server = self._key.public
        ring.refresh()
        self._topics: set[bytes] = set()
        self._refusals = Refusals(_log.warning)
        # Noted by the thread that watches handshakes, said in the one that runs the relay.
        self._refused: deque[tuple[str, str]] = deque(maxlen=1000)
        # Stays while the ZeroMQ socket on it is replaced, so that nobody else gets the port.
        (self._listener,) = listen_at(listen)
        self.endpoint = endpoint_of(self._listener)
        self._context: zmq.Context[Any] = zmq.Context()
        self._door = Door(self._context, ring, self._refusals)
        self._open()

    def wanted(self, topic: bytes) -> bool:
        """Whether anybody gets messages of that topic."""
        return any(topic.startswith(prefix) for prefix in self._topics)

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send without waiting; to subscribers whose queue is full, nothing."""
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart(encode(header, payload), zmq.NOBLOCK)

    def wait(self, seconds: float) -> list[Subscription]:
        """Word of subscriptions, after at most so many seconds."""
        # Rounded up: a wait of less than a millisecond must not become none at all.
        ready = dict(self._poller.poll(math.ceil(seconds * 1000)))
        if self._door.socket in ready:
            self._door.answer()
        while self._refused:
            self._refusals.note(*self._refused.popleft())
        return self._subscriptions() if self._socket in ready else []

    def expel(self) -> bool:
        """If a key was revoked: end all connections, so that each has to show its key anew. True when that was done."""
        self._ring.refresh()
        gone = self._ring.take_gone()
        if gone:
            names = ", ".join(self._ring.name_of(public) for public in sorted(gone))
            _log.warning("key revoked: %s; all subscribers connect anew", names)
            self._shut(0)
            self._topics.clear()
            self._open()
        return bool(gone)

    def close(self, linger: float = 0.5) -> None:
        """Close; what is on its way gets at most so many seconds."""
        self._shut(linger)
        self._door.close()
        self._context.term()
        self._listener.close()

    def _subscriptions(self) -> list[Subscription]:
        found: list[Subscription] = []
        with contextlib.suppress(zmq.Again):
            while True:
                message = self._socket.recv(zmq.NOBLOCK)
                kind, topic = message[:1], message[1:]
                if kind not in (b"\0", b"\1") or len(topic) > _LONGEST_TOPIC:
                    continue
                if kind == b"\0":
                    self._topics.discard(topic)
                elif len(self._topics) < _MOST_TOPICS:
                    self._topics.add(topic)
                found.append(Subscription(topic, kind == b"\1"))
        return found

    def _open(self) -> None:
        """A new ZeroMQ socket on the listening one."""
        bound = self._context.socket(zmq.XPUB)
        bound.linger = 0
        bound.sndhwm = self._queue
        bound.setsockopt(zmq.MAXMSGSIZE, 4 * _LONGEST_TOPIC)
        probe(bound)
        # Told of each subscription, also of the second to the same topic: it too gets a message to begin with.
        bound.setsockopt(zmq.XPUB_VERBOSE, 1)
        put_on(self._listener, bound, self._key.secret)
        self._watch = HandshakeWatch(bound, lambda address, why: self._refused.append((address, why)))
        bound.bind(self.endpoint)
        self._socket: zmq.Socket[bytes] = bound
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._door.socket, zmq.POLLIN)

    def _shut(self, linger: float) -> None:
        self._watch.close()
        self._socket.close(round(linger * 1000))
