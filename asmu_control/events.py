"""Events of an engine as they are gone through: a snapshot first, then one after another, with what was lost between them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asmu_control.exchange import SLICE, Exchange, Steps, Wait, run
from asmu_engine.protocol.errors import EngineError, EngineTimeout, ProtocolError

if TYPE_CHECKING:
    from asmu_control.link import Message, Subscription

SNAPSHOT: Final = "snapshot"
LOST: Final = "lost"

_JOIN_SECONDS: Final = 0.002
_TEND_SECONDS: Final = 1.0
_ENGINE: Final = "engine"


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes
    ----------
    topic
        ``"patch"``, ``"node"``, ``"xrun"``, ``"engine"``, ``"device"``, ``"disk"``, ``"client"``; or what the client adds:
        ``"snapshot"``, the first of all, with the fields of `Client.snapshot`, and ``"lost"``, before an event that did not
        follow the one before it, with the fields ``topic``, ``from``: number of the first that is missing, and ``count``.
    number
        Counts the events of the topic from 1; 0 for those that the client adds.
    fields
        The rest, among it ``event``: what happened. ``event["revision"]`` and ``event.get("revision")`` look here.
    """

    topic: str
    number: int
    fields: Mapping[str, Any]

    @property
    def what(self) -> str:
        """What happened: ``"edited"``, ``"finished"`` …; empty for those that the client adds."""
        return str(self.fields.get("event", ""))

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or `default` where there is none of that name."""
        return self.fields.get(name, default)


class Order:
    """Turns messages into events, and gaps in their numbers into events too.

    Parameters
    ----------
    numbers
        Of each topic the number of the last event that is known already; None where nothing is.
    """

    def __init__(self, numbers: Mapping[str, int] | None) -> None:
        self._known = None if numbers is None else dict(numbers)
        self._last: dict[str, int] = {}

    def take(self, message: Message) -> list[Event]:
        """The events that this message stands for: none if it was known, two if others are missing before it."""
        fields = dict(message)
        topic, number = str(fields.pop("topic", "")), int(fields.pop("number", 0))
        fields.pop("v", None)
        last = self._last.get(topic)
        if last is None:
            known = None if self._known is None else self._known.get(topic, 0)
            if known is not None and number <= known:
                return []
            last = number - 1 if known is None else known
        self._last[topic] = number
        events = [Event(topic, number, fields)]
        # A number that is not greater: another engine of this name, which counts from 1 again.
        first = last + 1 if number > last else 1
        if number > first:
            events.insert(0, Event(LOST, 0, {"topic": topic, "from": first, "count": number - first}))
        return events


class Sequence:
    """Events of some topics, without the waiting."""

    def __init__(self, exchange: Exchange, topics: Collection[str], *, snapshot: bool, queue: int) -> None:
        self.topics = frozenset(topics)
        _check_topics(self.topics, exchange.facts)
        if queue < 1:
            raise ValueError(f"queue={queue}: use 1 or more")
        self._exchange = exchange
        self._snapshot = snapshot
        self._ready: deque[Event] = deque()
        self._order = Order(None)
        self._ending = False
        self.begun = False
        self._tended = time.monotonic()
        # Together with what tells that the engine ends, so that its end is not taken for a failure.
        wanted = {*self.topics, _ENGINE} if self.topics else ()
        self.subscription: Subscription = exchange.link.subscribe(sorted(wanted), queue)

    def begin(self) -> Steps[None]:
        """Wait until events arrive, and take the snapshot; again: nothing."""
        if self.begun:
            return
        exchange, early = self._exchange, []
        timeout = exchange.timeouts.connect
        begun = time.monotonic()
        while not self.subscription.joined:
            message = yield Wait(self.subscription, _JOIN_SECONDS)
            if message is not None:
                early.append(message)
                break
            if not exchange.link.alive():
                raise self._gone()
            if timeout is not None and time.monotonic() - begun > timeout:
                raise EngineTimeout(
                    f"no way to the events of engine {exchange.link.name!r} within {timeout:g} s",
                    code="timeout",
                    where=exchange.link.name,
                    retry=True,
                )
        if self._snapshot:
            fields = yield from exchange.request({"type": "snapshot"}, exchange.timeouts.request)
            self._order = Order(fields["numbers"])
            self._ready.append(Event(SNAPSHOT, 0, fields))
        self.begun = True
        for message in early:
            self._take(message)

    def next(self, timeout: float | None) -> Steps[Event | None]:
        """The next event; None when there is none within `timeout` seconds, or will be none."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            if self.subscription.closed or self._exchange.closed:
                return None
            left = SLICE if deadline is None else deadline - time.monotonic()
            message = yield Wait(self.subscription, max(0.0, min(left, SLICE)))
            if message is not None:
                self._take(message)
            elif self._ending or not self._exchange.link.alive():
                # What it said last has been read.
                if self._ending or self.subscription.closed or self._exchange.closed:
                    return None
                raise self._gone()
            elif left <= 0 or self.tend_due():
                return None
        return self._ready.popleft()

    def tend_due(self) -> bool:
        """Whether the client should look after its connection, since it asks nothing itself while it waits for events."""
        return time.monotonic() - self._tended >= _TEND_SECONDS

    def tended(self) -> None:
        """The client has just done so."""
        self._tended = time.monotonic()

    @property
    def over(self) -> bool:
        """True when there will be no more."""
        return not self._ready and (self._ending or self.subscription.closed or self._exchange.closed)

    def _take(self, message: Message) -> None:
        for event in self._order.take(message):
            if event.topic == _ENGINE and event.what == "ending":
                self._ending = True
            topic = event["topic"] if event.topic == LOST else event.topic
            if not self.topics or topic in self.topics:
                self._ready.append(event)

    def _gone(self) -> EngineError:
        name = self._exchange.link.name
        return EngineError(f"engine {name!r} ended without a word", code="engine_gone", where=name)


class Events:
    """What happens in an engine, event after event: ``for event in client.events("patch"): …``.

    It ends when nothing happens for `timeout` seconds, when the engine ends, or when this or its client is closed; EngineError
    ``engine_gone`` where the engine ended otherwise. Of the events that gather while nobody fetches them `queue` are kept;
    what is lost beyond that is told by an event ``lost``. For one thread at a time.
    """

    def __init__(self, client: Any, topics: Collection[str], *, timeout: float | None, snapshot: bool, queue: int) -> None:
        self._client = client
        self._timeout = timeout
        self._sequence = Sequence(client._exchange, topics, snapshot=snapshot, queue=queue)
        try:
            client._run(self._sequence.begin())
        except BaseException:
            self.close()
            raise

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; None when there is none within `timeout` seconds (None: as long as it takes), or will be none."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._sequence.tend_due():
                self._client._tend()
                self._sequence.tended()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            event = run(self._sequence.next(left))
            if event is not None or self._sequence.over or left == 0.0:
                return event

    def close(self) -> None:
        """No more events; harmless when done before."""
        self._sequence.subscription.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self.next(self._timeout)
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _check_topics(topics: frozenset[str], facts: Mapping[str, Any]) -> None:
    known = facts.get("numbers") or {}
    wrong = sorted(topics - set(known)) if known else []
    if wrong:
        raise ProtocolError(
            f"there is no topic {wrong[0]!r}; topics: {', '.join(sorted(known))}", code="bad_message", where=wrong[0]
        )
