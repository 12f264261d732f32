"""Rings and feeds against models that are too simple to be wrong."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.feed import FeedReader, FeedWriter
from asmu_engine.shm.reader import RingBlock, RingReader
from asmu_engine.shm.ring import GAP_SLOTS
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.writer import RingWriter

NAME = segment_name("test", "property")
SETTINGS = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def samples(positions: list[int]) -> np.ndarray:
    """Two channels that say which frame they belong to, never zero."""
    column = np.asarray(positions, np.float32).reshape(-1, 1) + 1
    return np.hstack([column, -column])


class Model:
    """What a ring promises one reader: a set of delivered positions, and where the reader is."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.delivered: set[int] = set()
        self.at: int | None = None
        self.end = 0
        self.first = 0
        self.skipped = 0

    def write(self, position: int, frames: int) -> None:
        """Frames are delivered; those before are lost."""
        if self.at is None:
            self.at = self.first = position
        self.delivered.update(range(position, position + frames))
        self.end = position + frames

    @property
    def oldest(self) -> int:
        """The oldest position that was not overwritten."""
        return max(self.first, self.end - self.capacity)

    def read(self, frames: int) -> tuple[int, list[float], int, int] | None:
        """Position, first column, lost and skipped of the next block of `read`."""
        if self.at is None or self.end < self.at + frames:
            return None
        while self.at < self.oldest:
            self.at += frames
            self.skipped += frames
        if self.end < self.at + frames:
            return None
        column = [p + 1.0 if p in self.delivered else 0.0 for p in range(self.at, self.at + frames)]
        return self._hand_out(self.at, column, column.count(0.0))

    def chunk(self, most: int, copy: bool) -> tuple[int, list[float], int, int] | None:
        """Position, first column, lost and skipped of the next block of `read_chunk`."""
        if self.at is None or self.end <= self.at:
            return None
        resumed = max(self.at, self.oldest)
        self.skipped += resumed - self.at
        begin = resumed
        while begin not in self.delivered:
            begin += 1
        edge = begin + most if copy else min(begin + most, begin + self.capacity - begin % self.capacity)
        stop = begin
        while stop in self.delivered and stop < edge:
            stop += 1
        return self._hand_out(begin, [p + 1.0 for p in range(begin, stop)], begin - resumed)

    def _hand_out(self, begin: int, column: list[float], lost: int) -> tuple[int, list[float], int, int]:
        skipped, self.skipped = self.skipped, 0
        self.at = begin + len(column)
        return begin, column, lost, skipped


def seen(block: RingBlock | None) -> tuple[int, list[float], int, int] | None:
    """A block as the model puts it."""
    if block is None:
        return None
    assert block.intact()
    assert np.array_equal(block.data[:, 0], -block.data[:, 1])
    return block.position, block.data[:, 0].tolist(), block.lost, block.skipped


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 24), st.one_of(st.just(0), st.just(0), st.integers(0, 40))),
        st.tuples(st.just("read"), st.integers(1, 24), st.booleans()),
        st.tuples(st.just("chunk"), st.integers(1, 40), st.booleans()),
        st.tuples(st.just("restart"), st.booleans(), st.just(0)),
    ),
    max_size=60,
)


@SETTINGS
@given(capacity=st.integers(24, 64), first=st.integers(0, 100), operations=OPERATIONS)
def test_a_reader_gets_exactly_what_was_delivered_or_is_told(capacity, first, operations):
    segment = create_ring(NAME, RingKind.TAP, 2, 48000, capacity)
    writer, reader, model = RingWriter(NAME), RingReader(NAME), Model(capacity)
    try:
        for what, size, more in operations:
            if what == "write":
                position = first if model.at is None else model.end + more
                writer.write(samples(list(range(position, position + size))), position)
                if size:
                    model.write(position, size)
            elif what == "read":
                assert seen(reader.read(size, more)) == model.read(size)
            elif what == "chunk":
                assert seen(reader.read_chunk(size, more)) == model.chunk(size, more)
            elif what == "restart":
                writer.close(final=size)
                writer = RingWriter(NAME)
                assert writer.position == model.end
            assert reader.position == (model.at or 0)
    finally:
        reader.close()
        writer.close()
        segment.unlink()
        segment.close()


@SETTINGS
@given(
    capacity=st.integers(16, 64),
    writes=st.lists(st.tuples(st.integers(1, 16), st.integers(0, 20)), min_size=1, max_size=80),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=10),
    lazy=st.integers(1, 12),
)
def test_chunks_reconcile_with_the_frame_axis(capacity, writes, sizes, lazy):
    """Frames read + lost + skipped is the axis, however late the reader comes."""
    segment = create_ring(NAME, RingKind.TAP, 2, 48000, capacity)
    with RingWriter(NAME) as writer, RingReader(NAME) as reader:
        total = turn = 0
        for index, (frames, lost) in enumerate(writes):
            position = writer.position + lost
            writer.write(samples(list(range(position, position + frames))), position)
            while index % lazy == 0 and (block := reader.read_chunk(sizes[turn % len(sizes)])) is not None:
                total += len(block) + block.lost + block.skipped
                turn += 1
        while (block := reader.read_chunk(1000)) is not None:
            total += len(block) + block.lost + block.skipped
        assert total == writer.position - writes[0][1]
        assert reader.position == writer.position
    segment.unlink()
    segment.close()


@settings(SETTINGS, max_examples=25)
@given(gaps=st.integers(GAP_SLOTS - 2, GAP_SLOTS + 40), position=st.integers(0, 4 * GAP_SLOTS), size=st.integers(1, 50))
def test_forgotten_gaps_never_pass_for_frames(gaps, position, size):
    segment = create_ring(NAME, RingKind.TAP, 2, 48000, 4 * GAP_SLOTS + 400)
    with RingWriter(NAME) as writer:
        for index in range(gaps + 1):
            writer.write(samples([3 * index, 3 * index + 1]), 3 * index)
        with RingReader(NAME, position) as reader:
            total = 0
            while (block := reader.read(size)) is not None:
                frames = np.arange(block.position, block.position + size)
                wanted = np.where((frames % 3 == 2)[:, None], 0, samples(list(frames)))
                assert np.array_equal(block.data, wanted)
                assert block.lost == np.count_nonzero(frames % 3 == 2)
                total += size + block.skipped
            assert position + total == reader.position
    segment.unlink()
    segment.close()


FEED_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40)),
        st.tuples(st.just("read"), st.integers(0, 40)),
        st.tuples(st.sampled_from(["jump", "finish", "new reader", "new writer"]), st.just(0)),
    ),
    max_size=60,
)


@SETTINGS
@given(capacity=st.integers(1, 48), operations=FEED_OPERATIONS)
def test_a_feed_is_a_queue(capacity, operations):
    segment = create_ring(NAME, RingKind.FEED, 2, 48000, capacity)
    writer, reader = FeedWriter(NAME), FeedReader(NAME)
    queue: list[int] = []
    sent = underflow = held = 0
    finished = False
    try:
        for what, size in operations:
            if what == "write":
                wrote = writer.write(samples(list(range(sent, sent + size))))
                assert wrote == min(size, capacity - len(queue) - held)
                queue += range(sent, sent + wrote)
                sent += wrote
                finished = finished and wrote == 0
            elif what == "read":
                out = np.full((size, 2), np.nan, np.float32)
                got = reader.read_into(out)
                held = 0
                assert got == min(size, len(queue))
                assert np.array_equal(out, np.vstack([samples(queue[:got]), np.zeros((size - got, 2))]))
                del queue[:got]
                underflow += 0 if finished else size - got
                assert reader.finished == (finished and not queue)
            elif what == "jump":
                assert writer.jump() == sent
                held += len(queue)
                queue, finished = [], False
            elif what == "finish":
                writer.finish()
                finished = True
            elif what == "new reader":
                reader.close()
                reader = FeedReader(NAME)
            else:
                writer.close()
                writer = FeedWriter(NAME)
            assert reader.underflow == writer.underflow == underflow
    finally:
        reader.close()
        writer.close()
        segment.unlink()
        segment.close()
