"""Segments begin where they are to begin, to the frame."""

from __future__ import annotations

import numpy as np
import pytest

from asmu_engine.disk.acquisition.rollover import Rollover
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.shm.block import Stamp
from asmu_engine.shm.causes import DEVICE, DEVICE_LOST
from asmu_engine.shm.writer import RingWriter

MIDNIGHT = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000


def record(disk, ring, folder, sound, writes, **settings):
    disk("acquire", job=1, ring=ring, folder=str(folder), settings={"minimum_free": 0, **settings})
    with RingWriter(ring) as writer:
        for position, frames, cause in writes:
            writer.write(sound(frames, first=position), position=position, cause=cause)
            disk.until_frames(1, position + frames - writes[0][0])
        return disk("stop", job=1)


def test_by_time_the_kth_boundary_is_a_rounded_multiple(disk, make_ring, sound, folder, take):
    ring = make_ring(samplerate=44100)
    record(disk, ring, folder, sound, [(7, 441, 0), (448, 1000, 0)], rollover_seconds=0.00333)
    # 0.00333 s are 146.853 frames: boundaries at 147, 294, 441, 587, 734 …
    assert take.spans()[:5] == [(7, 147), (154, 147), (301, 147), (448, 146), (594, 147)]
    assert len(take.spans()) == 10
    take.check()
    assert np.array_equal(take.audio(), sound(1441, first=7))
    names = [segment.file for segment in take.manifest.segments]
    assert names == sorted(names)


def test_a_boundary_within_a_gap_and_a_gap_over_several(disk, ring, sound, folder, take):
    writes = [(0, 450, 0), (650, 150, DEVICE), (2300, 100, DEVICE_LOST)]
    record(disk, ring, folder, sound, writes, rollover_seconds=0.01, fill_seconds=0.02)
    # Filled up to 960 frames: the zeros of the first gap pass the boundary at 480; the second one ends a segment.
    assert take.gaps() == [(450, 200, "device", True), (800, 1500, "device_lost", False)]
    assert take.spans() == [(0, 480), (480, 320), (2300, 100)]
    take.check()
    expected = sound(800)
    expected[450:650] = 0
    assert np.array_equal(np.concatenate([take.rows(1), take.rows(2)]), expected)


@pytest.mark.parametrize(("subtype", "frames"), [("FLOAT", 512), ("PCM_16", 1024), ("PCM_24", 682)])
def test_by_size_of_the_samples(disk, ring, sound, folder, take, subtype, frames):
    record(disk, ring, folder, sound, [(0, 3000, 0)], rollover_bytes=4096, subtype=subtype)
    assert [span[1] for span in take.spans()] == [frames] * (3000 // frames) + [3000 % frames]
    take.check()


def test_the_first_of_both(disk, ring, sound, folder, take):
    record(disk, ring, folder, sound, [(0, 1100, 0)], rollover_bytes=4096, rollover_seconds=600 / 48000)
    assert take.spans() == [(0, 512), (512, 88), (600, 500)]


def fit(position=0, utc_ns=MIDNIGHT, samplerate=48000.0):
    return ClockFit(
        position=position, monotonic_ns=0, utc_ns=utc_ns, samplerate=samplerate, ppm=0.0, residual_ns=0.0, uncertainty_ns=0.0,
        ppm_uncertainty=0.0, seconds=1.0,
    )  # fmt: skip


def test_aligned_to_the_clock_by_the_rings_stamps(disk, ring, writer, sound, folder, take):
    settings = {"minimum_free": 0, "rollover_seconds": 0.1, "aligned": True}
    disk("acquire", job=1, ring=ring, folder=str(folder), settings=settings)
    begin = MIDNIGHT + 30_000_000  # 0.03 s past
    for start in range(0, 20_160, 480):  # at whole nanoseconds: with whichever stamp it reads, the disk process finds the same
        stamp = begin + start * SECOND // 48_000
        writer.write(sound(480, first=start), monotonic_ns=1 + start, utc_ns=stamp)
    disk("stop", job=1)
    # Boundaries at 0.1 s, 0.2 s … are 3360, 8160 … frames behind the first.
    assert take.spans() == [(0, 3360), (3360, 4800), (8160, 4800), (12_960, 4800), (17_760, 2400)]
    assert [segment.file[7:31] for segment in take.manifest.segments] == [
        "2026-01-01T00-00-00.030Z",
        "2026-01-01T00-00-00.100Z",
        "2026-01-01T00-00-00.200Z",
        "2026-01-01T00-00-00.300Z",
        "2026-01-01T00-00-00.400Z",
    ]
    take.check()


def test_aligned_by_the_hosts_fit_which_is_better(disk, ring, writer, sound, folder, take):
    settings = {"minimum_free": 0, "rollover_seconds": 0.1, "aligned": True}
    clock = fit(utc_ns=MIDNIGHT + 50_000_000, samplerate=48_480.0).model_dump(mode="json")
    disk("acquire", job=1, ring=ring, folder=str(folder), settings=settings, clock=clock)
    writer.write(sound(10_000), monotonic_ns=1, utc_ns=MIDNIGHT)
    disk("stop", job=1)
    assert take.spans() == [(0, 2424), (2424, 4848), (7272, 2728)]
    take.check()


def make(seconds=3600.0, first=0, clock=None, **settings):
    times = Times(48_000.0, clock or fit())
    rollover = Rollover(AcquisitionSettings(rollover_seconds=seconds, aligned=True, **settings), 48_000.0, 8, times)
    rollover.begin(first, first)
    return rollover, times


HOUR = 3600 * 48_000


def test_a_clock_that_is_corrected_a_little_moves_the_boundary_and_makes_no_tiny_segment():
    rollover, times = make()
    assert rollover.end(1000) == HOUR
    times.note_fit(fit(utc_ns=MIDNIGHT + 1_000_000))  # everything is 1 ms later than was thought
    assert rollover.end(2000) == HOUR - 48
    times.note_fit(fit(utc_ns=MIDNIGHT))
    assert rollover.end(HOUR - 10) == HOUR
    times.note_fit(fit(utc_ns=MIDNIGHT + SECOND // 2))  # over the instant by half a second: now
    assert rollover.end(HOUR - 5) == HOUR - 5
    rollover.begin(HOUR - 5, 0)
    times.note_fit(fit(utc_ns=MIDNIGHT))  # and back, so that the instant comes again
    assert rollover.end(HOUR) == 2 * HOUR


def test_a_clock_that_is_set_over_an_instant_waits_for_the_next_one():
    rollover, times = make()
    assert rollover.end(0) == HOUR
    times.note_fit(fit(utc_ns=MIDNIGHT + 4500 * SECOND))  # it is a quarter past one now
    assert rollover.end(48_000) == 2700 * 48_000
    times.note_fit(fit(utc_ns=MIDNIGHT - 7200 * SECOND))  # ten o'clock in the evening before
    assert rollover.end(96_000) == HOUR


def test_each_day_begins_anew():
    rollover, _ = make(seconds=5 * 3600.0, clock=fit(utc_ns=MIDNIGHT + 19 * 3600 * SECOND))
    assert rollover.end(0) == HOUR  # at 20:00
    rollover.begin(HOUR, 0)
    assert rollover.end(HOUR) == 5 * HOUR  # at midnight, not at one
    rollover.begin(5 * HOUR, 0)
    assert rollover.end(5 * HOUR) == 10 * HOUR


def test_times_take_the_best_that_is_known():
    times = Times(48_000.0)
    times.note_stamp(Stamp(96_000, 5, MIDNIGHT), 100_000)
    assert times.utc_at(48_000) == MIDNIGHT - SECOND
    assert times.position_at(MIDNIGHT + SECOND) == 144_000
    times.note_fit(fit(position=96_000, utc_ns=MIDNIGHT + 7))
    assert times.utc_at(96_000) == MIDNIGHT + 7
    times.doubt(200_000)  # the axis has jumped: the fit is of before that
    assert times.utc_at(96_000) == MIDNIGHT
    times.note_fit(fit(position=199_999))
    assert times.utc_at(96_000) == MIDNIGHT
    times.note_fit(fit(position=200_000, utc_ns=MIDNIGHT))
    assert times.utc_at(200_000) == MIDNIGHT
