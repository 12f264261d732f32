"""From a ring to messages: whole blocks, rests, gaps, a relay that is too slow, rings that end."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from relay_parts import ramp

from asmu_control.relay import source as source_module
from asmu_control.relay.packing import unpack_frames
from asmu_control.relay.source import Source
from asmu_control.relay.wire import MAX_SAMPLES
from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.create import close_ring
from asmu_engine.shm.writer import RingWriter

MakeRing = Callable[..., str]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests of a block wait for company for as long as the test likes."""
    monkeypatch.setattr(source_module, "_PATIENCE_NS", 3600 * 10**9)


def open_source(ring: str, block: int = 100, form: str = "float32") -> Source:
    return Source("tap1", ring, engine="lab 1", form=form, block=block)


def taken(source: Source) -> list[tuple[int, int, int, int, int]]:
    """Sequence, position, frames, lost and skipped of all messages that are due; their samples are checked."""
    found = []
    while (message := source.take()) is not None:
        header, payload = message
        data = unpack_frames(payload, header.format, header.frames, header.channels, tuple(header.parts))
        np.testing.assert_array_equal(data, ramp(header.position, header.frames, header.channels))
        found.append((header.sequence, header.position, header.frames, header.lost, header.skipped))
    return found


@pytest.mark.usefixtures("patient")
def test_what_is_written_goes_out_in_blocks(make_ring: MakeRing) -> None:
    ring = make_ring()
    with RingWriter(ring) as writer:
        writer.write(ramp(500, 64), 500)
        source = open_source(ring)
        assert source.sign().position == 564
        for position in range(564, 1204, 64):
            writer.write(ramp(position, 64))
        assert taken(source) == [(n, 564 + 100 * n, 100, 0, 0) for n in range(6)]
        sign = source.sign()
        assert (sign.sequence, sign.position, sign.first, sign.frames, sign.closed) == (6, 1164, 564, 0, False)
        assert (sign.channels, sign.samplerate, sign.capacity, sign.format) == (2, 48000.0, 4096, "float32")
        source.close()


@pytest.mark.usefixtures("patient")
def test_before_the_first_frame_there_is_no_position(make_ring: MakeRing) -> None:
    ring = make_ring()
    source = open_source(ring)
    assert (source.sign().position, source.sign().first, source.take(), source.pause()) == (None, None, None, 0.02)
    with RingWriter(ring) as writer:
        writer.write(ramp(3000, 150), 3000)
        assert taken(source) == [(0, 3000, 100, 0, 0)]
        assert (source.sign().first, source.sign().position) == (3000, 3100)
    source.close()


@pytest.mark.usefixtures("patient")
def test_a_gap_cuts_a_message_and_stands_before_the_next(make_ring: MakeRing) -> None:
    ring = make_ring()
    with RingWriter(ring) as writer:
        source = open_source(ring)
        writer.write(ramp(0, 130))
        writer.write(ramp(170, 130), 170, cause=5, uncertainty=9, monotonic_ns=10, utc_ns=20)
        first, second, third = (source.take() for _ in range(3))
        assert (first[0].position, first[0].frames) == (0, 100)
        assert (second[0].position, second[0].frames, second[0].lost) == (100, 30, 0)
        header = third[0]
        assert (header.position, header.frames, header.lost, header.skipped, header.gaps) == (170, 100, 40, 0, [[130, 40, 5]])
        assert header.uncertainties == [9]
        assert header.stamp == [170, 10, 20]
        source.close()


@pytest.mark.usefixtures("patient")
def test_a_relay_that_was_overtaken_says_how_many_it_skipped(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=1000)
    with RingWriter(ring) as writer:
        source = open_source(ring)
        for position in range(0, 2500, 100):
            writer.write(ramp(position, 100))
        assert taken(source) == [(0, 1500, 100, 0, 1500)] + [(n, 1500 + 100 * n, 100, 0, 0) for n in range(1, 10)]
        assert source.sign().first == 0
        source.close()


def test_a_rest_goes_out_once_the_device_has_stopped(make_ring: MakeRing) -> None:
    ring = make_ring()
    with RingWriter(ring) as writer:
        source = open_source(ring)
        writer.write(ramp(0, 130))
        deadline = time.monotonic() + 10
        found = taken(source)
        while len(found) < 2 and time.monotonic() < deadline:
            found += taken(source)
        assert found == [(0, 0, 100, 0, 0), (1, 100, 30, 0, 0)]
        writer.write(ramp(130, 100))
        assert taken(source) == [(2, 130, 100, 0, 0)]
        source.close()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("how", ["writer", "host", "rest"])
def test_a_ring_that_ends_is_emptied(make_ring: MakeRing, how: str) -> None:
    ring = make_ring()
    source = open_source(ring)
    with RingWriter(ring) as writer:
        writer.write(ramp(0, 130))
        assert taken(source) == [(0, 0, 100, 0, 0)]
        writer.close(final=how == "writer")
    assert not source.ended
    if how == "host":
        close_ring(ring)
    message = source.take(rest=how == "rest")
    assert (message[0].position, message[0].frames) == (100, 30)
    assert source.ended == (how != "rest")
    assert source.removed == (how != "rest")
    assert source.sign(closed=True).closed
    source.close()


@pytest.mark.usefixtures("patient")
def test_it_knows_when_to_look_again(make_ring: MakeRing, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = make_ring()
    with RingWriter(ring) as writer:
        source = open_source(ring, block=480)
        writer.write(ramp(0, 48))
        written = source._reader.latest_write[2] / 1e9
        # 432 frames are missing, 9 ms from the last write on. A little late they come any moment, and very late at some time.
        for later, pause in ((0.0, 0.009), (0.004, 0.005), (0.010, 0.001), (1.0, 0.02)):
            monkeypatch.setattr(source_module, "time", SimpleNamespace(monotonic=lambda now=written + later: now))
            assert source.pause() == pytest.approx(pause)
        writer.write(ramp(48, 432))
        assert source.pause() == 0.0
        source.close()


def test_streams_and_runs_tell_rings_and_readings_apart(make_ring: MakeRing) -> None:
    one, two = make_ring(), make_ring()
    signs = []
    for ring, engine in ((one, "lab 1"), (one, "lab 1"), (two, "lab 1"), (one, "lab 2")):
        source = Source("tap1", ring, engine=engine, form="float32", block=100)
        signs.append(source.sign())
        source.close()
    assert signs[0].stream == signs[1].stream
    assert len({sign.stream for sign in signs}) == 3
    assert len({sign.run for sign in signs}) == 4


@pytest.mark.usefixtures("patient")
def test_clipped_samples_are_told_and_summed(make_ring: MakeRing) -> None:
    ring = make_ring()
    with RingWriter(ring) as writer:
        source = open_source(ring, form="int16")
        data = np.zeros((200, 2), np.float32)
        data[:3, 0] = 2.0
        data[150, 1] = np.nan
        writer.write(data)
        assert [source.take()[0].clipped for _ in range(2)] == [3, 1]
        assert source.clipped == 4
        source.close()


@pytest.mark.usefixtures("patient")
def test_flac_says_how_long_its_parts_are(make_ring: MakeRing) -> None:
    ring = make_ring(channels=9)
    with RingWriter(ring) as writer:
        source = open_source(ring, form="flac")
        writer.write(np.zeros((100, 9), np.float32))
        header, payload = source.take()
        assert len(header.parts) == 2
        assert sum(header.parts) == len(payload)
        source.close()


@pytest.mark.usefixtures("patient")
def test_a_block_is_never_larger_than_a_message_or_a_quarter_of_the_ring(make_ring: MakeRing) -> None:
    ring = make_ring(capacity=16400, channels=1024)
    source = open_source(ring, block=65536)
    with RingWriter(ring) as writer:
        writer.write(np.zeros((8200, 1024), np.float32))
        assert source.take()[0].frames == min(MAX_SAMPLES // 1024, 4100)
    source.close()


def test_a_ring_that_has_gone_is_refused() -> None:
    with pytest.raises(RingError) as caught:
        open_source("asmu.0.test.gone")
    assert caught.value.code == "ring_unknown"
