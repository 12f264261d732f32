"""Events to whoever subscribes: numbered, never waiting for anyone. What each carries is in `asmu_engine.protocol.topics`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, get_args

import zmq

from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.topic import Topic

Observer = Callable[[Topic, dict[str, Any]], None]


class Events:
    """The publishing end. A subscriber that does not keep up loses events, which their numbers tell it.

    `numbers`: of each topic, how many events there were.
    """

    def __init__(self) -> None:
        self._sockets: list[zmq.Socket[bytes]] = []
        self._observers: list[Observer] = []
        self.numbers: dict[str, int] = dict.fromkeys(get_args(Topic), 0)

    def attach(self, socket: zmq.Socket[bytes]) -> None:
        """Publish through this socket too from now on."""
        self._sockets.append(socket)

    def detach(self, socket: zmq.Socket[bytes]) -> None:
        """Publish through this socket no more; it may be closed then."""
        self._sockets.remove(socket)

    def observe(self, observer: Observer) -> None:
        """Call `observer` with the topic and the fields of every event from now on, before it is published."""
        self._observers.append(observer)

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event, as two frames: topic and message."""
        number = self.numbers[topic] = self.numbers[topic] + 1
        for observer in self._observers:
            observer(topic, fields)
        if not self._sockets:
            return
        frames = [topic.encode(), pack(messages.event(number, topic, fields))]
        for socket in self._sockets:
            socket.getsockopt(zmq.EVENTS)  # takes in who has just subscribed, for which `send` looks once a millisecond only
            with contextlib.suppress(zmq.Again):  # PUB drops for slow subscribers by itself; should it ever not, so do we
                socket.send_multipart(frames, zmq.NOBLOCK)
