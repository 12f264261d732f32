"""Events to whoever subscribes: numbered, never waiting for anyone.

======= ================== ==================================================================================
topic   event              fields
======= ================== ==================================================================================
engine  state              state, reason, position
engine  audio_ended        status (how the process ended), position
engine  audio_restarted    position, gap (frames that were lost), restarts
engine  ending
patch   edited             author, edits (how many), revision, at, and rings of new nodes
device  started            device, samplerate, blocksize, position
device  device_lost        reason, position, device
xrun    xrun               flags, lost, position, block
node    core_failed, …     node, position, and what the core had to say
disk    job                job, kind, node, path, client, state, and the fields of the job's status
disk    disk_ended         status
disk    disk_restarted     restarts, jobs (those that go on)
client  joined, left       id, name, pid
======= ================== ==================================================================================
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal, get_args

import zmq

from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack

Topic = Literal["engine", "patch", "xrun", "node", "device", "disk", "client"]


class Events:
    """The publishing end. A subscriber that does not keep up loses events, which their numbers tell it.

    `numbers`: of each topic, how many events there were.
    """

    def __init__(self) -> None:
        self._sockets: list[zmq.Socket[bytes]] = []
        self.numbers: dict[str, int] = dict.fromkeys(get_args(Topic), 0)

    def attach(self, socket: zmq.Socket[bytes]) -> None:
        """Publish through this socket too from now on."""
        self._sockets.append(socket)

    def detach(self, socket: zmq.Socket[bytes]) -> None:
        """Publish through this socket no more; it may be closed then."""
        self._sockets.remove(socket)

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event, as two frames: topic and message."""
        number = self.numbers[topic] = self.numbers[topic] + 1
        if not self._sockets:
            return
        frames = [topic.encode(), pack(messages.event(number, topic, fields))]
        for socket in self._sockets:
            with contextlib.suppress(zmq.Again):  # PUB drops for slow subscribers by itself; should it ever not, so do we
                socket.send_multipart(frames, zmq.NOBLOCK)
