from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.reader import Gap, RingReader, Stamp
from asmu_engine.shm.ring import (
    GAP_SLOTS,
    WORD_FIRST_POSITION,
    WORD_GAP_BEGIN,
    WORD_GAP_COUNT,
    WORD_GAPS,
    WORD_PUBLISHED_NS,
    WORD_STAMP_SEQUENCE,
    WORD_WRITE_BEGIN,
    WORD_WRITE_END,
)
from asmu_engine.shm.writer import RingWriter


class Journal:
    """Stands in for header words, data and fence of a writer, and notes the order of what happens to them."""

    def __init__(self, writer: RingWriter) -> None:
        self.steps: list[object] = []
        self._words, self._data = writer._words, writer._data
        writer._words, writer._data, writer._fence = self.words, self.data, self

    @property
    def words(self):
        return Spy(self._words, self.steps, "word")

    @property
    def data(self):
        return Spy(self._data, self.steps, "data")

    def release(self) -> None:
        pass

    def acquire(self) -> None:
        self.steps.append("fence")

    def __call__(self) -> None:
        self.acquire()


class Spy:
    def __init__(self, target, steps, label) -> None:
        self.target, self.steps, self.label = target, steps, label

    def __getitem__(self, key):
        return self.target[key]

    def __setitem__(self, key, value) -> None:
        self.steps.append((self.label, key) if self.label == "word" else self.label)
        self.target[key] = value

    def release(self) -> None:
        self.target.release()


def test_data_is_written_between_the_two_publications(make_ring, ramp):
    """The order that asmu_engine.shm.ring states, fences included."""
    with RingWriter(make_ring(capacity=64)) as writer:
        writer.write(ramp(0, 40))
        journal = Journal(writer)
        writer.write(ramp(60, 40), 60, monotonic_ns=5, utc_ns=6, cause=7)
    steps = journal.steps
    first, second = (index for index in (steps.index("fence"), len(steps) - 1 - steps[::-1].index("fence")))
    last = max(i for i, step in enumerate(steps) if step == ("word", WORD_WRITE_END))
    data = [i for i, step in enumerate(steps) if step == "data"]
    gap = [steps.index(("word", word)) for word in (WORD_GAP_BEGIN, WORD_GAPS, WORD_GAP_COUNT)]
    assert steps.index(("word", WORD_WRITE_BEGIN)) < first
    assert len(data) == 2
    assert all(first < i < last for i in data)
    assert gap == sorted(gap)
    assert first < gap[0]
    assert all("fence" in steps[a:b] for a, b in zip(gap, [*gap[1:], last], strict=True))
    assert "fence" in steps[data[-1] : last]
    assert steps.count(("word", WORD_WRITE_END)) == 1
    stamps = [i for i, step in enumerate(steps) if step == ("word", WORD_STAMP_SEQUENCE)]
    assert stamps[0] < first
    assert stamps[1] > second or second > last


def test_blocks_land_at_their_position_and_wrap(make_ring, ramp):
    with RingWriter(make_ring(capacity=10)) as writer, RingReader(writer.name, "oldest") as reader:
        writer.write(ramp(0, 7))
        writer.write(ramp(7, 6))
        assert writer.position == reader.writer_position == 13
        expected = ramp(3, 10)
        assert np.array_equal(np.roll(reader._data, -3, axis=0), expected)


def test_the_first_write_may_begin_anywhere(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(4096, 8), 4096)
        assert reader.gaps() == []
        assert reader.position == 4096
        block = reader.read(8)
        assert (block.position, block.lost, block.skipped) == (4096, 0, 0)
        assert np.array_equal(block.data, ramp(4096, 8))


def test_a_later_position_leaves_a_gap_with_its_cause(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8))
        writer.write(ramp(11, 8), 11, cause=4)
        writer.write(ramp(19, 8), 19, cause=4)
        assert reader.gaps() == [Gap(8, 3, 4)]
        assert reader.gaps()[0].end == 11


def test_an_empty_block_does_nothing(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 0), 77)
        assert (writer.position, reader.writer_position) == (0, 0)


@pytest.mark.parametrize("shape", [(8, 3), (8, 1), (65, 2)])
def test_blocks_that_do_not_fit_change_nothing(make_ring, ramp, shape):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8))
        with pytest.raises(RingError, match=r"2 channels and at most 64 frames") as caught:
            writer.write(np.zeros(shape, np.float32))
        assert caught.value.code == "ring_shape"
        assert reader.writer_position == 8
        reader.seek(0)
        assert np.array_equal(reader.read(8).data, ramp(0, 8))


def test_a_position_that_was_written_is_refused(make_ring, ramp):
    with RingWriter(make_ring()) as writer:
        writer.write(ramp(0, 8))
        before = bytes(writer._words)
        with pytest.raises(RingError, match="frame 7 has been written, the next is 8") as caught:
            writer.write(ramp(7, 8), 7)
        assert caught.value.code == "ring_position"
        assert bytes(writer._words) == before


def test_stamps_belong_to_the_first_frame_of_a_block(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8))
        assert reader.stamp is None
        writer.write(ramp(8, 8), monotonic_ns=1_000_000, utc_ns=5_000_000)
        assert reader.stamp == Stamp(8, 1_000_000, 5_000_000)
        writer.write(ramp(16, 8))
        assert reader.stamp == Stamp(8, 1_000_000, 5_000_000)


def test_closing_tells_the_readers_and_a_new_writer_reopens(make_ring, ramp):
    with RingReader(make_ring()) as reader:
        writer = RingWriter(reader.name)
        assert (reader.generation, reader.writer_pid) == (1, os.getpid())
        writer.write(ramp(0, 8))
        writer.close(final=False)
        assert not reader.closed
        writer = RingWriter(reader.name)
        assert (reader.generation, writer.position) == (2, 8)
        writer.close()
        writer.close()
        assert reader.closed
        with RingWriter(reader.name) as writer:
            assert (reader.closed, reader.generation) == (False, 3)
            writer.write(ramp(20, 8), 20)
        assert reader.gaps() == [Gap(8, 12, 0)]


def test_a_closed_writer_says_so(make_ring, ramp):
    writer = RingWriter(make_ring())
    writer.close()
    with pytest.raises(RingError, match="has been closed") as caught:
        writer.write(ramp(0, 8))
    assert caught.value.code == "ring_closed"


def test_removing_the_ring_closes_it_for_readers(make_ring, folders):
    with RingReader(make_ring()) as reader:
        (folders.shm / reader.name).unlink()
        assert reader.closed
        assert not reader.marked_closed


class Killed(Exception):
    """The writing process dies here."""


class DyingWords:
    """Header words whose n-th store never happens."""

    def __init__(self, words, stores: int) -> None:
        self.words, self.stores = words, stores

    def __getitem__(self, key):
        return self.words[key]

    def __setitem__(self, key, value) -> None:
        if self.stores == 0:
            raise Killed
        self.stores -= 1
        self.words[key] = value


@pytest.mark.parametrize("first", [True, False])
def test_a_writer_that_died_anywhere_in_a_write_is_taken_over(make_ring, ramp, first):
    """Whatever the step: the published frames stay whole or are known as overwritten, the axis and the gaps are right."""
    steps = 0
    while True:
        name = make_ring(capacity=16)
        writer = RingWriter(name)
        begin = 0
        if not first:
            for position in (0, 5):
                writer.write(ramp(position, 5), position, 1000, 1000)
            writer.write(ramp(12, 4), 12, 1000, 1000)
            begin = 16
        writer._words = DyingWords(writer._words, steps)
        try:
            writer.write(ramp(begin + 3, 8), begin + 3, 2000, 2000, cause=9)
        except Killed:
            died = True
        else:
            died = False
        published = writer._words.words[WORD_WRITE_END]
        with RingReader(name, "oldest") as reader:
            assert reader.stamp in (None, Stamp(12, 1000, 1000), Stamp(begin + 3, 2000, 2000))
        successor = RingWriter(name)
        assert successor.position == published
        assert successor._words[WORD_STAMP_SEQUENCE] % 2 == 0
        with RingReader(name, "oldest") as reader:
            reader._begin()
            oldest = reader.position
            successor.write(ramp(30, 2), 30)
            delivered = set() if first else {*range(10), *range(12, 16)}
            delivered |= {*range(begin + 3, begin + 11)} if published == begin + 11 else set()
            delivered |= {30, 31}
            seen = set()
            while (chunk := reader.read_chunk(100)) is not None:
                seen |= set(range(chunk.position, chunk.position + len(chunk)))
                assert np.array_equal(chunk.data, ramp(chunk.position, len(chunk)))
            start = reader.position - reader.total_skipped - reader.total_lost - len(seen)
            held = {p for p in delivered if p >= max(32 - 16, start)}
            assert seen == held
            assert start in (oldest, min(delivered))
        writer._words = writer._words.words
        writer.close()
        successor.close()
        if not died:
            break
        steps += 1
    assert steps >= 9


def test_write_begin_never_falls(make_ring, ramp):
    writer = RingWriter(make_ring(capacity=16))
    writer.write(ramp(0, 16))
    writer._words[WORD_WRITE_BEGIN] = 24  # a write of 8 frames died half way
    with RingWriter(writer.name) as successor, RingReader(writer.name, "oldest") as reader:
        successor.write(ramp(16, 2))
        assert reader.read_chunk(100).position == 8
    writer.close()


def test_a_first_write_that_died_leaves_an_empty_ring(make_ring, ramp):
    writer = RingWriter(make_ring())
    writer._words[WORD_FIRST_POSITION] = 100
    with RingWriter(writer.name) as successor, RingReader(writer.name, "oldest") as reader:
        successor.write(ramp(40, 4), 40)
        assert reader.read_chunk(10).position == 40
    writer.close()


def test_writing_allocates_no_data(make_ring):
    block = np.zeros((256, 64), np.float32)
    with RingWriter(make_ring(capacity=1000, channels=64)) as writer:
        writer.write(block)
        tracemalloc.start()
        try:
            for _ in range(100):
                writer.write(block, writer.position, 1, 1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4096


def test_room_is_all_without_paced_readers(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer:
        writer.write(ramp(0, 64))
        assert (writer.room(), writer.slowest_paced()) == (64, None)


def test_every_write_is_dated(make_ring, ramp, monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: 12345)
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        assert reader.latest_write == (0, 0, 0)
        writer.write(ramp(0, 8))
        assert reader.latest_write == (8, 8, 12345)
        assert writer._words[WORD_PUBLISHED_NS] == 12345


def test_the_table_of_gaps_holds_its_number(make_ring, ramp):
    with RingWriter(make_ring(capacity=8192)) as writer, RingReader(writer.name) as reader:
        for index in range(GAP_SLOTS + 11):
            writer.write(ramp(3 * index, 2), 3 * index)
        gaps = reader.gaps()
        assert len(gaps) == GAP_SLOTS
        assert gaps[-1] == Gap(3 * (GAP_SLOTS + 9) + 2, 1, 0)
