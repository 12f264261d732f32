"""Rings and a scripted relay to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from relay_parts import Script

from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.segment import Segment, segment_name


@pytest.fixture
def make_ring() -> Iterator[Callable[..., str]]:
    """Factory of rings of taps, which are removed after the test; returns the name."""
    made: list[Segment] = []

    def make(capacity: int = 4096, channels: int = 2, name: str = "") -> str:
        name = segment_name("test", name or f"ring{len(made)}")
        made.append(create_ring(name, RingKind.TAP, channels, 48000.0, capacity))
        return name

    yield make
    for segment in made:
        segment.unlink()
        segment.close()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """The messages that a `RemoteReader` of the test gets, without a network."""
    made = Script()
    monkeypatch.setattr("asmu_control.relay.cursor.Subscriber", made.subscriber)
    return made
