"""Analyzers that read a ring which the test writes, and interfaces that need no engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import asmu_control as asmu
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.writer import RingWriter

SAMPLERATE = 48000


class Source:
    """A ring with its writer, and readers for analyzers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.writer = RingWriter(name)
        self._position = 0

    def feed(self, analyzer, start="first") -> None:
        """The analyzer reads this ring from now on."""
        analyzer.read_from(RingReader(self.name, start))

    def write(self, signal, block: int = 1000, position: int | None = None) -> None:
        """Write (frames,) or (frames, channels) in blocks; a position ahead leaves a gap."""
        data = np.asarray(signal, np.float32)
        data = np.ascontiguousarray(data.reshape(len(data), -1))
        for start in range(0, len(data), block):
            self.writer.write(data[start : start + block], None if position is None else position + start)


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=SAMPLERATE, blocksize=256)


@pytest.fixture
def make_source() -> Iterator[Callable[..., Source]]:
    """Factory of rings: ``make_source(channels=1, capacity=48000)``."""
    segments, sources = [], []

    def make(channels: int = 1, capacity: int = 480_000, samplerate: float = SAMPLERATE) -> Source:
        name = segment_name("test", f"tap{len(segments)}")
        segments.append(create_ring(name, RingKind.TAP, channels, samplerate, capacity))
        sources.append(Source(name))
        return sources[-1]

    yield make
    for source in sources:
        source.writer.close()
    for segment in segments:
        segment.unlink()
        segment.close()
