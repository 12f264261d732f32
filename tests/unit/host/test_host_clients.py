"""Who is who: admission, roles, tokens, and the memory of answers."""

from __future__ import annotations

from typing import Any

import pytest

from asmu_engine.host.access import LINES_A_SECOND, RefusalLog, check_key, check_role
from asmu_engine.host.answers import MAX_ANSWER_BYTES, MAX_ANSWERS, Answers, digest
from asmu_engine.host.clients import Client, Clients
from asmu_engine.host.endpoint import Line, Peer
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import AccessError, EngineError, ProtocolError


class FakeEndpoint:
    """Somewhere to come in."""

    events_port = None

    def __init__(self) -> None:
        self.sent: list[tuple[Peer, list[bytes]]] = []

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        self.sent.append((peer, frames))
        return True


HERE: Any = FakeEndpoint()
THERE: Any = FakeEndpoint()


def hello(**fields: Any) -> messages.Hello:
    return messages.Hello(id=1, **{"name": "guest", **fields})


def line(identity: bytes = b"me", endpoint: Any = HERE, **peer: Any) -> Line:
    return Line(endpoint, Peer(identity, **peer))


# -- answers ----------------------------------------------------------------------------------------------------------


def test_request_that_comes_twice_is_answered_from_memory() -> None:
    answers = Answers()
    assert answers.begin(5, digest(b"a"), repeatable=False) == (False, None)
    assert answers.begin(5, digest(b"a"), repeatable=False) == (True, None)  # in the works
    answers.keep(5, digest(b"a"), b"answer")
    assert answers.begin(7, digest(b"b"), repeatable=False) == (False, None)
    assert answers.begin(5, digest(b"a"), repeatable=False) == (True, b"answer")


@pytest.mark.parametrize("identifier", [0, 4, 5])
def test_id_that_does_not_grow_is_out_of_order(identifier: int) -> None:
    answers = Answers()
    answers.begin(5, digest(b"a"), repeatable=False)
    with pytest.raises(ProtocolError) as caught:
        answers.begin(identifier, digest(b"other"), repeatable=False)
    assert (caught.value.code, caught.value.where) == ("out_of_order", "id")
    assert f"id {identifier} comes after id 5" in caught.value.message
    assert answers.begin(6, digest(b"other"), repeatable=False) == (False, None)


def test_repeatable_request_is_done_again_when_it_comes_at_once_and_is_out_of_order_later() -> None:
    answers = Answers()
    assert answers.begin(1, digest(b"status"), repeatable=True) == (False, None)
    assert answers.begin(1, digest(b"status"), repeatable=True) == (False, None)
    answers.begin(2, digest(b"x"), repeatable=False)
    with pytest.raises(ProtocolError, match="comes after"):
        answers.begin(1, digest(b"status"), repeatable=True)


def test_answers_are_bounded_by_number() -> None:
    answers = Answers()
    for number in range(MAX_ANSWERS + 1):
        answers.begin(number, digest(b"a"), repeatable=False)
        answers.keep(number, digest(b"a"), b"answer")
    with pytest.raises(ProtocolError):
        answers.begin(0, digest(b"a"), repeatable=False)
    assert answers.begin(1, digest(b"a"), repeatable=False) == (True, b"answer")


def test_answers_are_bounded_by_bytes_but_the_newest_is_always_kept() -> None:
    answers = Answers()
    for number in range(3):
        answers.begin(number, digest(b"a"), repeatable=False)
        answers.keep(number, digest(b"a"), bytes(MAX_ANSWER_BYTES // 2))
    with pytest.raises(ProtocolError):
        answers.begin(0, digest(b"a"), repeatable=False)
    assert answers.begin(1, digest(b"a"), repeatable=False)[0]
    answers.begin(3, digest(b"a"), repeatable=False)
    answers.keep(3, digest(b"a"), bytes(MAX_ANSWER_BYTES * 2))
    assert answers.begin(3, digest(b"a"), repeatable=False)[0]
    with pytest.raises(ProtocolError):
        answers.begin(2, digest(b"a"), repeatable=False)
    assert answers._bytes == 2 * MAX_ANSWER_BYTES


# -- admission --------------------------------------------------------------------------------------------------------


def test_stranger_is_nobody_until_its_hello() -> None:
    clients = Clients()
    assert clients.find(HERE, Peer(b"me")) is None
    client = clients.admit(hello(name="notebook", pid=4711, grace=2.5, beat=True), line())
    assert clients.find(HERE, Peer(b"me")) is client
    assert (client.id, client.name, client.pid, client.grace, client.beat) == ("c1", "notebook", 4711, 2.5, True)
    assert {key: value for key, value in client.facts().items() if key != "since"} == {
        "id": "c1",
        "name": "notebook",
        "pid": 4711,
        "role": "admin",
        "address": "",
        "away": False,
    }
    assert len(client.token) == 32
    assert client.token not in repr(client)


def test_second_hello_is_the_same_client_whose_ids_begin_anew() -> None:
    clients = Clients()
    first = clients.admit(hello(name="one"), line())
    first.answers.begin(9, b"", repeatable=False)
    again = clients.admit(hello(name="two", role="observer"), line())
    assert again is first
    assert (again.id, again.name, again.role) == ("c1", "two", "observer")
    assert again.answers.begin(2, b"", repeatable=False) == (False, None)
    assert clients.present() == [first]


@pytest.mark.parametrize(
    "other",
    [
        {"endpoint": THERE},
        {"identity": b"other"},
        {"user": "anna", "address": "192.0.2.1"},
    ],
)
def test_other_endpoint_identity_or_key_is_another_client(other: dict[str, Any]) -> None:
    clients = Clients()
    one = clients.admit(hello(), line())
    two = clients.admit(hello(), line(**other))
    assert (one.id, two.id) == ("c1", "c2")
    assert clients.find(HERE, Peer(b"me")) is one


@pytest.mark.parametrize(
    ("allowed", "asked", "granted"),
    [
        ("admin", None, "admin"),
        ("admin", "observer", "observer"),
        ("operator", "admin", "operator"),
        ("observer", None, "observer"),
    ],
)
def test_role_is_the_lesser_of_what_is_asked_and_allowed(allowed: Any, asked: Any, granted: str) -> None:
    client = Clients().admit(hello(role=asked), line(role=allowed, user="anna", address="192.0.2.1"))
    assert (client.role, client.remote, client.user, client.address) == (granted, True, "anna", "192.0.2.1")


def test_key_whose_role_is_lowered_lowers_its_clients_at_once() -> None:
    clients = Clients()
    client = clients.admit(hello(), line(role="admin", user="anna"))
    assert clients.find(HERE, Peer(b"me", role="observer", user="anna")) is client
    assert client.role == "observer"


def test_token_brings_the_same_client_back_through_another_connection() -> None:
    clients = Clients()
    client = clients.admit(hello(), line(b"old"))
    again = clients.admit(hello(name="again", resume=client.token), line(b"new"))
    assert again is client
    assert (client.id, client.name) == ("c1", "again")
    assert clients.find(HERE, Peer(b"old")) is None
    assert clients.find(HERE, Peer(b"new")) is client


def test_token_brings_back_one_that_had_left_but_no_more_when_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients()
    client = clients.admit(hello(), line())
    clients.leave(client, final=False)
    clients.forget_old()
    assert clients.present() == []
    assert clients.get("c1") is None
    assert clients.admit(hello(resume=client.token), line(b"new")) is client
    assert clients.get("c1") is client

    clients.leave(client, final=False)
    assert client.left is not None
    monkeypatch.setattr("asmu_engine.host.clients.time.monotonic", lambda: client.left + 61)
    clients.forget_old()
    with pytest.raises(AccessError) as caught:
        clients.admit(hello(resume=client.token), line())
    assert (caught.value.code, caught.value.where) == ("token_unknown", "resume")


@pytest.mark.parametrize("token", ["nobody's", "0" * 32])
def test_unknown_token_is_refused(token: str) -> None:
    with pytest.raises(AccessError, match="Say hello without it"):
        Clients().admit(hello(resume=token), line())


def test_token_of_another_users_client_is_worth_nothing() -> None:
    clients = Clients()
    client = clients.admit(hello(), line())
    with pytest.raises(AccessError, match="no client with this token"):
        clients.admit(hello(resume=client.token), line(b"you", user="mallory"))
    assert clients.find(HERE, Peer(b"me")) is client


def test_client_that_said_goodbye_cannot_come_back() -> None:
    clients = Clients()
    client = clients.admit(hello(), line())
    clients.leave(client, final=True)
    with pytest.raises(AccessError):
        clients.admit(hello(resume=client.token), line())


def test_client_that_resumes_another_gives_up_what_it_was() -> None:
    clients = Clients()
    one = clients.admit(hello(), line(b"1"))
    two = clients.admit(hello(), line(b"2"))
    assert clients.admit(hello(resume=one.token), line(b"2")) is one
    assert clients.find(HERE, Peer(b"2")) is one
    assert clients.find(HERE, Peer(b"1")) is None
    assert two.line is None
    assert two.lost is not None


def test_clients_are_limited_until_one_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asmu_engine.host.clients.MAX_CLIENTS", 2)
    clients = Clients()
    one = clients.admit(hello(), line(b"1"))
    clients.admit(hello(), line(b"2"))
    with pytest.raises(EngineError) as caught:
        clients.admit(hello(), line(b"3"))
    assert (caught.value.code, caught.value.retry) == ("engine_state", True)
    assert clients.admit(hello(name="again"), line(b"2")).id == "c2"
    clients.leave(one, final=False)
    assert clients.admit(hello(), line(b"3")).id == "c3"


def test_one_key_does_not_keep_all_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asmu_engine.host.clients.MAX_OF_ONE_KEY", 2)
    clients = Clients()
    for number in (b"1", b"2"):
        clients.admit(hello(), line(number, user="anna"))
    with pytest.raises(EngineError, match="2 clients with key 'anna'"):
        clients.admit(hello(), line(b"3", user="anna"))
    clients.admit(hello(), line(b"3", user="bert"))
    for number in range(5):
        clients.admit(hello(), line(bytes([number])))


def test_those_who_left_are_remembered_in_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asmu_engine.host.clients.MAX_CLIENTS", 3)
    clients = Clients()
    tokens = []
    for number in range(20):
        client = clients.admit(hello(), line(bytes([number])))
        tokens.append(client.token)
        clients.leave(client, final=False)
    assert len(clients._by_id) == len(clients._by_token) == 6
    assert clients._by_connection == {}
    assert clients.admit(hello(resume=tokens[-1]), line()).id == "c20"
    with pytest.raises(AccessError):
        clients.admit(hello(resume=tokens[0]), line())


# -- access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "least"),
    [
        (messages.Status(id=1), "observer"),
        (messages.Transaction(id=1, edits=[{"op": "remove", "node": "x"}]), "operator"),
        (messages.Lease(id=1), "operator"),
        (messages.Start(id=1), "admin"),
        (messages.Keys(id=1), "admin"),
    ],
)
def test_each_role_may_do_what_is_its(request_: messages.Request, least: str) -> None:
    roles = ("observer", "operator", "admin")
    for role in roles:
        client = Client("c1", role=role)
        if roles.index(role) >= roles.index(least):
            check_role(client, request_)
        else:
            with pytest.raises(AccessError) as caught:
                check_role(client, request_)
            assert caught.value.code == "not_allowed"
            assert caught.value.where == request_.type  # type: ignore[attr-defined]
            assert f"takes the role {least}, and this client is {role}: say hello with that role" in caught.value.message


def test_refusal_by_role_says_whom_to_ask_where_a_key_allows_no_more() -> None:
    with pytest.raises(AccessError, match="ask for a key of that role; 'anna' allows no more"):
        check_role(Client("c1", role="observer", user="anna"), messages.Start(id=1))


def test_revoked_key_is_refused() -> None:
    check_key(Peer(b"me", role="observer", user="anna"))
    with pytest.raises(AccessError) as caught:
        check_key(Peer(b"me", role=None, user="anna"))
    assert (caught.value.code, caught.value.where) == ("key_refused", "anna")


def test_refusals_are_logged_with_the_address_and_a_flood_by_its_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("asmu_engine.host.access.time.monotonic", lambda: now)
    log = RefusalLog()
    peer = Peer(b"me", user="anna", address="192.0.2.7")
    error = ProtocolError("bad\nWARNING forged line " + "x" * 1000, code="bad_message")
    for _ in range(LINES_A_SECOND + 30):
        log.note(peer, error)
    assert len(caplog.records) == LINES_A_SECOND
    text = caplog.records[0].getMessage()
    assert text.startswith("refused 192.0.2.7, key 'anna': bad_message: 'bad\\nWARNING")
    assert "\n" not in text
    assert len(text) < 400
    now = 101.0
    log.note(peer, error)
    assert caplog.records[-2].getMessage() == "30 further refusals in one second are not logged"
    assert len(caplog.records) == LINES_A_SECOND + 2
