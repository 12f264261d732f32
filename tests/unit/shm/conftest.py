"""Rings to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.segment import Segment, segment_name

MakeRing = Callable[..., str]


@pytest.fixture
def make_ring() -> Iterator[MakeRing]:
    """Factory of rings that are removed after the test; returns the name."""
    made: list[Segment] = []

    def make(capacity: int = 64, channels: int = 2, samplerate: float = 48000.0, kind: RingKind = RingKind.TAP) -> str:
        name = segment_name("test", f"ring{len(made)}")
        made.append(create_ring(name, kind, channels, samplerate, capacity))
        return name

    yield make
    for segment in made:
        segment.unlink()
        segment.close()


@pytest.fixture
def ramp() -> Callable[..., np.ndarray]:
    """Blocks whose every sample says where it belongs: frame position + channel / 4, exact in float32."""

    def make(position: int, frames: int, channels: int = 2) -> np.ndarray:
        return (np.arange(position, position + frames)[:, None] + np.arange(channels) / 4).astype(np.float32)

    return make
