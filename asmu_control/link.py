"""How messages travel between a client and an engine."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError, EngineError

if TYPE_CHECKING:
    import zmq
    from numpy.typing import NDArray

    from asmu_engine.config import EngineConfig
    from asmu_engine.protocol.runtime import EngineInfo

Message = dict[str, Any]


class Link(Protocol):
    """A way to one engine. `send`, `receive` and `close` are called under the client's lock, `event` under another."""

    name: str
    """Name of the engine."""

    def send(self, message: Message) -> None:
        """Send one request."""

    def receive(self, timeout: float) -> Message | None:
        """The next answer, waiting for it up to `timeout` seconds; None without one."""

    def event(self, timeout: float) -> Message | None:
        """The next event, waiting for it up to `timeout` seconds; None without one. The first call subscribes."""

    def alive(self) -> bool:
        """False once the engine is certainly gone."""

    def close(self) -> None:
        """Let go of the engine, which goes on; harmless when done before."""


class ZmqLink:
    """To an engine in a process of its own: requests over a DEALER socket, events over a SUB socket.

    Parameters
    ----------
    info
        Where the engine is found.
    alive
        Tells whether it still runs, if the caller knows better than the engine's lock does.
    """

    def __init__(self, info: EngineInfo, alive: Callable[[], bool] | None = None) -> None:
        import zmq

        self.name = info.name
        self._info = info
        self._pid = os.getpid()
        self._context = zmq.Context()
        self._events: zmq.Socket[bytes] | None = None
        self._alive = alive
        self._looked = 0.0
        self._there = True
        self._requests = self._context.socket(zmq.DEALER)
        self._requests.setsockopt(zmq.LINGER, 0)
        self._requests.setsockopt(zmq.IDENTITY, f"{os.getpid()}-{secrets.token_hex(8)}".encode())
        self._requests.connect(info.requests)

    def send(self, message: Message) -> None:
        """Send one request; EngineError in a process that was forked off."""
        if os.getpid() != self._pid:
            raise EngineError(
                f"the connection to engine {self.name!r} belongs to process {self._pid}, of which this one is a fork; "
                "give workers a tap's handle, or let them connect by themselves",
                code="engine_state",
                where=self.name,
            )
        self._requests.send(pack(message))

    def receive(self, timeout: float) -> Message | None:
        """The next answer, or None."""
        if not self._requests.poll(max(0, round(timeout * 1000))):
            return None
        return unpack(self._requests.recv_multipart()[-1])

    def event(self, timeout: float) -> Message | None:
        """The next event, or None."""
        if self._events is None:
            import zmq

            self._events = self._context.socket(zmq.SUB)
            self._events.setsockopt(zmq.LINGER, 0)
            self._events.setsockopt(zmq.RCVHWM, 100_000)
            self._events.subscribe(b"")
            self._events.connect(self._info.events)
        if not self._events.poll(max(0, round(timeout * 1000))):
            return None
        return unpack(self._events.recv_multipart()[-1])

    def alive(self) -> bool:
        """Whether the engine still runs; its lock is looked at twice a second at most."""
        if self._alive is not None:
            return self._alive()
        now = time.monotonic()
        if self._there and now - self._looked > 0.5:
            from asmu_engine.protocol.runtime import is_running

            self._looked = now
            self._there = is_running(self.name)
        return self._there

    def close(self) -> None:
        """Close the sockets; in a fork they are the parent's to close."""
        if os.getpid() != self._pid or self._requests.closed:
            return
        self._requests.close()
        if self._events is not None:
            self._events.close()
        self._context.term()


class LocalLink:
    """To an engine inside this process, which has no device: `step` processes its blocks.

    Parameters
    ----------
    config
        Samplerate, blocksize, length of the rings and plugins.
    """

    def __init__(self, config: EngineConfig) -> None:
        from asmu_engine.local import local_host
        from asmu_engine.protocol import messages

        self.name = config.name
        self._host = local_host(config)
        self._messages = messages
        self._inbox: deque[Message] = deque()
        self._open = True
        self._numbers: dict[str, int] = {}

    def send(self, message: Message) -> None:
        """Do one request; `receive` has its answer then."""
        identifier = self._messages.request_id(message)
        try:
            # Through the codec, so that what an engine of its own process would not read is refused here too.
            result = self._host.request(unpack(pack(message)))
        except AsmuError as error:
            self._inbox.append(self._messages.refusal(identifier, error))
        else:
            self._inbox.append(self._messages.reply(identifier, result))

    def step(
        self,
        indata: NDArray[Any] | None,
        outdata: NDArray[Any] | None,
        frames: int,
        flags: int = 0,
        device_time: float = 0.0,
    ) -> None:
        """Process one block of shape (frames, channels); see `asmu_engine.local_host.LocalHost.step`."""
        self._host.step(indata, outdata, frames, flags, device_time)

    def receive(self, timeout: float) -> Message | None:
        """The next answer, or None."""
        return self._inbox.popleft() if self._inbox else None

    def event(self, timeout: float) -> Message | None:
        """The next event, or None; waits for those of players and recordings."""
        deadline = time.monotonic() + timeout
        while not self._host.events:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.002)
        fields = self._host.events.popleft()
        topic = fields.pop("topic")
        self._numbers[topic] = self._numbers.get(topic, 0) + 1
        return self._messages.event(self._numbers[topic], topic, fields)

    def alive(self) -> bool:
        """True until `close`."""
        return self._open

    def close(self) -> None:
        """End players and recordings, and remove the rings."""
        self._open = False
        self._host.close()
