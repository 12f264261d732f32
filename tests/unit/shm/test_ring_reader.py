from __future__ import annotations

import pickle
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm import cursor
from asmu_engine.shm.fence import Fence
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.ring import GAP_SLOTS, WORD_STAMP_SEQUENCE
from asmu_engine.shm.writer import RingWriter


def test_blocks_are_what_was_written(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        for index in range(100):
            writer.write(ramp(7 * index, 7))
            while (block := reader.read(5, copy=index % 2 == 0)) is not None:
                assert np.array_equal(block.data, ramp(block.position, 5))
                assert (block.lost, block.skipped, len(block)) == (0, 0, 5)
                assert block.intact()
        assert reader.position == 700


def test_a_block_that_is_not_all_there_is_none(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 7))
        assert reader.read(8) is None
        assert (reader.position, reader.fill) == (0, 7)
        writer.write(ramp(7, 1))
        assert np.array_equal(reader.read(8).data, ramp(0, 8))


def test_a_view_is_read_only_and_shares_the_ring(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 64))
        view, copy = reader.read(8), reader.read(8, copy=True)
        assert view.data.base is not None
        assert not view.data.flags.writeable
        assert copy.data.flags.owndata
        writer.write(ramp(64, 4))
        assert not view.intact()
        assert copy.intact()
        assert np.array_equal(view.data[:4], ramp(64, 4))
        assert np.array_equal(copy.data, ramp(8, 8))


def test_a_block_over_the_edge_of_the_ring_is_a_copy(make_ring, ramp):
    with RingWriter(make_ring(capacity=10)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8))
        reader.read(8)
        writer.write(ramp(8, 8))
        block = reader.read(8)
        assert np.array_equal(block.data, ramp(8, 8))
        writer.write(ramp(16, 8))
        assert block.intact()


def test_lost_frames_are_zeros_in_their_place(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(1, 9), 1)
        writer.write(ramp(13, 7), 13)
        writer.write(ramp(21, 9), 21)
        assert reader.position == 1
        assert not reader.read(4).lost
        block = reader.read(20)
        expected = ramp(5, 20)
        expected[[5, 6, 7, 15]] = 0
        assert (block.position, block.lost, block.skipped) == (5, 4, 0)
        assert np.array_equal(block.data, expected)
        assert np.array_equal(reader.read(5).data, ramp(25, 5))
        assert (reader.total_lost, reader.total_skipped) == (4, 0)


def test_a_gap_longer_than_the_blocks(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 4))
        writer.write(ramp(30, 2), 30)
        assert [(b.position, b.lost, bool(b.data.any())) for b in iter(lambda: reader.read(8), None)] == [
            (0, 4, True),
            (8, 8, False),
            (16, 8, False),
            (24, 6, True),
        ]


def test_chunks_pass_over_gaps(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        writer.write(ramp(13, 10), 13)
        chunks = [reader.read_chunk(6) for _ in range(4)]
        assert [(c.position, len(c), c.lost) for c in chunks] == [(0, 6, 0), (6, 4, 0), (13, 6, 3), (19, 4, 0)]
        assert all(np.array_equal(c.data, ramp(c.position, len(c))) for c in chunks)
        assert reader.read_chunk(6) is None
        assert reader.total_lost == 3


@pytest.mark.parametrize(("copy", "lengths"), [(True, [8, 8]), (False, [8, 2, 6])])
def test_chunks_are_views_only_up_to_the_edge(make_ring, ramp, copy, lengths):
    with RingWriter(make_ring(capacity=10)) as writer, RingReader(writer.name) as reader:
        chunks = []
        for position in (0, 8):
            writer.write(ramp(position, 8))
            while (chunk := reader.read_chunk(100, copy=copy)) is not None:
                assert np.array_equal(chunk.data, ramp(chunk.position, len(chunk)))
                chunks.append(chunk)
        assert [len(chunk) for chunk in chunks] == lengths
        writer.write(ramp(16, 8))
        assert all(chunk.intact() is copy for chunk in chunks)


def test_a_reader_that_was_overtaken_goes_on_whole_blocks_later(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        for position in range(0, 150, 10):
            writer.write(ramp(position, 10))
        assert reader.fill == 150
        block = reader.read(12)  # the oldest whole frame is 86, the next multiple of 12 is 96
        assert (block.position, block.skipped, block.lost) == (96, 96, 0)
        assert np.array_equal(block.data, ramp(96, 12))
        assert reader.read(12).skipped == 0
        assert reader.total_skipped == 96


def test_a_chunk_reader_that_was_overtaken_misses_only_what_is_gone(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        for position in range(0, 150, 10):
            writer.write(ramp(position, 10))
        chunk = reader.read_chunk(100)
        assert (chunk.position, chunk.skipped, len(chunk)) == (86, 86, 64)


class Interloper(Fence):
    """A reader's fence at whose n-th use somebody else acts: after the data was copied, before it is checked."""

    def __init__(self, uses: int, act: Callable[[], None]) -> None:
        super().__init__()
        self.uses, self.act = uses, act
        self.really_release, self.release = self.release, self.interrupted

    def interrupted(self) -> None:
        self.uses -= 1
        if self.uses == 0:
            self.act()
        self.really_release()


def test_what_is_overwritten_while_it_is_copied_is_not_handed_out(make_ring, ramp):
    with RingWriter(make_ring(capacity=16)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 16))
        reader._fence = Interloper(2, lambda: writer.write(ramp(16, 6)))
        block = reader.read(4, copy=True)
        assert (block.position, block.skipped) == (8, 8)
        assert np.array_equal(block.data, ramp(8, 4))


def test_an_overtaken_reader_may_go_on_in_a_gap_that_it_has_looked_at(make_ring, ramp):
    with RingWriter(make_ring(capacity=16)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 2))
        writer.write(ramp(12, 2), 12)
        reader.read_chunk(2)
        # Frames before 8 are gone then, and 2 to 12 were lost.
        reader._fence = Interloper(2, lambda: writer.write(ramp(14, 10)))
        chunk = reader.read_chunk(100)
        assert (chunk.position, chunk.lost, chunk.skipped, len(chunk)) == (12, 4, 6, 12)
        assert np.array_equal(chunk.data, ramp(12, 12))


def test_a_skip_beyond_what_is_there_waits_and_is_told_with_the_next_block(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 64))
        writer.write(ramp(64, 3))
        assert reader.read(60) is None
        assert (reader.position, reader.total_skipped, reader.fill) == (60, 60, 7)
        writer.write(ramp(67, 53))
        block = reader.read(60)
        assert (block.position, block.skipped) == (60, 60)


def test_a_gap_longer_than_the_ring(make_ring, ramp):
    with RingWriter(make_ring(capacity=16)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8))
        writer.write(ramp(1000, 4), 1000)
        chunk = reader.read_chunk(100)
        assert (chunk.position, chunk.lost, chunk.skipped) == (1000, 12, 988)


@pytest.mark.parametrize(("start", "position"), [("newest", 150), ("oldest", 86), ("first", 0), (120, 120), (86, 86)])
def test_starts(make_ring, ramp, start, position):
    with RingWriter(make_ring(capacity=64)) as writer:
        for begin in range(0, 150, 10):
            writer.write(ramp(begin, 10))
        with RingReader(writer.name, start) as reader:
            assert reader.position == position
            writer.write(ramp(150, 10))
            assert reader.fill == 160 - position


def test_a_start_in_the_future_waits_for_it(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name, 12) as reader:
        writer.write(ramp(0, 10))
        assert reader.fill == -2
        assert reader.read(2) is None
        assert reader.read_chunk(2) is None
        writer.write(ramp(10, 10))
        assert np.array_equal(reader.read(2).data, ramp(12, 2))


def test_a_start_before_the_first_frame_counts_as_skipped(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name, 5) as reader:
        writer.write(ramp(100, 10), 100)
        chunk = reader.read_chunk(100)
        assert (chunk.position, chunk.lost, chunk.skipped) == (100, 0, 95)


@pytest.mark.parametrize("start", ["newest", "oldest", "first"])
def test_a_reader_of_an_empty_ring_begins_with_its_first_frame(make_ring, ramp, start):
    with RingWriter(make_ring()) as writer, RingReader(writer.name, start) as reader:
        assert reader.position == 0
        writer.write(ramp(500, 10), 500)
        chunk = reader.read_chunk(100)
        assert (chunk.position, chunk.lost, chunk.skipped) == (500, 0, 0)


def test_seeking_back_sees_the_gaps_again(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        writer.write(ramp(12, 10), 12)
        assert reader.read(20).lost == 2
        reader.seek(5)
        assert reader.read(10).lost == 2
        reader.seek("oldest")
        assert reader.position == 0
        reader.seek("newest")
        assert reader.position == 22
        with pytest.raises(RingError, match="start 'middle'; use newest, oldest, first or a frame position") as caught:
            reader.seek("middle")
        assert caught.value.code == "ring_position"


def test_more_gaps_than_the_table_holds(make_ring, ramp):
    """Where gaps are forgotten, lost frames cannot be told from others: they count as skipped, none as delivered."""
    with RingWriter(make_ring(capacity=8192)) as writer, RingReader(writer.name, 0) as reader:
        count = GAP_SLOTS + 100
        for index in range(count):
            writer.write(ramp(3 * index, 2), 3 * index)
        chunks = list(iter(lambda: reader.read_chunk(100), None))
        assert all(np.array_equal(c.data, ramp(c.position, len(c))) for c in chunks)
        # 1123 gaps were written, so the oldest known is number 99, at frame 3 * 99 + 2.
        assert reader.total_skipped == chunks[0].skipped == 299
        assert reader.total_lost == GAP_SLOTS
        assert sum(map(len, chunks)) + reader.total_lost + reader.total_skipped == writer.position
        reader.seek(0)
        block = reader.read(100)
        assert (block.position, block.skipped, block.lost) == (300, 300, 33)


def test_times_follow_from_the_stamp(make_ring, ramp):
    with RingWriter(make_ring(samplerate=48000)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 24))
        block = reader.read(24)
        assert (block.stamp, block.monotonic_ns, block.utc_ns) == (None, 0, 0)
        writer.write(ramp(24, 24), monotonic_ns=10_000_000, utc_ns=70_000_000)
        block = reader.read(12)
        assert (block.monotonic_ns, block.utc_ns) == (10_000_000, 70_000_000)
        block = reader.read(12)
        assert (block.monotonic_ns, block.utc_ns) == (10_250_000, 70_250_000)
        reader.seek(0)
        assert reader.read(12).monotonic_ns == 9_500_000
        writer.write(ramp(48, 12), monotonic_ns=11_000_000)
        assert reader.read(12).utc_ns == 0


def test_the_first_stamp_is_waited_for_where_it_is_being_written(make_ring, ramp, monkeypatch):
    """Its writer lost its processor in the middle of the second block."""
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10), monotonic_ns=5, utc_ns=6)
        writer._words[WORD_STAMP_SEQUENCE] += 1
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            writer._words[WORD_STAMP_SEQUENCE] += len(pauses) == 5

        monkeypatch.setattr(cursor, "time", SimpleNamespace(sleep=pause))
        stamp = reader.stamp
        assert stamp is not None
        assert stamp.utc_ns == 6
        assert len(pauses) == 5


def test_a_stamp_that_is_being_written_is_not_read(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8), monotonic_ns=1000, utc_ns=2000)
        stamp = reader.stamp
        writer._words[WORD_STAMP_SEQUENCE] += 1
        assert reader.stamp is stamp
        with RingReader(writer.name) as other:
            assert other.stamp is None


@pytest.mark.parametrize("frames", [0, -1, 65])
def test_sizes_that_are_refused(make_ring, frames):
    with RingReader(make_ring(capacity=64)) as reader:
        with pytest.raises(RingError, match=f"holds 64 frames; {frames} were asked") as caught:
            reader.read(frames)
        assert caught.value.code == "ring_shape"
        if frames < 1:
            with pytest.raises(RingError):
                reader.read_chunk(frames)


def test_a_closed_reader_says_so_and_its_arrays_live_on(make_ring, ramp):
    with RingWriter(make_ring()) as writer:
        reader = RingReader(writer.name)
        writer.write(ramp(0, 8))
        view = reader.read(8).data
        reader.close()
        reader.close()
        assert np.array_equal(view, ramp(0, 8))
        for use in (lambda: reader.read(8), lambda: reader.read_chunk(8), lambda: reader.fill, lambda: reader.wait(1)):
            with pytest.raises(RingError, match="has been closed") as caught:
                use()
            assert caught.value.code == "ring_closed"


def test_a_handle_and_a_pickle_attach_at_the_same_position(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        with RingReader.from_handle(reader.handle) as early:
            writer.write(ramp(40, 20), 40)
            assert early.position == 40
        reader.read(8)
        assert reader.handle == f"{writer.name}@48"
        for other in (RingReader.from_handle(reader.handle), pickle.loads(pickle.dumps(reader))):
            with other:
                assert other.position == 48
                assert np.array_equal(other.read(8).data, ramp(48, 8))
        assert reader.position == 48


@pytest.mark.parametrize("text", ["", "asmu", "@5", "asmu.0.lab.tap@x", "asmu.0.lab.tap@-5", "asmu.0.lab.tap@"])
def test_texts_that_are_no_handles(text):
    with pytest.raises(RingError, match="NAME@POSITION") as caught:
        RingReader.from_handle(text)
    assert caught.value.code == "ring_unknown"


def test_the_handle_of_a_ring_that_is_gone():
    with pytest.raises(RingError, match="no segment") as caught:
        RingReader.from_handle("asmu.0.lab.tap@5")
    assert caught.value.code == "ring_unknown"
