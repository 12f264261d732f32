"""Why frames are missing, from the writer through the table of gaps to what readers hand out."""

from __future__ import annotations

import sys
from typing import get_args

import numpy as np
import pytest

from asmu_engine.recording.ledger import Cause
from asmu_engine.shm.causes import CAUSES, DEVICE, DEVICE_LOST, RESTART, STOPPED, cause_code, cause_name
from asmu_engine.shm.gaps import Gap
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.writer import RingWriter


def test_causes_have_the_names_of_a_ledger():
    assert set(CAUSES.values()) <= set(get_args(Cause))
    assert {code: cause_code(name) for code, name in CAUSES.items()} == {code: code for code in CAUSES}
    assert (cause_code(""), cause_name(4), cause_name(12_345)) == (0, "restart", "unknown")
    with pytest.raises(ValueError, match="'overrun' is no cause of a gap in a ring; use unknown, device"):
        cause_code("overrun")


def test_chunks_say_why_frames_right_before_them_are_missing(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8), 0, cause=RESTART, uncertainty=5)
        writer.write(ramp(11, 8), 11, cause=DEVICE)
        writer.write(ramp(30, 8), 30, cause=DEVICE_LOST, uncertainty=260)
        writer.write(ramp(38, 8), 38, cause=STOPPED, uncertainty=1)
        assert reader.gaps() == [Gap(8, 3, DEVICE, 0), Gap(19, 11, DEVICE_LOST, 260)]
        chunks = [reader.read_chunk(100) for _ in range(3)]
        said = [(chunk.position, len(chunk), chunk.lost, chunk.cause, chunk.uncertainty) for chunk in chunks]
        assert said == [(0, 8, 0, 0, 0), (11, 8, 3, DEVICE, 0), (30, 16, 11, DEVICE_LOST, 260)]
        assert reader.read_chunk(100) is None


def test_a_block_says_why_the_newest_frames_that_it_lacks_are_missing(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8))
        writer.write(ramp(11, 8), 11, cause=DEVICE, uncertainty=2)
        writer.write(ramp(24, 8), 24, cause=RESTART, uncertainty=7)
        blocks = [reader.read(size) for size in (8, 4, 12, 8)]
        said = [(block.position, block.lost, block.cause, block.uncertainty) for block in blocks]
        assert said == [(0, 0, 0, 0), (8, 3, DEVICE, 2), (12, 5, RESTART, 7), (24, 0, 0, 0)]


def test_a_reader_that_begins_in_a_gap_knows_why(make_ring, ramp):
    with RingWriter(make_ring()) as writer:
        writer.write(ramp(0, 8))
        writer.write(ramp(20, 8), 20, cause=RESTART, uncertainty=9)
        with RingReader(writer.name, start=12) as reader:
            chunk = reader.read_chunk(100)
            assert (chunk.position, chunk.lost, chunk.cause, chunk.uncertainty) == (20, 8, RESTART, 9)


def test_an_entry_that_a_dead_writer_left_half_done_is_replaced_by_its_successors(make_ring, ramp):
    name = make_ring()
    writer = RingWriter(name)
    writer.write(ramp(0, 8))
    writer._note_gap(8, 3, DEVICE, 1)  # killed between the entry and the block behind it
    writer.close(final=False)
    with RingWriter(name) as successor, RingReader(name, "first") as reader:
        successor.write(ramp(40, 8), 40, cause=RESTART, uncertainty=70)
        assert reader.gaps() == [Gap(8, 32, RESTART, 70)]
        assert np.array_equal(reader.read_chunk(100).data, ramp(0, 8))


def test_positions_and_losses_beyond_32_bits(make_ring, ramp):
    begin = 3 * 2**40
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 8), begin)
        writer.write(ramp(0, 8), begin + 2**33, cause=DEVICE_LOST, uncertainty=sys.maxsize)
        assert reader.gaps() == [Gap(begin + 8, 2**33 - 8, DEVICE_LOST, sys.maxsize)]
