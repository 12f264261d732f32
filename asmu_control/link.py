"""How messages travel between a client and an engine; the one over sockets has a file of its own, `asmu_control.zmqlink`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from asmu_control.zmqlink import ZmqLink
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_engine.config import EngineConfig
    from asmu_engine.local_device import LocalDevice

__all__ = ["Link", "LocalLink", "LocalSubscription", "Message", "Source", "Subscription", "ZmqLink", "local_device"]

Message = dict[str, Any]

QUEUE: Final = 10_000
"""Events that wait for one who fetches them, where nothing else is said; of more than these some are lost."""

_POLL_SECONDS: Final = 0.002


class Source(Protocol):
    """Where messages come from."""

    def receive(self, timeout: float) -> Message | None:
        """The next message, waiting for it up to `timeout` seconds; None without one."""

    def fileno(self) -> int | None:
        """What becomes readable when `receive` may have something that it had not before; None: it has to be asked."""


class Subscription(Source, Protocol):
    """Events of some topics from the moment on at which `joined` is true; for one thread at a time."""

    closed: bool

    @property
    def joined(self) -> bool:
        """Whether events arrive from now on."""

    def close(self) -> None:
        """No more of them; harmless when done before."""


class Link(Source, Protocol):
    """A way to one engine. `receive` is of answers; it, `send` and `close` are called under the client's lock."""

    name: str
    """Name of the engine, or where it is, until its name is known."""

    remote: bool
    """Whether the engine may be on another machine: its rings cannot be reached then."""

    @property
    def connections(self) -> int:
        """How often a connection came about, the first one counted; 0 before that."""

    def send(self, data: bytes) -> None:
        """Send one packed request, without waiting."""

    def greeted(self, facts: Mapping[str, Any]) -> None:
        """Take note of what the engine answered to hello."""

    def subscribe(self, topics: Collection[str], queue: int = QUEUE) -> Subscription:
        """Events of these topics, of all without any; at most `queue` of them wait to be fetched."""

    def alive(self) -> bool:
        """False once the engine is certainly gone."""

    def close(self) -> None:
        """Let go of the engine, which goes on, and of the subscriptions; harmless when done before."""


class LocalLink:
    """To an engine inside this process, which has no device: `step` processes its blocks.

    Parameters
    ----------
    config
        Samplerate, blocksize, length of the rings and plugins.
    """

    remote = False
    connections = 1

    def __init__(self, config: EngineConfig) -> None:
        from asmu_engine.local import local_host
        from asmu_engine.protocol import messages
        from asmu_engine.protocol.topics import EVENTS

        self.name = config.name
        self._host = local_host(config)
        self._messages = messages
        self._topics = tuple(EVENTS)
        self._inbox: deque[Message] = deque()
        self._open = True
        self._numbers: dict[str, int] = {}
        self._subscriptions: list[LocalSubscription] = []
        self._passing = threading.Lock()

    def send(self, data: bytes) -> None:
        """Do one request; `receive` has its answer then."""
        # Through the codec, so that what an engine of its own process would not read is refused here too.
        message = unpack(data)
        identifier = self._messages.request_id(message)
        try:
            result = self._do(message)
        except AsmuError as error:
            self._inbox.append(self._messages.refusal(identifier, error))
        else:
            self._inbox.append(self._messages.reply(identifier, unpack(pack(result), None)))

    def greeted(self, facts: Mapping[str, Any]) -> None:
        """Nothing that was not known."""

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

    def fileno(self) -> None:
        """Nothing: what was asked is answered at once."""

    def subscribe(self, topics: Collection[str], queue: int = QUEUE) -> LocalSubscription:
        """Events from now on, also those of players and recordings."""
        self.pass_on()
        subscription = LocalSubscription(self, frozenset(topics), queue)
        with self._passing:
            self._subscriptions.append(subscription)
        return subscription

    def pass_on(self) -> None:
        """Number what happened, and give it to those who subscribed."""
        with self._passing:
            while self._host.events:
                fields = self._host.events.popleft()
                self._publish(fields.pop("topic"), fields)

    def alive(self) -> bool:
        """True until `close`."""
        return self._open

    def close(self) -> None:
        """End players and recordings, and remove the rings."""
        self._open = False
        for subscription in self._subscriptions:
            subscription.close()
        self._host.close()

    def numbers(self) -> dict[str, int]:
        """Of each topic the number of its last event."""
        self.pass_on()
        return {topic: self._numbers.get(topic, 0) for topic in self._topics}

    def snapshot(self) -> Message:
        """What a host answers to ``snapshot``."""
        numbers = self.numbers()
        scheduled = list(self._ask("scheduled")["scheduled"])
        return {"status": self._ask("status"), "patch": self._ask("patch"), "scheduled": scheduled, "numbers": numbers}

    def _do(self, message: Message) -> Message:
        kind = message.get("type")
        if kind == "snapshot":
            return self.snapshot()
        if kind == "goodbye":
            return {}  # who made the engine ends it
        result = dict(self._host.request(message))
        if kind == "hello":
            result = {**result, "client": "c1", "role": "admin", "token": "", "numbers": self.numbers()}
        return result

    def _ask(self, kind: str, **fields: Any) -> Message:
        """A request to the engine, past its client."""
        return dict(self._host.request({"v": PROTOCOL_VERSION, "id": 0, "type": kind, **fields}))

    def _publish(self, topic: str, fields: Message) -> None:
        number = self._numbers[topic] = self._numbers.get(topic, 0) + 1
        event = self._messages.event(number, topic, fields)
        self._subscriptions = [one for one in self._subscriptions if not one.closed]
        for subscription in self._subscriptions:
            subscription.take(topic, dict(event))


class LocalSubscription:
    """Events of an engine inside this process; of more than `queue` that wait the oldest are lost."""

    joined = True

    def __init__(self, link: LocalLink, topics: frozenset[str], queue: int) -> None:
        self.closed = False
        self._link = link
        self._topics = topics
        self._events: deque[Message] = deque(maxlen=queue)

    def take(self, topic: str, event: Message) -> None:
        """An event has happened."""
        if not self._topics or topic in self._topics:
            self._events.append(event)

    def receive(self, timeout: float) -> Message | None:
        """The next event, or None."""
        deadline = time.monotonic() + timeout
        while not self.closed:
            self._link.pass_on()
            if self._events:
                return self._events.popleft()
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        return None

    def fileno(self) -> None:
        """Nothing: it has to be asked."""

    def close(self) -> None:
        """No more of them."""
        self.closed = True


def local_device(spec: Message, samplerate: float, blocksize: int, inputs: Sequence[int], outputs: Sequence[int]) -> LocalDevice:
    """The device of a wire form for an engine inside this process; see `asmu_engine.local_device.LocalDevice`."""
    from asmu_engine import local

    return local.local_device(spec, samplerate, blocksize, inputs, outputs)
