"""What is said and made of the answers, gone through by hand with a clock of its own: nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from asmu_control.exceptions import AccessError, EngineError, EngineTimeout, PatchError, ProtocolError
from asmu_control.exchange import KEYED, Exchange, Steps
from asmu_control.timeouts import Timeouts
from asmu_engine.protocol.codec import unpack
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.messages import AnyRequest, refusal, reply

Message = dict[str, Any]
Host = Callable[[Message], "Message | None"]

HELLO = {"name": "lab", "client": "c1", "role": "admin", "token": "t1"}
EDIT = {"type": "transaction", "edits": [{"op": "remove", "node": "a"}]}


class Wire:
    """A link with nothing behind it: what is sent is kept, what the test puts in comes out; time passes while nothing does."""

    name = "lab"
    remote = False

    def __init__(self) -> None:
        self.now = 100.0
        self.connections = 1
        self.sent: list[Message] = []
        self.inbox: list[Message] = []
        self.there = True
        self.answering: Host = lambda message: None
        self.greetings: list[Message] = []

    def send(self, data: bytes) -> None:
        message = unpack(data)
        self.sent.append(message)
        answer = self.answering(message)
        if answer is not None:
            self.inbox.append(answer)

    def receive(self, timeout: float) -> Message | None:
        if self.inbox:
            return self.inbox.pop(0)
        self.now += timeout
        return None

    def fileno(self) -> None:
        return None

    def greeted(self, facts: Message) -> None:
        self.greetings.append(facts)

    def alive(self) -> bool:
        return self.there

    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


def go(steps: Steps[Any]) -> Any:
    try:
        wait = next(steps)
        while True:
            wait = steps.send(wait.source.receive(wait.seconds))
    except StopIteration as done:
        return done.value


def make(wire: Wire, **who: Any) -> Exchange:
    return Exchange(wire, {"name": "me", "pid": 7, "beat": True, **who}, Timeouts(), lambda: wire.now)  # type: ignore[arg-type]


def answers(**by_type: Any) -> Host:
    """Each request is answered by its type; a callable is asked."""

    def answer(message: Message) -> Message | None:
        result = by_type.get(message["type"])
        if callable(result):
            result = result(message)
        if isinstance(result, AsmuError):
            return refusal(message["id"], result)
        return None if result is None else reply(message["id"], result)

    return answer


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.answering = answers(hello=HELLO)
    return wire


@pytest.fixture
def exchange(wire: Wire) -> Exchange:
    exchange = make(wire)
    go(exchange.hello(10.0))
    return exchange


def test_hello_says_who_this_is(wire: Wire) -> None:
    exchange = make(wire, role="observer", grace=3.0)
    go(exchange.hello(10.0))
    assert wire.sent == [
        {"v": 1, "id": 1, "type": "hello", "name": "me", "pid": 7, "beat": True, "role": "observer", "grace": 3.0}
    ]
    assert exchange.facts == HELLO
    assert wire.greetings == [HELLO]


def test_a_refused_hello_is_raised(wire: Wire) -> None:
    wire.answering = answers(hello=ProtocolError("version 2", code="protocol_version"))
    exchange = make(wire)
    with pytest.raises(ProtocolError, match="version 2"):
        go(exchange.hello(10.0))
    assert exchange.facts == {}


def test_ids_grow_and_transactions_have_keys(wire: Wire, exchange: Exchange) -> None:
    wire.answering = answers(transaction={"revision": 1}, status={})
    for message in (EDIT, {"type": "status"}, EDIT, {**EDIT, "key": "mine"}):
        go(exchange.request(message, 1.0))
    assert [message["id"] for message in wire.sent] == [1, 2, 3, 4, 5]
    keys = [message.get("key") for message in wire.sent[1:]]
    assert keys[1] is None
    assert keys[3] == "mine"
    assert len({keys[0], keys[2], "mine"}) == 3
    assert keys[0].rpartition("-")[0] == keys[2].rpartition("-")[0]


def test_the_requests_with_keys_are_those_of_the_protocol() -> None:
    kinds = get_args(get_args(AnyRequest)[0])
    assert {kind.model_fields["type"].default for kind in kinds if "key" in kind.model_fields} == set(KEYED)


def test_beats_and_late_answers_are_passed_over(wire: Wire, exchange: Exchange) -> None:
    beat = {"v": 1, "id": 0, "type": "beat"}
    wire.inbox += [beat, reply(1, {"late": True}), beat]
    wire.answering = lambda message: wire.inbox.extend([beat, reply(1, {}), reply(2, {"here": 1})])  # type: ignore[func-returns-value]
    assert go(exchange.request({"type": "status"}, 1.0)) == {"here": 1}
    assert wire.inbox == []


def test_a_request_is_sent_again_once_before_it_is_given_up(wire: Wire, exchange: Exchange) -> None:
    begun = wire.now
    with pytest.raises(EngineTimeout, match="did not answer 'transaction' within 4 s") as caught:
        go(exchange.request(EDIT, 4.0))
    assert wire.now - begun == pytest.approx(4.0)
    first, second = wire.sent[1:]
    assert first == second
    assert caught.value.retry
    assert f"key={first['key']!r}" in str(caught.value)


@pytest.mark.parametrize(("timeout", "again"), [(1.0, 0.5), (10.0, 5.0), (60.0, 5.0), (None, 5.0)])
def test_when_it_is_sent_again(wire: Wire, exchange: Exchange, timeout: float | None, again: float) -> None:
    begun, times = wire.now, []

    def second_time(message: Message) -> dict[str, Any] | None:
        times.append(wire.now - begun)
        return {"revision": 1} if len(times) == 2 else None

    wire.answering = answers(transaction=second_time)
    assert go(exchange.request(EDIT, timeout)) == {"revision": 1}
    assert times == [0.0, pytest.approx(again)]


def test_without_a_time_limit_it_waits_on(wire: Wire, exchange: Exchange) -> None:
    begun = wire.now
    steps = exchange.request({"type": "step"}, None)
    wait = next(steps)
    while wire.now - begun < 1000:
        wait = steps.send(wait.source.receive(wait.seconds))
    wire.inbox.append(reply(2, {"blocks": 1}))
    with pytest.raises(StopIteration) as done:
        steps.send(wait.source.receive(wait.seconds))
    assert done.value.value == {"blocks": 1}
    assert wire.types() == ["hello", "step", "step"]


def test_after_a_reconnection_it_is_sent_again_at_once(wire: Wire, exchange: Exchange) -> None:
    begun = wire.now

    def lost(message: Message) -> dict[str, Any] | None:
        wire.connections += 1
        return {"revision": 4} if wire.types().count("transaction") == 2 else None

    wire.answering = answers(transaction=lost)
    assert go(exchange.request(EDIT, 10.0)) == {"revision": 4}
    assert wire.now - begun == pytest.approx(0.1)
    assert wire.sent[1] == wire.sent[2]


def test_the_first_connection_is_no_reconnection(wire: Wire) -> None:
    wire.connections = 0

    def connect(message: Message) -> None:
        wire.connections = 1

    wire.answering = answers(hello=connect)
    with pytest.raises(EngineTimeout):
        go(make(wire).hello(0.3))
    assert len(wire.sent) == 2  # and the second for the lack of an answer


def test_no_connection_is_said_to_be_that(wire: Wire) -> None:
    wire.connections, wire.answering = 0, lambda message: None
    with pytest.raises(EngineTimeout, match="no connection to engine 'lab' within 2 s: nothing answers there"):
        go(make(wire).hello(2.0))


def test_an_engine_that_died_is_not_waited_for(wire: Wire, exchange: Exchange) -> None:
    wire.there = False
    begun = wire.now
    with pytest.raises(EngineError) as caught:
        go(exchange.request({"type": "status"}, 60.0))
    assert caught.value.code == "engine_gone"
    assert wire.now - begun <= 0.1


def first_is_forgotten(wire: Wire, results: Message, resumed: Any = None) -> Host:
    """As an engine that knows this client no more: hello first."""
    greeted: list[Message] = []

    def hello(message: Message) -> Any:
        if "resume" in message and resumed is not None:
            return resumed
        greeted.append(message)
        return {**HELLO, "client": "c1" if "resume" in message else "c2", "token": "t2"}

    def other(message: Message) -> Any:
        return results if greeted else ProtocolError("hello first", code="hello_first")

    return answers(hello=hello, transaction=other, start=other, status=other)


def test_a_forgotten_client_comes_back_as_itself(wire: Wire, exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    wire.answering = first_is_forgotten(wire, {"revision": 9})
    assert go(exchange.request(EDIT, 5.0)) == {"revision": 9}
    assert wire.types() == ["hello", "transaction", "hello", "transaction"]
    assert wire.sent[2]["resume"] == "t1"
    assert wire.sent[1]["key"] == wire.sent[3]["key"]
    assert wire.sent[3]["id"] > wire.sent[2]["id"] > wire.sent[1]["id"]
    assert exchange.facts["client"] == "c1"
    assert exchange.lapses == 1
    (record,) = caplog.records
    assert record.getMessage() == (
        "engine 'lab' had let client c1 go, after it had not heard of it: what it owned and leased is gone; it is c1 now"
    )


def test_or_as_a_new_one_where_nobody_knows_it(wire: Wire, exchange: Exchange) -> None:
    wire.answering = first_is_forgotten(wire, {"revision": 9}, AccessError("who?", code="token_unknown"))
    assert go(exchange.request(EDIT, 5.0)) == {"revision": 9}
    assert wire.types() == ["hello", "transaction", "hello", "hello", "transaction"]
    assert "resume" not in wire.sent[3]
    assert exchange.facts["client"] == "c2"
    assert exchange.lapses == 1


def test_what_was_sent_twice_and_may_be_done_is_not_sent_a_third_time(wire: Wire, exchange: Exchange) -> None:
    known = first_is_forgotten(wire, {})
    wire.answering = lambda message: None if wire.types().count("start") == 1 else known(message)
    with pytest.raises(EngineTimeout, match="'start'"):
        go(exchange.request({"type": "start"}, 5.0))
    assert wire.types() == ["hello", "start", "start", "hello"]


@pytest.mark.parametrize("message", [EDIT, {"type": "status"}])
def test_but_what_may_be_done_twice_is(wire: Wire, exchange: Exchange, message: Message) -> None:
    known = first_is_forgotten(wire, {"fine": 1})
    kind = message["type"]
    wire.answering = lambda sent: None if wire.types() == ["hello", kind] else known(sent)
    assert go(exchange.request(message, 5.0)) == {"fine": 1}
    assert wire.types() == ["hello", kind, kind, "hello", kind]


def test_a_repetition_that_is_out_of_order_gets_a_new_number(wire: Wire, exchange: Exchange) -> None:
    def turn(message: Message) -> Any:
        count = wire.types().count("transaction")
        return (None, ProtocolError("old", code="out_of_order"), {"revision": 2})[count - 1]

    wire.answering = answers(transaction=turn)
    assert go(exchange.request(EDIT, 5.0)) == {"revision": 2}
    first, second, third = wire.sent[1:]
    assert (first["id"], second["id"], third["id"]) == (2, 2, 3)
    assert first["key"] == second["key"] == third["key"]


def test_out_of_order_at_once_is_an_error(wire: Wire, exchange: Exchange) -> None:
    wire.answering = answers(transaction=ProtocolError("old", code="out_of_order"))
    with pytest.raises(ProtocolError) as caught:
        go(exchange.request(EDIT, 5.0))
    assert caught.value.code == "out_of_order"


def test_refusals_are_raised(wire: Wire, exchange: Exchange) -> None:
    wire.answering = answers(transaction=PatchError("no such node", code="unknown_node", where="a"))
    with pytest.raises(PatchError) as caught:
        go(exchange.request(EDIT, 5.0))
    assert (caught.value.code, caught.value.where) == ("unknown_node", "a")
    assert wire.types() == ["hello", "transaction"]


def test_tending_takes_beats_and_asks_nothing(wire: Wire, exchange: Exchange) -> None:
    wire.inbox += [{"v": 1, "id": 0, "type": "beat"}] * 3
    go(exchange.tend())
    assert wire.inbox == []
    assert wire.types() == ["hello"]


def test_after_a_reconnection_tending_makes_it_known_again(wire: Wire, exchange: Exchange) -> None:
    known = first_is_forgotten(wire, {})
    greeted = answers(ping=lambda message: {} if wire.types().count("hello") == 2 else ProtocolError("?", code="hello_first"))
    wire.answering = lambda message: known(message) if message["type"] == "hello" else greeted(message)
    wire.connections += 1
    go(exchange.tend())
    assert wire.types() == ["hello", "ping", "hello", "ping"]
    go(exchange.tend())
    assert len(wire.sent) == 4


def test_tending_gives_up_quietly(wire: Wire, exchange: Exchange) -> None:
    wire.connections += 1
    wire.answering = lambda message: None
    go(exchange.tend())
    assert wire.types() == ["hello", "ping", "ping"]


@pytest.mark.parametrize("answer", [{}, PatchError("x", code="bad_value"), None])
def test_goodbye_is_taken_whatever_is_answered(wire: Wire, exchange: Exchange, answer: Any) -> None:
    wire.answering = answers(goodbye=answer)
    go(exchange.goodbye())
    assert wire.types()[:2] == ["hello", "goodbye"]


def test_who_ended_the_engine_need_not_say_goodbye_to_it(wire: Wire, exchange: Exchange) -> None:
    wire.answering = answers(shutdown={})
    go(exchange.request({"type": "shutdown"}, 1.0))
    go(exchange.goodbye())
    assert wire.types() == ["hello", "shutdown"]


def test_there_is_nobody_to_say_goodbye_to(wire: Wire, exchange: Exchange) -> None:
    wire.there = False
    go(exchange.goodbye())
    go(make(wire).goodbye())
    assert wire.types() == ["hello"]


def test_closed(wire: Wire, exchange: Exchange) -> None:
    exchange.closed = True
    with pytest.raises(EngineError) as caught:
        go(exchange.request({"type": "ping"}, 1.0))
    assert caught.value.code == "engine_state"
    assert wire.types() == ["hello"]
