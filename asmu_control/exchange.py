"""What a client says to an engine and what it makes of the answers, without waiting: whoever runs it does that.

Everything here is a generator of `Wait`: it yields from what it wants a message and for how long at most, and is sent
that message or None. `asmu_control.client` waits with its thread, `asmu_control.aio` with its event loop.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, get_args

from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.errors import AsmuError, EngineError, EngineTimeout, ProtocolError, from_wire
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES, PROTOCOL_VERSION

if TYPE_CHECKING:
    from asmu_control.link import Link, Message, Source
    from asmu_control.timeouts import Timeouts
    from asmu_engine.protocol.request import Request

_log = logging.getLogger(__name__)

SLICE: Final = 0.1
"""Seconds between looks at whether the engine is still there."""

_AGAIN_SECONDS: Final = 5.0
"""After half of its time, and after so long at most, a request is sent again: its answer may have been lost."""

KEYED: Final = ("transaction", "undo")
"""Requests that can carry a key, with which they are done once however often they come."""

_GREETING_SECONDS: Final = 2.0


class Wait(NamedTuple):
    """A message is wanted from `source`, within `seconds`."""

    source: Source
    seconds: float


R = TypeVar("R")
Steps: TypeAlias = Generator[Wait, "Message | None", R]
"""Something that takes waiting, with its result at the end."""


def run(steps: Steps[R]) -> R:
    """Go through the steps, waiting with this thread."""
    try:
        wait = next(steps)
        while True:
            try:
                message = wait.source.receive(wait.seconds)
            except AsmuError as error:
                wait = steps.throw(error)
            else:
                wait = steps.send(message)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        steps.close()


class Exchange:
    """One client's conversation with one engine, one request at a time.

    Parameters
    ----------
    link
        The way to the engine.
    who
        Fields of hello: name, pid, role, grace, beat.
    timeouts
        Longest waits.
    clock
        Seconds, never going back.

    Attributes
    ----------
    facts
        What the engine last answered to hello; empty before.
    lapses
        How often the engine had let this client go, since its connection was lost for too long.
    """

    def __init__(
        self, link: Link, who: Mapping[str, Any], timeouts: Timeouts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.link = link
        self.timeouts = timeouts
        self.facts: dict[str, Any] = {}
        self.closed = False
        self.lapses = 0
        self._parted = False
        self._who = dict(who)
        self._clock = clock
        self._identifier = 0
        self._keys = secrets.token_hex(6)
        self._keyed = 0
        self._connections = 0

    def hello(self, timeout: float | None) -> Steps[None]:
        """Say who this is; as the client that it was, where the engine still remembers it.

        Raises
        ------
        AsmuError
            What it was refused with: another version of the protocol, a role that this client may not have.
        """
        token = str(self.facts.get("token") or "")
        message = {"type": "hello", **self._who}
        answer, _ = yield from self._ask({**message, "resume": token} if token else message, timeout)
        if token and answer.get("code") == "token_unknown":
            answer, _ = yield from self._ask(message, timeout)
        facts = _result(answer)
        self.link.greeted(facts)
        self.facts = facts
        self._connections = self.link.connections

    def request(self, message: Mapping[str, Any], timeout: float | None) -> Steps[dict[str, Any]]:
        """Ask for something; its result.

        A transaction is given a key, by which the engine knows it again, if it has none. When no answer comes, the request is
        sent once more; when the engine asks for hello first, that is said and the request sent again.

        Raises
        ------
        AsmuError
            What the engine refused it with.
        EngineTimeout
            No answer within `timeout` seconds; whether the engine did what was asked is not known then.
        EngineError
            ``engine_gone``: it ended; ``engine_state``: this client is closed.
        """
        self.check_open()
        what = str(message.get("type"))
        if what in KEYED and message.get("key") is None:
            self._keyed += 1
            message = {**message, "key": f"{self._keys}-{self._keyed}"}
        begun = self._clock()
        answer, twice = yield from self._ask(message, timeout)
        code = answer.get("code") if what != "hello" else None
        if code == "hello_first":
            # The connection was lost for so long that this client counts as gone, or another engine has taken the place.
            before = self.facts.get("client")
            yield from self.hello(_GREETING_SECONDS if timeout is None else max(timeout, _GREETING_SECONDS))
            self.lapses += 1
            _log.warning(
                "engine %r had let client %s go, after it had not heard of it: what it owned and leased is gone; it is %s now",
                self.link.name,
                before,
                self.facts.get("client"),
            )
        if code == "hello_first" or (code == "out_of_order" and twice):
            if twice and what not in KEYED and not _repeatable(what):
                raise self._timeout(what, self._clock() - begun, message)
            left = None if timeout is None else max(timeout - (self._clock() - begun), _GREETING_SECONDS)
            answer, _ = yield from self._ask(message, left)
        result = _result(answer)
        self._parted = self._parted or what in ("goodbye", "shutdown")
        return result

    def tend(self) -> Steps[None]:
        """For whoever asks nothing for long: take what the engine says by itself, and be known to it after a reconnection."""
        yield from self._drain()
        if not self.closed and self.link.connections != self._connections and self.link.alive():
            self._connections = self.link.connections
            try:
                yield from self.request({"type": "ping"}, _GREETING_SECONDS)
            except AsmuError as error:
                _log.debug("no answer after a reconnection: %s", error)

    def goodbye(self) -> Steps[None]:
        """Take leave, if anybody is there and that was not done."""
        if self.facts and not self._parted and self.link.alive():
            try:
                yield from self._ask({"type": "goodbye"}, self.timeouts.close)
            except AsmuError as error:
                _log.debug("left without an answer: %s", error)

    def check_open(self) -> None:
        """EngineError ``engine_state`` once this client is closed."""
        if self.closed:
            name = self.link.name
            raise EngineError(f"the connection to engine {name!r} is closed", code="engine_state", where=name)

    def _drain(self) -> Steps[None]:
        """Take beats, and answers to requests that were given up."""
        while (yield Wait(self.link, 0.0)) is not None:
            pass

    def _ask(self, message: Mapping[str, Any], timeout: float | None) -> Steps[tuple[Message, bool]]:
        """The engine's answer, whatever it is, and whether the request was sent twice for it."""
        link, clock = self.link, self._clock
        what = str(message.get("type"))
        yield from self._drain()
        self._identifier += 1
        identifier = self._identifier
        data = pack({"v": PROTOCOL_VERSION, "id": identifier, **message})
        if len(data) > MAX_MESSAGE_BYTES:
            raise ProtocolError(
                f"the {what} request is larger than {MAX_MESSAGE_BYTES} bytes; send it in several parts", code="message_too_large"
            )
        begun = clock()
        connections = link.connections
        link.send(data)
        again = begun + (_AGAIN_SECONDS if timeout is None else min(timeout / 2, _AGAIN_SECONDS))
        deadline = None if timeout is None else begun + timeout
        twice = False
        while True:
            until = deadline if twice else again
            answer = yield Wait(link, SLICE if until is None else max(0.0, min(until - clock(), SLICE)))
            if answer is not None:
                if answer.get("id") == identifier and answer.get("type") in ("reply", "error"):
                    return answer, twice
                continue
            if not link.alive():
                raise EngineError(f"engine {link.name!r} ended before it answered {what!r}", code="engine_gone", where=link.name)
            now = clock()
            if timeout is not None and now >= begun + timeout:
                raise self._timeout(what, timeout, message)
            if not twice and (now >= again or (connections and link.connections != connections)):
                twice = True
                link.send(data)

    def _timeout(self, what: str, seconds: float, message: Mapping[str, Any]) -> EngineTimeout:
        name = self.link.name
        if not self.link.connections:
            text = f"no connection to engine {name!r} within {seconds:g} s: nothing answers there"
        else:
            text = f"engine {name!r} did not answer {what!r} within {seconds:g} s"
            if message.get("key"):
                text += f"; sent again with key={message['key']!r} it is done once"
        return EngineTimeout(text, code="timeout", where=name, retry=True)


def _repeatable(what: str) -> bool:
    """Whether the engine may be asked that twice without harm."""
    return request_classes()[what].repeatable


def request_classes() -> dict[str, type[Request]]:
    """Every request of the protocol by its type."""
    from asmu_engine.protocol.messages import AnyRequest

    return {kind.model_fields["type"].default: kind for kind in get_args(get_args(AnyRequest)[0])}


def _result(answer: Message) -> dict[str, Any]:
    if answer.get("type") == "reply":
        return dict(answer.get("result") or {})
    raise from_wire(answer)
