"""Events to whoever subscribes: numbered, never waiting for anyone."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import zmq

from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack

Topic = Literal["engine", "patch", "xrun", "node", "device", "disk", "client"]


class Events:
    """The publishing end. A subscriber that does not keep up loses events, which their numbers tell it."""

    def __init__(self) -> None:
        self._socket: zmq.Socket[bytes] | None = None
        self.number = 0

    def attach(self, socket: zmq.Socket[bytes]) -> None:
        """Publish through this socket from now on."""
        self._socket = socket

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event, as two frames: topic and message."""
        self.number += 1
        if self._socket is not None:
            data = pack(messages.event(self.number, topic, fields))
            with contextlib.suppress(zmq.Again):  # PUB drops for slow subscribers by itself; should it ever not, so do we
                self._socket.send_multipart([topic.encode(), data], zmq.NOBLOCK)
