from __future__ import annotations

import subprocess
import sys

import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm import paced as module
from asmu_engine.shm.paced import is_alive
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.ring import PACED_SLOTS, WORD_PACED
from asmu_engine.shm.segment import Segment, remove_segment
from asmu_engine.shm.writer import RingWriter


def test_the_writer_sees_the_slowest_paced_reader(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name) as one, RingReader(writer.name) as other:
        writer.write(ramp(0, 20))
        one.register_paced()
        one.register_paced()
        other.read(10)
        other.register_paced()
        assert (writer.slowest_paced(), writer.room()) == (0, 44)
        one.read(16)
        assert (writer.slowest_paced(), writer.room()) == (10, 54)
        other.read_chunk(100)
        assert (writer.slowest_paced(), writer.room()) == (16, 60)
        other.seek(3)
        assert writer.slowest_paced() == 3
        other.release()
        other.release()
        assert writer.slowest_paced() == 16
        one.close()
        assert writer.slowest_paced() is None


def test_a_reader_ahead_of_the_writer_gives_no_more_than_the_ring(make_ring, ramp):
    with RingWriter(make_ring(capacity=64)) as writer, RingReader(writer.name, 1000) as reader:
        reader.register_paced()
        assert writer.room() == 64


def test_slots_of_dead_readers_do_not_hold_the_writer_and_are_used_again(make_ring, ramp):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 20))
        writer._words[WORD_PACED], writer._words[WORD_PACED + 1] = dead.pid, 5
        assert writer.slowest_paced() is None
        reader.seek(7)
        reader.register_paced()
        assert writer._words[WORD_PACED + 1] == writer.slowest_paced() == 7


def test_a_seventeenth_paced_reader_is_refused(make_ring):
    with RingReader(make_ring()) as extra:
        readers = [RingReader(extra.name) for _ in range(PACED_SLOTS)]
        for reader in readers:
            reader.register_paced()
        with pytest.raises(RingError, match="16 paced readers") as caught:
            extra.register_paced()
        assert (caught.value.code, caught.value.retry) == ("ring_full", True)
        readers[5].close()
        extra.register_paced()
        for reader in readers:
            reader.close()


def test_a_ring_that_was_replaced_is_not_joined(make_ring):
    with RingReader(make_ring()) as reader:
        remove_segment(reader.name)
        Segment.create(reader.name, 65536)
        with pytest.raises(RingError, match="replaced") as caught:
            reader.register_paced()
        assert caught.value.code == "ring_closed"
        remove_segment(reader.name)


def test_the_data_stays_read_only_for_a_paced_reader(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        reader.register_paced()
        writer.write(ramp(0, 4))
        assert not reader.read(4).data.flags.writeable


def test_life_of_processes(monkeypatch):
    assert is_alive(1)
    assert not is_alive(0)
    assert not is_alive(-1)

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(module.os, "kill", refuse)
    assert is_alive(12345)
    monkeypatch.setattr(module, "_CAN_ASK", False)
    assert is_alive(2**30)
    assert not is_alive(0)


def test_without_file_locks_a_slot_is_still_found(make_ring, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        reader.register_paced()
        assert writer.slowest_paced() == 0
