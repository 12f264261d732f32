"""The way to an engine in another process, on this machine or elsewhere: ZeroMQ sockets."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from asmu_control.watch import Watch
from asmu_engine.protocol.codec import unpack
from asmu_engine.protocol.errors import ConfigError, EngineError, EngineTimeout
from asmu_engine.protocol.version import RESUME_SECONDS

if TYPE_CHECKING:
    import zmq

    from asmu_engine.protocol.keys import ClientKey
    from asmu_engine.protocol.runtime import EngineInfo

Message = dict[str, Any]

_QUEUE: Final = 10_000
_LOOK_SECONDS: Final = 0.5  # between looks at the engine's lock
_HEARTBEAT_TIMEOUT_MS: Final = 3000
_RECONNECT_MOST_MS: Final = 1000
_URL: Final = re.compile(r"tcp://(?P<host>[^:/\s]+|\[[0-9a-fA-F:.%\w]+\]):(?P<port>\d{1,5})")


def split_url(url: str) -> tuple[str, int]:
    """Host and port of ``tcp://HOST:PORT``; ConfigError for anything else.

    >>> split_url("tcp://lab.local:5555"), split_url("tcp://[::1]:5555")
    (('lab.local', 5555), ('[::1]', 5555))
    """
    match = _URL.fullmatch(url)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ConfigError(f"{url!r} is no address of an engine; use tcp://HOST:PORT", code="bad_config", where="engine")
    return match["host"], int(match["port"])


class ZmqLink:
    """To an engine in a process of its own: requests over a DEALER socket, events over SUB sockets.

    Parameters
    ----------
    engine
        Where the engine is found, or ``tcp://HOST:PORT``.
    alive
        Tells whether it still runs, if the caller knows better than the engine's lock does.
    key
        With which an engine at a ``tcp://`` address lets this client in.
    """

    def __init__(
        self, engine: EngineInfo | str, alive: Callable[[], bool] | None = None, *, key: ClientKey | None = None
    ) -> None:
        import zmq

        if isinstance(engine, str):
            host, port = split_url(engine)
            if key is None:
                raise ConfigError(
                    f"{engine} lets in only those with a key; make one with 'asmu keys new NAME --out FILE' on the engine's "
                    "machine and give key=FILE",
                    code="bad_config",
                    where="key",
                )
            self.name, self.remote, self.url = engine, True, engine
            self._requests_at, self._events_at = engine, f"tcp://{host}:{port + 1}"
        else:
            self.name, self.remote, self.url = engine.name, False, ""
            self._requests_at, self._events_at = engine.requests, engine.events
        self.key = key
        self._pid = os.getpid()
        self._context = zmq.Context()
        self._alive = alive
        self._looked = 0.0
        self._there = True
        self._closed = False
        self._subscriptions: list[ZmqSubscription] = []
        self._requests = self.open_socket(zmq.DEALER)
        self._requests.setsockopt(zmq.IDENTITY, f"{os.getpid()}-{secrets.token_hex(8)}".encode())
        self._watch = Watch(self._requests, self._requests_at, key)
        self._connect(self._requests, self._requests_at)

    @property
    def connections(self) -> int:
        """How often a connection came about."""
        if os.getpid() == self._pid:
            self._watch.look()
        return self._watch.connections

    def send(self, data: bytes) -> None:
        """Send one request; EngineError in a process that was forked off."""
        import zmq

        self._check_fork()
        try:
            self._requests.send(data, zmq.NOBLOCK)
        except zmq.Again:
            raise EngineTimeout(
                f"engine {self.name!r} takes no more requests: too many wait for a connection to it",
                code="timeout",
                where=self.name,
                retry=True,
            ) from None

    def receive(self, timeout: float) -> Message | None:
        """The next answer, or None; AccessError ``key_refused`` where the engine does not let this client in."""
        self._check_fork()
        if not self._requests.poll(max(0, round(timeout * 1000))):
            self._watch.look()
            self._watch.check()
            return None
        return unpack(self._requests.recv_multipart()[-1], None)

    def fileno(self) -> int:
        """The requests' socket."""
        return int(self._requests.fileno())

    def greeted(self, facts: Mapping[str, Any]) -> None:
        """Learn the engine's name, and where its events are."""
        if self.remote:
            self.name = str(facts.get("name") or self.name)
            port = (facts.get("endpoints") or {}).get("events_port")
            if port:
                self._events_at = f"tcp://{split_url(self.url)[0]}:{int(port)}"

    def subscribe(self, topics: Collection[str], queue: int = _QUEUE) -> ZmqSubscription:
        """Events of these topics, of all without any."""
        import zmq

        self._check_fork()
        socket = self.open_socket(zmq.SUB)
        socket.rcvhwm = queue
        for topic in topics:
            socket.subscribe(topic)
        if not topics:
            socket.subscribe(b"")
        subscription = ZmqSubscription(socket, Watch(socket, self._events_at, self.key), self._check_fork)
        self._connect(socket, self._events_at)
        self._subscriptions = [*(one for one in self._subscriptions if not one.closed), subscription]
        return subscription

    def alive(self) -> bool:
        """Whether the engine still runs.

        On this machine its lock tells, which is looked at twice a second at most. Elsewhere it counts as gone when no connection
        came about for so long that it does not remember this client.
        """
        if self._alive is not None:
            return self._alive()
        if self.remote:
            return not self._closed and time.monotonic() - self._watch.look() < RESUME_SECONDS
        now = time.monotonic()
        if self._there and now - self._looked > _LOOK_SECONDS:
            from asmu_engine.protocol.runtime import is_running

            self._looked = now
            self._there = is_running(self.name)
        return self._there

    def close(self) -> None:
        """Close the sockets; in a fork they are the parent's to close."""
        if os.getpid() != self._pid or self._closed:
            return
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
        self._watch.close()
        self._requests.close()
        self._context.term()

    def open_socket(self, kind: int) -> zmq.Socket[bytes]:
        """A socket that is connected to nothing yet."""
        import zmq

        from asmu_engine.network.aliveness import ping, probe

        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.linger = 0
        if kind == zmq.DEALER:
            socket.rcvhwm = 0  # else the engine's beats fill it while a script computes, and then it counts as gone
        if self.key is not None:
            socket.ipv6 = True
            socket.curve_publickey = self.key.public.encode()
            socket.curve_secretkey = self.key.secret.encode()
            socket.curve_serverkey = self.key.server.encode()
            # An engine whose machine lost its power does not say goodbye.
            if kind == zmq.DEALER:
                ping(socket, _HEARTBEAT_TIMEOUT_MS)
            else:
                probe(socket)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MOST_MS)
        return socket

    def _check_fork(self) -> None:
        """EngineError ``engine_state`` in a fork of the process that connected: ZeroMQ's sockets cannot be shared."""
        if os.getpid() != self._pid:
            raise EngineError(
                f"the connection to engine {self.name!r} belongs to process {self._pid}, of which this one is a fork; "
                "give workers a tap's handle, or let them connect by themselves",
                code="engine_state",
                where=self.name,
            )

    def _connect(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        import zmq

        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EngineError(
                f"no connection to {endpoint}: {error.strerror or error}", code="engine_unknown", where=endpoint
            ) from None


class ZmqSubscription:
    """Events over a SUB socket; of more than wait the newest are lost."""

    def __init__(self, socket: zmq.Socket[bytes], watch: Watch, check_fork: Callable[[], None]) -> None:
        self.closed = False
        self._socket = socket
        self._watch = watch
        self._lock = threading.Lock()
        self._check_fork = check_fork

    @property
    def joined(self) -> bool:
        """Whether there is a connection, over which the engine has been told what is wanted."""
        self._watch.look()
        return self._watch.connections > 0

    def receive(self, timeout: float) -> Message | None:
        """The next event, or None; AccessError ``key_refused`` where the engine does not let this client in."""
        with self._lock:
            if self.closed:
                return None
            self._check_fork()
            if not self._socket.poll(max(0, round(timeout * 1000))):
                self._watch.look()
                self._watch.check()
                return None
            return unpack(self._socket.recv_multipart()[-1], None)

    def fileno(self) -> int:
        """The socket."""
        return int(self._socket.fileno())

    def close(self) -> None:
        """No more of them; waits for a `receive` in another thread."""
        with self._lock:
            if not self.closed:
                self.closed = True
                self._watch.close()
                self._socket.close()
