"""Who has joined misses nothing that is published from then on."""

from __future__ import annotations

from pathlib import Path

import zmq

from asmu_control.zmqlink import ZmqLink
from asmu_engine.host.endpoint import LocalEndpoint
from asmu_engine.host.events import Events
from asmu_engine.protocol.runtime import EngineInfo

PATIENCE = 15.0


def test_an_event_right_after_a_subscription_arrives(tmp_path: Path) -> None:
    with zmq.Context() as context:
        endpoint, events = LocalEndpoint(context, tmp_path), Events()
        events.attach(endpoint.events)
        link = ZmqLink(
            EngineInfo("lab", 1, "0", endpoint.requests_endpoint, endpoint.events_endpoint, private=False), lambda: True
        )
        for number in range(1, 101):
            subscription = link.subscribe(["patch"])
            while not subscription.joined:
                pass
            link.send(b"publish")  # comes behind the subscription
            while endpoint.receive() is None:
                endpoint.requests.poll(10)
            events.publish("patch", {"event": "cleared"})
            received = subscription.receive(PATIENCE)
            assert received is not None
            assert received["number"] == number
            subscription.close()
        link.close()
        endpoint.close(0)
