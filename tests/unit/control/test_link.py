"""The link to an engine in another process, against a bare ROUTER and PUB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from asmu_control.client import Client
from asmu_control.exceptions import EngineError
from asmu_control.link import ZmqLink
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.messages import event, reply
from asmu_engine.protocol.runtime import EngineClaim, EngineInfo


@pytest.fixture
def endpoint(folders) -> Iterator[tuple[EngineInfo, zmq.Socket[bytes], zmq.Socket[bytes]]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, context.socket(zmq.PUB) as publisher:
        router.linger = publisher.linger = 0
        router.bind(f"ipc://{folders.runtime}/r.sock")
        publisher.bind(f"ipc://{folders.runtime}/e.sock")
        requests, events = (s.last_endpoint.decode().rstrip("\0") for s in (router, publisher))
        yield EngineInfo("one", 1, "0", requests, events, private=False), router, publisher
    for name in ("r.sock", "e.sock"):
        Path(folders.runtime / name).unlink(missing_ok=True)


def test_requests_and_events_travel(endpoint) -> None:
    info, router, publisher = endpoint

    def serve() -> None:
        for _ in range(2):
            identity, data = router.recv_multipart()
            message = unpack(data)
            router.send_multipart([identity, pack(reply(message["id"], {"type": message["type"]}))])

    server = threading.Thread(target=serve)
    server.start()
    with Client(ZmqLink(info, lambda: True)) as client:
        assert client.facts == {"type": "hello"}
        assert client.request({"type": "ping"}) == {"type": "ping"}
        server.join(5)
        seen = None
        for number in range(1, 200):  # a subscription takes a moment to arrive
            publisher.send_multipart([b"xrun", pack(event(number, "xrun", {"lost": 3}))])
            seen = client.event(0.05)
            if seen:
                break
        assert seen is not None
        assert (seen["topic"], seen["lost"]) == ("xrun", 3)


def test_an_engine_whose_lock_is_free_is_gone(endpoint) -> None:
    info, _, _ = endpoint
    claim = EngineClaim("one")
    claim.take()
    link = ZmqLink(info)
    assert link.alive()
    claim.release()
    with pytest.raises(EngineError) as caught:
        Client(link)
    assert caught.value.code == "engine_gone"
    link.close()
