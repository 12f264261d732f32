"""Keys of transactions, and the memory of what became of scheduled ones."""

from __future__ import annotations

from typing import Any

import pytest

from asmu_engine.host import once as once_module
from asmu_engine.host import schedule as schedule_module
from asmu_engine.host.clients import Client
from asmu_engine.host.once import Once
from asmu_engine.host.schedule import Schedule
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import EngineError, PatchError, ProtocolError
from asmu_engine.protocol.messages import Scheduled, Transaction

Told = list[tuple[Any, Any]]


def request(identifier: int = 1, value: Any = 1.0, at: int | None = None) -> Transaction:
    return Transaction(id=identifier, edits=[{"op": "set", "node": "n", "parameters": {"value": value}}], at=at)


def into(told: Told) -> Any:
    return lambda result, error: told.append((result, error))


def test_the_same_request_is_answered_from_memory_whatever_its_id() -> None:
    once, told = Once(), []
    answer = once.begin("k", request(1), into(told))
    assert answer is not None
    assert once.begin("k", request(2), into(told)) is None  # while it is in the works
    answer({"revision": 3}, None)
    assert once.begin("k", request(3), into(told)) is None
    assert told == [({"revision": 3}, None)] * 3
    told[0][0]["revision"] = 99  # each has a copy
    assert told[1][0]["revision"] == 3


@pytest.mark.parametrize("other", [request(value=2.0), request(at=5), request(value=Array("f4", (1,), b"\0\0\0\0"))])
def test_another_request_with_the_key_is_refused(other: Transaction) -> None:
    once = Once()
    once.begin("k", request(), into([]))
    with pytest.raises(ProtocolError) as refusal:
        once.begin("k", other, into([]))
    assert refusal.value.code == "key_reused"


def test_one_that_was_refused_may_come_again() -> None:
    once, told = Once(), []
    error = EngineError("not now", code="engine_failed", retry=True)
    answer = once.begin("k", request(), into(told))
    assert answer is not None
    answer(None, error)
    again = once.begin("k", request(), into(told))
    assert again is not None
    again({"revision": 1}, None)
    assert told == [(None, error), ({"revision": 1}, None)]


def test_the_oldest_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_module, "MAX_KEYS", 2)
    once = Once()
    for key in "abc":
        answer = once.begin(key, request(), into([]))
        assert answer is not None
        answer({}, None)
    assert once.begin("a", request(value=2.0), into([])) is not None
    assert once.begin("c", request(), into([])) is None


def test_outcomes_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "MAX_OUTCOMES", 1)
    schedule = Schedule()
    for at in (20, 10):
        schedule.add(schedule.make(at, Client("c1", name="me"), request().edits, False, 10))
    first, second = schedule.entries
    assert [entry.at for entry in schedule.entries] == [10, 20]
    assert schedule.answer(Scheduled(id=1, scheduled=1)) == {"scheduled": [second.facts()], "outcome": None}
    schedule.remove(first, state="cancelled")
    schedule.remove(second, state="dropped", code="unknown_node", message="gone", where="n")
    with pytest.raises(PatchError, match="was dropped"):
        schedule.waiting(1)
    for number in (2, 3):
        with pytest.raises(PatchError) as refusal:
            schedule.answer(Scheduled(id=1, scheduled=number))
        assert refusal.value.code == "scheduled_unknown"


def test_what_waits_has_a_limit_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "MAX_SCHEDULED_BYTES", 100)
    schedule = Schedule()
    schedule.add(schedule.make(1, Client("c1"), request().edits, False, 500))  # one is always taken
    with pytest.raises(PatchError) as refusal:
        schedule.make(1, Client("c1"), request().edits, False, 1)
    assert refusal.value.code == "scheduled_full"
    schedule.remove(schedule.entries[0], state="cancelled")
    schedule.make(1, Client("c1"), request().edits, False, 1)
