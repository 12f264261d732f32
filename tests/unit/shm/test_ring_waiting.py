from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm import waiting as module
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.ring import WORD_WRITER_PID
from asmu_engine.shm.waiting import Waiter
from asmu_engine.shm.writer import RingWriter


class Rhythm:
    """A reader as far as a Waiter asks when frames are due."""

    samplerate = 1000.0
    latest_write = (0, 0, 0)


def test_frames_are_due_by_the_rhythm_of_the_writer():
    reader = Rhythm()
    waiter = Waiter(reader)
    assert waiter._due(5) == 0
    reader.latest_write = (10, 10, 100_000_000)
    assert waiter._due(1) == waiter._due(10) == 110_000_000
    assert waiter._due(11) == waiter._due(20) == 120_000_000
    reader.latest_write = (20, 10, 106_000_000)  # 4 ms early: that is the rhythm now
    assert waiter._due(1) == 116_000_000
    reader.latest_write = (30, 10, 132_000_000)  # 16 ms late: believed by a sixteenth
    assert waiter._due(1) == 127_000_000
    assert waiter._due(1) == 127_000_000
    reader.latest_write = (40, 10, 5_000_000_000)  # the device was started anew
    assert waiter._due(1) == 5_010_000_000


@pytest.fixture
def fake_time(monkeypatch):
    """Time that passes only in sleep; `on_sleep(now)` is what happens meanwhile."""

    class Clock:
        now = 10**9
        pauses: list[float] = []
        on_sleep = staticmethod(lambda now: None)

        def monotonic_ns(self) -> int:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.pauses.append(seconds)
            self.now += round(seconds * 1e9)
            self.on_sleep(self.now)

    clock = Clock()
    clock.pauses = []
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("asmu_engine.shm.writer.time", clock)
    return clock


def test_a_wait_sleeps_until_the_frames_are_due_and_then_looks_often(make_ring, ramp, fake_time):
    with RingWriter(make_ring(samplerate=1000)) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        reader.read(10)
        assert not reader.wait(10, timeout=1.0)
        assert fake_time.pauses[0] == 0.010
        assert set(fake_time.pauses[1:9]) == {0.00025}
        assert max(fake_time.pauses) == module._LONG_PAUSE * 2
        assert fake_time.now == 2 * 10**9
        assert len(fake_time.pauses) < 320

        fake_time.pauses.clear()
        due = fake_time.now + 7_000_000
        fake_time.on_sleep = lambda now: writer.write(ramp(writer.position, 10)) if now >= due else None
        assert reader.wait(10)
        assert fake_time.now - due < 1_000_000


def test_waiting_for_what_is_there_does_not_sleep(make_ring, ramp, fake_time):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        assert reader.wait(10)
        assert reader.wait(10, timeout=0)
        assert not reader.wait(11, timeout=0)
        assert fake_time.pauses == []


def test_a_wait_ends_when_the_ring_is_closed(make_ring, ramp, fake_time):
    writer = RingWriter(make_ring())
    with RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        fake_time.on_sleep = lambda now: writer.close()
        assert not reader.wait(11)
        assert len(fake_time.pauses) == 1
        assert reader.wait(10)


def test_a_wait_ends_when_the_ring_is_removed(make_ring, ramp, fake_time, folders):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        fake_time.on_sleep = lambda now: (folders.shm / writer.name).unlink(missing_ok=True)
        assert not reader.wait(11)
        assert fake_time.now <= 1.2 * 10**9


def test_a_wait_outlives_a_dead_writer_for_a_while(make_ring, ramp, fake_time):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 10))
        writer._words[WORD_WRITER_PID] = dead.pid
        successor = 6 * 10**9
        fake_time.on_sleep = lambda now: writer.write(ramp(writer.position, 10)) if now >= successor else None
        assert reader.wait(20)  # another writer came within 10 s
        reader.seek("newest")
        fake_time.on_sleep = lambda now: None
        began = fake_time.now
        assert not reader.wait(1)
        assert 10 * 10**9 <= fake_time.now - began < 10.2 * 10**9
        assert list(reader.blocks(5)) == []
        writer._words[WORD_WRITER_PID] = os.getpid()
        assert not reader.wait(1, timeout=11)
        assert not reader._waiter.ended()


def test_blocks_follow_a_writing_thread_without_gap(make_ring, ramp):
    writer = RingWriter(make_ring(capacity=4096))

    def write() -> None:
        for index in range(50):
            writer.write(ramp(32 * index, 32), monotonic_ns=time.monotonic_ns())
            time.sleep(32 / 48000)
        writer.close()

    with RingReader(writer.name, "oldest") as reader:
        thread = threading.Thread(target=write)
        thread.start()
        blocks = list(reader.blocks(100))
        thread.join()
    assert [len(block) for block in blocks] == [100] * 16
    assert np.array_equal(np.concatenate([block.data for block in blocks]), ramp(0, 1600))


def test_the_rest_of_a_closed_ring_is_a_shorter_block(make_ring, ramp):
    writer = RingWriter(make_ring())
    with RingReader(writer.name) as reader:
        writer.write(ramp(0, 25))
        writer.close()
        blocks = list(reader.blocks(10))
        assert [(block.position, len(block)) for block in blocks] == [(0, 10), (10, 10), (20, 5)]
        assert np.array_equal(blocks[2].data, ramp(20, 5))
        assert list(reader.blocks(10)) == []


def test_blocks_of_an_empty_ring_that_is_closed(make_ring):
    name = make_ring()
    RingWriter(name).close()
    with RingReader(name) as reader:
        assert list(reader.blocks(10)) == []


def test_blocks_that_do_not_come_in_time_are_an_error_and_can_be_asked_for_again(make_ring, ramp):
    with RingWriter(make_ring()) as writer, RingReader(writer.name) as reader:
        writer.write(ramp(0, 15))
        blocks = reader.blocks(10, timeout=0.001)
        assert len(next(blocks)) == 10
        with pytest.raises(RingError, match=r"no block of 10 frames within 0\.001 s") as caught:
            next(blocks)
        assert (caught.value.code, caught.value.retry) == ("ring_timeout", True)
        writer.write(ramp(15, 5))
        assert np.array_equal(next(reader.blocks(10, timeout=0.001)).data, ramp(10, 10))
