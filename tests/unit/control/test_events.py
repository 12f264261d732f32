"""Events as a script goes through them: snapshot, order, what was lost, and how it ends."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest

from asmu_control.client import Client, Event
from asmu_control.events import Order
from asmu_control.exceptions import EngineError, EngineTimeout, ProtocolError
from asmu_control.timeouts import Timeouts

NUMBERS = {"engine": 2, "patch": 5, "xrun": 0, "node": 0, "device": 0, "disk": 0, "client": 1}
SNAPSHOT = {"status": {"state": "running"}, "patch": {"revision": 5}, "scheduled": [], "numbers": NUMBERS}


def message(topic: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "topic": topic, "number": number, **fields}


def lost(topic: str, first: int, count: int) -> Event:
    return Event("lost", 0, {"topic": topic, "from": first, "count": count})


# -- order --------------------------------------------------------------------------------------------------------------


def take(order: Order, *numbers: int, topic: str = "patch") -> list[Event]:
    return [event for number in numbers for event in order.take(message(topic, number))]


def test_one_after_another() -> None:
    assert take(Order(None), 7, 8, 9) == [Event("patch", n, {}) for n in (7, 8, 9)]


def test_what_the_snapshot_includes_is_left_out() -> None:
    order = Order({"patch": 5})
    assert take(order, 3, 4, 5, 6) == [Event("patch", 6, {})]


def test_what_is_missing_after_the_snapshot_is_told() -> None:
    assert take(Order({"patch": 5}), 8) == [lost("patch", 6, 2), Event("patch", 8, {})]


def test_a_gap_is_told_once_and_by_topic() -> None:
    order = Order(None)
    assert take(order, 1, 5) == [Event("patch", 1, {}), lost("patch", 2, 3), Event("patch", 5, {})]
    assert take(order, 6) == [Event("patch", 6, {})]
    assert take(order, 40, topic="xrun") == [Event("xrun", 40, {})]


def test_a_topic_that_the_snapshot_does_not_know_begins_with_1() -> None:
    assert take(Order({}), 2, topic="new") == [lost("new", 1, 1), Event("new", 2, {})]


def test_another_engine_counts_from_1_again() -> None:
    order = Order({"patch": 5})
    assert take(order, 6, 1, 2) == [Event("patch", n, {}) for n in (6, 1, 2)]
    assert take(order, 1, 3) == [Event("patch", 1, {}), lost("patch", 2, 1), Event("patch", 3, {})]
    assert take(order, 2) == [lost("patch", 1, 1), Event("patch", 2, {})]


def test_an_event_shows_its_fields() -> None:
    (event,) = Order(None).take(message("xrun", 3, event="xrun", lost=7))
    assert (event.topic, event.number, event.what, event["lost"], event.get("none", 4)) == ("xrun", 3, "xrun", 7, 4)
    with pytest.raises(KeyError):
        _ = event["none"]
    assert Event("snapshot", 0, {}).what == ""


# -- iteration ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(link) -> Client:
    link.answers["hello"]["numbers"] = NUMBERS
    link.answers["snapshot"] = SNAPSHOT
    return Client(link)


def test_a_snapshot_comes_first(link, client: Client) -> None:
    link.events += [message("patch", 5, event="edited"), message("patch", 6, event="edited", revision=6)]
    events = client.events("patch", timeout=0)
    assert list(events) == [Event("snapshot", 0, SNAPSHOT), Event("patch", 6, {"event": "edited", "revision": 6})]
    (subscription,) = link.subscriptions
    assert subscription.topics == ("engine", "patch")


def test_without_a_snapshot(link, client: Client) -> None:
    link.events.append(message("patch", 9))
    assert list(client.events(timeout=0, snapshot=False)) == [Event("patch", 9, {})]
    assert link.subscriptions[0].topics == ()
    assert not link.asked("snapshot")


def test_topics_that_were_not_asked_for_stay_out_with_their_gaps(link, client: Client) -> None:
    link.events += [message("engine", 9, event="state"), message("patch", 8)]
    events = client.events("patch", timeout=0)
    assert [event.topic for event in events] == ["snapshot", "lost", "patch"]


def test_next_waits_for_its_own_time(link, client: Client) -> None:
    events = client.events("patch", snapshot=False)
    assert events.next(0) is None
    assert events.next(0.01) is None
    link.events.append(message("patch", 1))
    assert events.next(0) == Event("patch", 1, {})


def test_the_loop_ends_with_the_engine(link, client: Client) -> None:
    link.events += [message("engine", 3, event="ending"), message("patch", 6)]
    assert [event.topic for event in client.events("patch")] == ["snapshot", "patch"]
    events = client.events("engine", snapshot=False)
    link.events.append(message("engine", 3, event="ending"))
    assert [event.what for event in events] == ["ending"]


def test_an_engine_that_ends_without_a_word_is_an_error(link, client: Client) -> None:
    events = client.events("patch")
    link.events.append(message("patch", 6))
    link.there = False
    assert [events.next().topic, events.next().topic] == ["snapshot", "patch"]  # type: ignore[union-attr]
    with pytest.raises(EngineError) as caught:
        events.next()
    assert caught.value.code == "engine_gone"


def test_close_ends_the_loop(link, client: Client) -> None:
    with client.events("patch", snapshot=False) as events:
        pass
    assert link.subscriptions[0].closed
    assert list(events) == []
    events.close()
    others = client.events("patch", snapshot=False)
    client.close()
    assert list(others) == []
    with pytest.raises(EngineError):
        client.events()


def test_close_ends_the_loop_of_another_thread(client: Client) -> None:
    events = client.events("patch", snapshot=False)
    seen: deque[list[Event]] = deque()
    thread = threading.Thread(target=lambda: seen.append(list(events)))
    thread.start()
    client.close()
    thread.join(10)
    assert seen == deque([[]])


def test_bad_arguments(link, client: Client) -> None:
    with pytest.raises(ProtocolError, match="no topic 'pach'; topics: client, device, disk, engine, node, patch, xrun"):
        client.events("patch", "pach")
    with pytest.raises(ValueError, match="queue=0"):
        client.events(queue=0)
    assert link.subscriptions == []


def test_a_refused_snapshot_closes_the_subscription(link, client: Client) -> None:
    link.answers["snapshot"] = EngineError("ending", code="engine_gone")
    with pytest.raises(EngineError):
        client.events()
    assert link.subscriptions[0].closed


def test_no_way_to_the_events(link, monkeypatch: pytest.MonkeyPatch) -> None:
    link.answers["hello"]["numbers"] = NUMBERS
    client = Client(link, timeout=Timeouts(connect=0.02))
    subscribe = link.subscribe

    def never(topics: Any, queue: int) -> Any:
        subscription = subscribe(topics, queue)
        subscription.joined = False
        return subscription

    monkeypatch.setattr(link, "subscribe", never)
    with pytest.raises(EngineTimeout, match=r"events of engine 'fake' within 0\.02 s"):
        client.events()
    link.there = False
    with pytest.raises(EngineError) as caught:
        client.events()
    assert caught.value.code == "engine_gone"


def test_events_that_came_before_the_way_was_known_to_be_open(link, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe = link.subscribe

    def soon(topics: Any, queue: int) -> Any:
        subscription = subscribe(topics, queue)
        subscription.joined = False
        return subscription

    monkeypatch.setattr(link, "subscribe", soon)
    link.events += [message("patch", 5), message("patch", 6)]
    assert [(e.topic, e.number) for e in client.events("patch", timeout=0)] == [("snapshot", 0), ("patch", 6)]


def test_while_it_waits_for_events_the_client_looks_after_its_connection(link, client: Client) -> None:
    events = client.events("patch", snapshot=False)
    link.inbox += [{"v": 1, "id": 0, "type": "beat"}] * 5
    link.connections += 1
    events._sequence._tended -= 10
    assert events.next(0) is None
    assert not link.inbox
    assert len(link.asked("ping")) == 1
