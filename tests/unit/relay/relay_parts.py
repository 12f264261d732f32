"""Messages of a relay made by hand."""

from __future__ import annotations

from collections import deque

import numpy as np
import zmq

from asmu_control.relay.wire import Header
from asmu_engine.protocol.errors import RingError
from asmu_engine.protocol.keys import ClientKey, KeyRing

KEY = ClientKey("anna", "p" * 40, "s" * 40, "e" * 40)


def ramp(position: int, frames: int, channels: int = 2) -> np.ndarray:
    """Every sample says where it belongs: frame position + channel / 4, exact in float32."""
    return (np.arange(position, position + frames)[:, None] + np.arange(channels) / 4).astype(np.float32)


def make_key(ring: KeyRing, name: str) -> ClientKey:
    """A new client's key, which the ring lets in."""
    server = ring.server_key(zmq.curve_keypair)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    ring.allow(name, public, "observer")
    return ClientKey(name, public, secret, server.public)


class Script:
    """A relay that sends what the test says, with right numbers; `drop` does so without anybody getting it.

    `position` is that of the next frame.
    """

    def __init__(self) -> None:
        self.position = 1000
        self.capacity = 4096
        self.channels = 2
        self.stream = "ring"
        self.run = "run"
        self.sequence = 0
        self.first: int | None = None
        self.empty = False
        self.sent: deque = deque()
        self.closed = False

    def header(self, **fields) -> Header:
        common = {
            "node": "tap1",
            "stream": self.stream,
            "run": self.run,
            "sequence": self.sequence,
            "position": None if self.empty else self.position,
            "first": self.first,
            "channels": self.channels,
            "samplerate": 48000.0,
            "capacity": self.capacity,
        }
        return Header.model_validate({**common, **fields})

    def sign(self, **fields) -> None:
        """A message without samples."""
        self.sent.append((self.header(**fields), None))

    def message(self, frames: int, *, lost: int = 0, skipped: int = 0, gaps: list[list[int]] | None = None, unsure=()):
        """The next message with frames, after some that were lost or skipped."""
        begin = self.position + skipped
        self.position = begin + lost
        if self.first is None:
            self.first = self.position - lost - skipped
        self.empty = False
        header = self.header(
            frames=frames,
            lost=lost,
            skipped=skipped,
            gaps=([[begin, lost, 7]] if lost else []) if gaps is None else gaps,
            uncertainties=list(unsure),
            stamp=[self.position, 10**9, 2 * 10**9],
        )
        data = ramp(self.position, frames, self.channels)
        self.position += frames
        self.sequence += 1
        return header, data

    def send(self, frames: int, **fields) -> None:
        self.sent.append(self.message(frames, **fields))

    def drop(self, frames: int, **fields) -> None:
        self.message(frames, **fields)

    def subscriber(self, endpoint: str, key: ClientKey, node: str) -> Script:
        """In place of the class of that name."""
        assert (endpoint, key, node) == ("tcp://far:1", KEY, "tap1")
        return self

    def join(self, timeout: float):
        if not self.sent:
            self.sign()
        return self.sent.popleft()

    def receive(self, timeout: float):
        return self.sent.popleft() if self.sent else None

    def close(self) -> None:
        self.closed = True


class Refused(Script):
    """A relay that has no such tap."""

    def join(self, timeout: float):
        raise RingError("engine 'lab' has no tap 'tap1'; taps: none", code="ring_unknown", where="tap1", retry=True)
