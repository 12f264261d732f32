from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.create import RingKind, close_ring
from asmu_engine.shm.feed import FeedReader, FeedWriter


@pytest.fixture
def feed(make_ring):
    name = make_ring(capacity=16, kind=RingKind.FEED)
    with FeedWriter(name) as writer, FeedReader(name) as reader:
        yield writer, reader


def take(reader: FeedReader, frames: int) -> np.ndarray:
    out = np.full((frames, reader.channels), np.nan, np.float32)
    got = reader.read_into(out)
    assert not out[got:].any()
    return out[:got]


def test_frames_arrive_in_order_over_the_edge(feed, ramp):
    writer, reader = feed
    sent = received = 0
    for _ in range(50):
        sent += writer.write(ramp(sent, 7))
        out = take(reader, 5)
        assert np.array_equal(out, ramp(received, len(out)))
        received += len(out)
        assert (writer.position, reader.position, writer.consumed) == (sent, received, received)
        assert reader.fill == sent - received == 16 - writer.space
    assert writer.underflow == reader.underflow == 0


def test_the_writer_never_overtakes(feed, ramp):
    writer, reader = feed
    assert writer.space == 16
    assert writer.write(ramp(0, 20)) == 16
    assert writer.write(ramp(16, 4)) == 0
    take(reader, 3)
    assert writer.space == 3
    assert writer.write(ramp(16, 4)) == 3
    assert np.array_equal(take(reader, 16), ramp(3, 16))


def test_what_is_missing_is_zeros_and_counted(feed, ramp):
    writer, reader = feed
    assert len(take(reader, 4)) == 0
    writer.write(ramp(0, 6))
    assert len(take(reader, 10)) == 6
    assert reader.underflow == writer.underflow == 8
    writer.write(ramp(6, 4))
    assert np.array_equal(take(reader, 4), ramp(6, 4))


def test_the_end_is_no_underflow(feed, ramp):
    writer, reader = feed
    writer.write(ramp(0, 6))
    assert not reader.primed(7)
    assert reader.primed(6)
    writer.finish()
    assert reader.primed(7)
    assert not reader.finished
    take(reader, 4)
    assert not reader.finished
    assert np.array_equal(take(reader, 4), ramp(4, 2))
    assert reader.finished
    assert len(take(reader, 4)) == 0
    assert reader.underflow == 0


def test_the_last_rows_come_with_the_end(feed, ramp):
    writer, reader = feed
    assert writer.write(ramp(0, 20), last=True) == 16
    assert not reader.primed(17)  # four rows are yet to come
    take(reader, 16)
    assert not reader.finished
    assert writer.write(ramp(16, 4), last=True) == 4
    assert reader.primed(17)
    assert not reader.finished
    assert np.array_equal(take(reader, 8), ramp(16, 4))
    assert reader.finished
    assert reader.underflow == 0
    writer.write(ramp(20, 2))  # more after all
    assert not reader.primed(3)
    assert not reader.finished


def test_the_end_is_known_before_its_rows_are_there(feed, ramp, monkeypatch):
    writer, reader = feed
    seen = []
    publish = writer._ring.write

    def looked_at(rows):
        seen.append((reader.primed(9), reader.finished))
        publish(rows)
        seen.append((reader.primed(9), reader.finished))

    monkeypatch.setattr(writer._ring, "write", looked_at)
    writer.write(ramp(0, 4), last=True)
    assert seen == [(False, False), (True, False)]


@pytest.mark.parametrize("rows", [0, 6])
def test_a_jump_to_the_last_rows_is_never_without_an_end(feed, ramp, rows):
    writer, reader = feed
    writer.write(ramp(0, 8))
    take(reader, 4)
    writer.write(ramp(8, rows), last=True)
    assert writer.jump(8, last=True) == 8
    assert reader.primed(9)
    assert np.array_equal(take(reader, 9), ramp(8, rows))
    assert reader.finished
    assert reader.underflow == 0


def test_a_jump_drops_what_was_not_played(feed, ramp):
    writer, reader = feed
    writer.write(ramp(0, 16))
    writer.finish()
    take(reader, 4)
    assert writer.jump() == 16
    assert writer.space == 4  # until the reader has seen it
    assert (reader.primed(1), reader.fill, writer.space) == (False, 0, 16)
    writer.write(ramp(100, 8))
    assert np.array_equal(take(reader, 8), ramp(100, 8))
    assert not reader.finished
    assert reader.underflow == 0


def test_a_jump_is_seen_by_the_read_itself(feed, ramp):
    writer, reader = feed
    writer.write(ramp(0, 10))
    writer.jump()
    writer.write(ramp(50, 6))
    assert np.array_equal(take(reader, 6), ramp(50, 6))
    assert (reader.position, writer.consumed) == (16, 16)


def test_both_ends_can_be_taken_over(feed, ramp):
    writer, reader = feed
    writer.write(ramp(0, 10))
    take(reader, 4)
    take(reader, 8)
    with FeedWriter(writer.name) as second, FeedReader(writer.name) as other:
        assert (second.position, other.position, other.underflow) == (10, 10, 2)
        second.write(ramp(10, 3))
        assert np.array_equal(take(other, 3), ramp(10, 3))
        assert other.generation == 2
    assert not reader.closed


def test_waiting_for_space(feed, ramp, monkeypatch):
    writer, reader = feed
    writer.write(ramp(0, 16))
    assert not writer.wait(1, timeout=0)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        take(reader, 2)

    monkeypatch.setattr("asmu_engine.shm.feed.time.sleep", sleep)
    assert writer.wait(5)
    assert len(pauses) == 3
    assert max(pauses) <= 0.01
    assert writer.wait(1000, timeout=5)  # no more than the feed holds
    assert writer.space == 16


def test_waiting_for_space_ends_with_the_engine(feed, ramp):
    writer, _ = feed
    writer.write(ramp(0, 16))
    close_ring(writer.name)
    assert writer.closed
    assert not writer.wait(1)


def test_blocks_of_other_channels_are_refused(feed):
    writer, reader = feed
    for channels in (1, 3):
        with pytest.raises(RingError, match="2 channels") as caught:
            writer.write(np.zeros((4, channels), np.float32))
        assert caught.value.code == "ring_shape"
        with pytest.raises(RingError, match="2 channels") as caught:
            reader.read_into(np.zeros((4, channels), np.float32))
        assert caught.value.code == "ring_shape"


def test_reading_allocates_no_data(make_ring):
    name = make_ring(capacity=1000, channels=64, kind=RingKind.FEED)
    out = np.empty((256, 64), np.float32)
    with FeedWriter(name) as writer, FeedReader(name) as reader:
        writer.write(np.ones((900, 64), np.float32))
        tracemalloc.start()
        try:
            for _ in range(10):
                reader.read_into(out)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4096


def loop_rows(reader: FeedReader, *blocks: int) -> list[int]:
    """In which position of the feed a loop begins anew, as each block of so many frames is read."""
    found = []
    for frames in blocks:
        got = len(take(reader, frames))
        row = reader.loop_row(got)
        if row >= 0:
            found.append(reader.position - got + row)
    return found


def test_the_engine_sees_where_a_loop_begins_anew(feed, ramp):
    writer, reader = feed
    assert loop_rows(reader, 4) == []
    writer.loop(0, 5)
    writer.write(ramp(0, 16))
    assert loop_rows(reader, 5) == []  # its first frame is no beginning anew
    assert loop_rows(reader, 1, 3, 1, 1, 4) == [5, 10]
    assert loop_rows(reader, 1) == [15]
    assert loop_rows(reader, 4) == []  # there was nothing to read


def test_a_loop_that_began_in_its_middle_or_is_shorter_than_a_block(feed, ramp):
    writer, reader = feed
    writer.loop(-3, 5)
    writer.write(ramp(0, 12))
    assert loop_rows(reader, 2, 1, 9) == [2, 7]
    writer.loop(12, 1)
    writer.write(ramp(12, 8))
    assert loop_rows(reader, 4, 4) == [13, 16]  # of several in a block the first


def test_a_loop_ends_with_its_writer(feed, ramp):
    writer, reader = feed
    writer.loop(0, 2)
    with FeedWriter(writer.name) as other:
        other.write(ramp(0, 8))
        assert loop_rows(reader, 8) == []
