"""A subscriber's socket: the messages of one relayed tap."""

from __future__ import annotations

import time
from typing import Final

import zmq

from asmu_control.relay.packing import Frames, unpack_frames
from asmu_control.relay.wire import MAX_BYTES, Header, decode, topic_of
from asmu_control.watch import Watch
from asmu_engine.network.aliveness import probe
from asmu_engine.protocol.errors import ConfigError, ProtocolError, RingError
from asmu_engine.protocol.keys import ClientKey

QUEUE_MESSAGES: Final = 500
"""Messages that wait here until they are fetched, about 10 s with blocks of 1024 frames at 48 kHz."""

_RECONNECT_MS: Final = 100
_RECONNECT_MOST_MS: Final = 1000
_SLICE: Final = 0.1  # between looks at whether the key is refused, seconds

Message = tuple[Header, Frames | None]


class Subscriber:
    """Subscribed to one tap of one relay from the beginning to `close`; connects again by itself.

    Parameters
    ----------
    endpoint
        ``tcp://HOST:PORT`` of the relay.
    key
        With which it lets this client in: the one with which it comes to the engine.
    node
        The tap.
    """

    def __init__(self, endpoint: str, key: ClientKey, node: str) -> None:
        self._endpoint = endpoint
        self._node = node
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = socket = self._context.socket(zmq.SUB)
        socket.linger = 0
        socket.ipv6 = True
        socket.rcvhwm = QUEUE_MESSAGES
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        probe(socket)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MOST_MS)
        socket.curve_publickey = key.public.encode()
        socket.curve_secretkey = key.secret.encode()
        socket.curve_serverkey = key.server.encode()
        socket.subscribe(topic_of(node))
        self._watch = Watch(socket, endpoint, key)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(
                f"{endpoint!r} is no address of a relay: {error.strerror}; use tcp://HOST:PORT", code="bad_config", where="relay"
            ) from None

    def receive(self, timeout: float) -> Message | None:
        """The next message, waiting for it up to `timeout` seconds; None without one.

        Raises
        ------
        AccessError
            ``key_refused``: the relay does not let this key in, or no more.
        ProtocolError
            ``bad_message``, ``protocol_version``: what came is no message of a relay that this library reads.
        """
        if not self._socket.poll(max(0, round(timeout * 1000))):
            self._watch.look()
            self._watch.check()
            return None
        frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        if len(frames) != 3:
            raise ProtocolError(f"{self._endpoint} sent {len(frames)} frames; a relay sends 3", code="bad_message")
        header = decode(frames[1].bytes)
        if not header.frames:
            return header, None
        return header, unpack_frames(frames[2].buffer, header.format, header.frames, header.channels, tuple(header.parts))

    def join(self, timeout: float) -> Message:
        """The first message about the tap.

        Raises
        ------
        RingError
            ``ring_unknown``: the relay has no such tap; ``ring_timeout``: nobody answered within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            message = self.receive(min(_SLICE, max(0.0, left)))
            if message is not None:
                refusal = message[0].refusal()
                if refusal is not None:
                    raise refusal
                if not message[0].closed:
                    return message
            elif left <= 0:
                raise RingError(
                    f"no relay answered at {self._endpoint} within {timeout:g} s; see that 'asmu relay' runs beside the engine, "
                    "and that its port is open",
                    code="ring_timeout",
                    where=self._node,
                    retry=True,
                )

    def close(self) -> None:
        """Unsubscribe and let go; harmless when done before."""
        if not self._socket.closed:
            self._watch.close()
            self._socket.close()
            self._context.term()
