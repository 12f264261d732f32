"""A client whose script asks nothing for hours is told of each second by the engine, and is there all the while."""

from __future__ import annotations

import time
from pathlib import Path

import zmq

from asmu_control.zmqlink import ZmqLink
from asmu_engine.host.endpoint import LocalEndpoint
from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.runtime import EngineInfo

BEATS = 5000  # more than ZeroMQ keeps for one that sets no limit of its own
PATIENCE = 15.0


def test_beats_that_are_not_read_keep_no_heartbeat_from_being_answered(tmp_path: Path) -> None:
    with zmq.Context() as context:
        endpoint = LocalEndpoint(context, tmp_path)
        info = EngineInfo("lab", 1, "0", endpoint.requests_endpoint, endpoint.events_endpoint, private=False)
        link = ZmqLink(info, lambda: True)
        link.send(b"hello")
        assert endpoint.requests.poll(PATIENCE * 1000)
        received = endpoint.receive()
        assert received is not None
        peer, _ = received
        endpoint.requests.sndtimeo = int(PATIENCE * 1000)
        for _ in range(BEATS):
            endpoint.requests.send_multipart([peer.identity, pack(messages.beat())])
        end = time.monotonic() + 4.0  # a heartbeat falls due, and its time-out passes
        while time.monotonic() < end:
            time.sleep(0.1)
        assert endpoint.send(peer, [b"last"])
        for _ in range(BEATS):
            assert link.receive(PATIENCE) == messages.beat()
        assert link.connections == 1
        link.close()
        endpoint.close(0)
