"""Frames that are missing: in the ledger with their cause, as zeros in a segment where they are few, between two where many."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from asmu_engine.disk.acquisition.missing import Missing, overwritten
from asmu_engine.recording import ledger
from asmu_engine.shm.causes import DEVICE, DEVICE_LOST, RESTART, STOPPED
from asmu_engine.shm.gaps import Gap
from asmu_engine.shm.writer import RingWriter

SETTINGS = {"minimum_free": 0, "fill_seconds": 0.01}  # 480 frames


def begin(disk, ring, folder, job=1, **fields):
    return disk("acquire", job=job, ring=ring, folder=str(folder), settings=SETTINGS, **fields)


def test_short_gaps_are_zeros_and_long_ones_lie_between_segments(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    writer.write(sound(1000))
    writer.write(sound(1000, first=1480), position=1480, cause=DEVICE)
    writer.write(sound(1000, first=2961), position=2961, cause=DEVICE_LOST, uncertainty=12)
    writer.write(sound(39, first=3962), position=3962)
    status = disk("stop", job=1)
    assert take.gaps() == [(1000, 480, "device", True), (2480, 481, "device_lost", False), (3961, 1, "unknown", True)]
    assert [e.uncertainty for e in take.entries if isinstance(e, ledger.Gap)] == [0, 12, 0]
    assert (status["frames"], status["lost_frames"], status["gap_count"]) == (4001, 962, 3)
    assert status["lost"] == {"device": 480, "device_lost": 481, "unknown": 1}
    assert status["gaps"] == [[1000, 480, "device"], [2480, 481, "device_lost"], [3961, 1, "unknown"]]
    take.check()
    assert take.spans() == [(0, 2480), (2961, 1040)]
    expected = sound(4001)
    expected[1000:1480] = 0
    expected[3961] = 0
    assert np.array_equal(take.rows(1), expected[:2480])
    assert np.array_equal(take.rows(2), expected[2961:])


def test_a_writer_that_was_replaced_is_a_restart(disk, ring, sound, folder, take):
    with RingWriter(ring) as first:
        begin(disk, ring, folder)
        first.write(sound(100))
        disk.until_frames(1, 100)
        first.close(final=False)
    with RingWriter(ring) as second:
        second.write(sound(50), position=130)  # by a device that says nothing
        disk.until_frames(1, 180)
        second.close(final=False)
    with RingWriter(ring) as third:
        third.write(sound(50), position=200, cause=STOPPED)
        disk.until_frames(1, 250)
        third.close(final=False)
    with RingWriter(ring) as fourth:
        fourth.write(sound(50), position=260, cause=RESTART, uncertainty=3)
        disk("stop", job=1)
    assert take.gaps() == [(100, 30, "restart", True), (180, 20, "stopped", True), (250, 10, "restart", True)]
    take.check()


def test_a_tap_that_comes_later_is_absent_until_then(disk, ring, writer, sound, folder, take, tmp_path):
    begin(disk, ring, folder, start=1000)
    disk("acquire", job=2, ring=ring, folder=str(tmp_path / "long"), settings=SETTINGS, start=0)
    writer.write(sound(100), position=1300)
    disk("stop", job=2)
    assert disk("stop", job=1)["first"] == 1000
    assert take.gaps() == [(1000, 300, "absent", True)]
    assert take.spans() == [(1000, 400)]
    take.check()
    assert np.array_equal(take.audio(), np.concatenate([np.zeros((300, 2), np.float32), sound(100)]))
    long = type(take)(tmp_path / "long")
    assert (long.gaps(), long.spans()) == ([(0, 1300, "absent", False)], [(1300, 100)])
    long.check()


def test_a_stop_within_a_gap(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    writer.write(sound(100))
    request = disk.ask("stop", job=1, until=150)
    disk("status", job=1)  # which is answered behind it
    writer.write(sound(100), position=200, cause=DEVICE)
    assert disk.answer(request)["position"] == 150
    assert take.gaps() == [(100, 50, "device", True)]
    take.check()


@pytest.mark.parametrize("until", [50, 150, 250])
def test_a_stop_that_comes_late_cuts_no_gap_that_is_in_the_ledger(disk, ring, writer, sound, folder, take, until):
    begin(disk, ring, folder)
    writer.write(sound(100))
    writer.write(sound(100), position=200, cause=DEVICE)
    disk.until_frames(1, 300)
    end = max(until, 200)
    assert disk("stop", job=1, until=until)["position"] == end
    assert take.gaps() == [(100, 100, "device", True)]
    assert take.spans() == [(0, end)]
    take.check()


@pytest.mark.parametrize("known", [True, False])
def test_an_overrun_is_accounted_frame_by_frame(start_disk, make_ring, sound, folder, take, known, monkeypatch):
    """A disk process that does not run while more than the ring holds is written."""
    ring = make_ring(capacity=1000)
    disk = start_disk()
    with RingWriter(ring) as writer:
        begin(disk, ring, folder)
        writer.write(sound(500))
        disk.until_frames(1, 500)
        disk.process.send_signal(signal.SIGSTOP)
        os.waitpid(disk.process.pid, os.WUNTRACED)  # the signal has been sent before every thread stands still
        writer.write(sound(300, first=500))
        if known:
            writer.write(sound(100, first=850), position=850, cause=DEVICE)
        for _ in range(4):
            writer.write(sound(500, first=writer.position))
        disk.process.send_signal(signal.SIGCONT)
        end = writer.position
        assert disk("stop", job=1)["position"] == end
    oldest = end - 1000
    if known:
        gaps = [(500, 300, "overrun", True), (800, 50, "device", True)]
        # Longer than is filled, so that it ends the segment.
        assert take.gaps() == [*gaps, (850, oldest - 850, "overrun", False)]
    else:
        assert take.gaps() == [(500, oldest - 500, "overrun", False)]
    take.check()
    assert np.array_equal(take.rows(2), sound(1000, first=oldest))


def test_what_was_overwritten_keeps_the_causes_that_the_ring_still_knows():
    known = [Gap(0, 5, DEVICE), Gap(8, 4, DEVICE_LOST, 7), Gap(20, 10, 0)]
    assert overwritten(10, 25, known, replaced=False) == [
        Missing(12, "device_lost", 7),
        Missing(20, "overrun", 0),
        Missing(25, "unknown", 0),
    ]
    assert overwritten(12, 20, known, replaced=False) == [Missing(20, "overrun", 0)]
    assert overwritten(20, 40, known, replaced=True) == [Missing(30, "restart", 0), Missing(40, "overrun", 0)]
