from __future__ import annotations

import threading

import pytest

from asmu_control.client import Client
from asmu_control.exceptions import DeviceError, EngineError, EngineTimeout, ProtocolError
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.messages import reply


def test_says_hello_and_knows_the_engine(link) -> None:
    client = Client(link, "notebook")
    assert link.asked("hello")[0]["name"] == "notebook"
    assert client.facts["samplerate"] == 48000.0
    assert client.engine == "fake"
    assert repr(client) == "<Client of engine 'fake': connected>"


def test_result_comes_back(link, client) -> None:
    link.answers["status"] = {"state": "stopped"}
    assert client.request({"type": "status"}) == {"state": "stopped"}


def test_refusal_is_raised_as_its_class(link, client) -> None:
    link.answers["start"] = DeviceError("no such device", code="device_unknown", where="x", retry=True)
    with pytest.raises(DeviceError) as caught:
        client.request({"type": "start"})
    assert (caught.value.code, caught.value.where, caught.value.retry) == ("device_unknown", "x", True)


def test_late_answers_are_dropped(link, client) -> None:
    link.answers["ping"] = None
    with pytest.raises(EngineTimeout) as caught:
        client.request({"type": "ping"}, timeout=0.01)
    assert caught.value.retry
    link.inbox.append(reply(2, {"late": True}))
    link.answers["ping"] = {"late": False}
    assert client.request({"type": "ping"}) == {"late": False}


def test_an_engine_that_dies_is_noticed_before_the_timeout(link, client) -> None:
    link.answers["ping"] = None
    link.there = False
    with pytest.raises(EngineError) as caught:
        client.request({"type": "ping"}, timeout=60)
    assert caught.value.code == "engine_gone"
    assert not client.alive()


def test_too_large_is_refused_before_it_is_sent(link, client) -> None:
    asked = len(link.requests)
    value = Array("f4", (3_000_000,), bytes(12_000_000))
    with pytest.raises(ProtocolError) as caught:
        client.edit([{"op": "set", "node": "x", "parameters": {"ir": value}}])
    assert caught.value.code == "message_too_large"
    assert len(link.requests) == asked


def test_closed(link, client) -> None:
    with client:
        pass
    client.close()
    assert link.closed
    assert client.closed
    assert not client.alive()
    for use in (lambda: client.request({"type": "ping"}), client.event):
        with pytest.raises(EngineError) as caught:
            use()
        assert caught.value.code == "engine_state"


def test_a_refused_hello_closes_the_link(link) -> None:
    link.answers["hello"] = ProtocolError("version", code="protocol_version")
    with pytest.raises(ProtocolError):
        Client(link)
    assert link.closed


def test_events(link, client) -> None:
    link.events.append({"topic": "xrun", "number": 1})
    assert client.event(0) == {"topic": "xrun", "number": 1}
    assert client.event(0) is None


def test_threads_share_a_client(link, client) -> None:
    link.answers["ping"] = {"here": 1}
    results: list[dict] = []

    def ask() -> None:
        for _ in range(50):
            results.append(client.request({"type": "ping"}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"here": 1}] * 200
    assert len({request["id"] for request in link.requests}) == len(link.requests)
