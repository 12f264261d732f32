from __future__ import annotations

import math

import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm import create as module
from asmu_engine.shm.create import RingKind, close_ring, create_ring
from asmu_engine.shm.feed import FeedReader, FeedWriter
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.ring import HEADER_BYTES, WORD_KIND, WORD_MAGIC, WORD_VERSION, header_words, read_shape, ring_bytes
from asmu_engine.shm.segment import Segment, list_segments, segment_name
from asmu_engine.shm.writer import RingWriter


def test_a_new_ring_has_its_shape_and_is_empty(folders):
    segment = create_ring(segment_name("lab", "tap"), RingKind.TAP, 3, 44100.5, 1000)
    assert (folders.shm / segment.name).stat().st_size == ring_bytes(3, 1000) == 65536 + 12000
    assert read_shape(segment) == (RingKind.TAP, 3, 44100.5, 1000)
    with RingReader(segment.name) as reader:
        assert (reader.channels, reader.samplerate, reader.capacity) == (3, 44100.5, 1000)
        assert (reader.position, reader.fill, reader.writer_position) == (0, 0, 0)
        assert (reader.generation, reader.writer_pid, reader.closed, reader.stamp) == (0, 0, False, None)
        assert reader.read(1) is None
        assert reader.read_chunk(1) is None
        assert "3 channels, 44100.5 Hz, 1000 frames" in repr(reader)
    segment.unlink()


@pytest.mark.parametrize(
    ("channels", "samplerate", "capacity", "says"),
    [
        (0, 48000, 10, "0 channels; use 1 to 1024"),
        (1025, 48000, 10, "1025 channels"),
        (1, 0, 10, "samplerate 0 Hz"),
        (1, math.nan, 10, "samplerate nan Hz"),
        (1, 48000, 0, "capacity of 0 frames"),
    ],
)
def test_shapes_that_are_refused(channels, samplerate, capacity, says):
    with pytest.raises(RingError, match=says) as caught:
        create_ring(segment_name("lab", "tap"), RingKind.TAP, channels, samplerate, capacity)
    assert caught.value.code == "ring_shape"
    assert list_segments() == []


def test_an_unknown_kind_leaves_nothing():
    with pytest.raises(ValueError, match="7 is not a valid RingKind"):
        create_ring(segment_name("lab", "tap"), 7, 1, 48000, 10)
    assert list_segments() == []


def test_a_failure_after_the_file_was_made_removes_it(monkeypatch):
    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "format_header", fail)
    with pytest.raises(KeyboardInterrupt):
        create_ring(segment_name("lab", "tap"), RingKind.TAP, 1, 48000, 10)
    assert list_segments() == []


@pytest.mark.parametrize(
    ("word", "value", "says"),
    [
        (WORD_MAGIC, 0, "is not a ring"),
        (WORD_VERSION, 99, "has layout 99, this library reads 1"),
        (WORD_KIND, 5, "unknown kind 5"),
    ],
)
def test_another_layout_is_refused(make_ring, word, value, says):
    name = make_ring()
    segment = Segment.attach(name)
    with header_words(segment) as words:
        words[word] = value
    for end in (RingReader, RingWriter, FeedReader, FeedWriter):
        with pytest.raises(RingError, match=says) as caught:
            end(name)
        assert caught.value.code == "ring_layout"
    segment.close()


@pytest.mark.parametrize("size", [HEADER_BYTES - 8, HEADER_BYTES + 100])
def test_a_ring_that_was_cut_short_is_refused(make_ring, folders, size):
    name = make_ring(capacity=64)
    with (folders.shm / name).open("r+b") as file:
        file.truncate(size)
    with pytest.raises(RingError, match=f"{size} bytes") as caught:
        RingReader(name)
    assert caught.value.code == "ring_layout"


def test_taps_and_feeds_are_not_mistaken_for_each_other(make_ring):
    tap, feed = make_ring(), make_ring(kind=RingKind.FEED)
    for end, name in ((RingReader, feed), (RingWriter, feed), (FeedReader, tap), (FeedWriter, tap)):
        with pytest.raises(RingError, match=r"is a (tap|feed), not a (feed|tap)") as caught:
            end(name)
        assert caught.value.code == "ring_layout"


def test_close_ring_stands_in_for_a_dead_writer(make_ring):
    name = make_ring()
    with RingReader(name) as reader:
        assert not reader.closed
        assert close_ring(name)
        assert reader.closed
    assert not close_ring(segment_name("test", "none"))


def test_close_ring_touches_nothing_but_rings(folders):
    segment = Segment.create(segment_name("lab", "status"), HEADER_BYTES)
    with pytest.raises(RingError) as caught:
        close_ring(segment.name)
    assert caught.value.code == "ring_layout"
    assert not any(segment.buffer[:])
    segment.unlink()
