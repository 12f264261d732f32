"""Folders that a disk process really wrote, or died over, as `asmu verify` and `asmu repair` see them."""

from __future__ import annotations

import random
import shutil
import threading
import time

import numpy as np
import pytest

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import mend
from asmu_engine.recording.manifest import Manifest, read_manifest
from asmu_engine.recording.reading import open_segment
from asmu_engine.recording.rebuild import LedgerEnd
from asmu_engine.recording.repair import repair_recording
from asmu_engine.recording.verify import verify_recording
from asmu_engine.shm.causes import DEVICE
from asmu_engine.shm.writer import RingWriter

FORMATS = [
    ("WAV", "FLOAT"), ("WAV", "PCM_24"), ("RF64", "FLOAT"), ("W64", "PCM_24"), ("CAF", "FLOAT"), ("AU", "FLOAT"),
    ("AIFF", "PCM_24"), ("FLAC", "PCM_24"), ("HDF5", "FLOAT"),
]  # fmt: skip


def begin(disk, ring, folder, **settings):
    return disk("acquire", job=1, ring=ring, folder=str(folder), settings={"minimum_free": 0, **settings})


def audio_of(folder, verdict):
    """Every frame from the first to the last; zeros where there is none."""
    manifest = read_manifest(folder)
    found = np.zeros((verdict.frames, len(manifest.channels)), np.float32)
    for segment in manifest.segments:
        if segment.state == "whole":
            reader = open_segment(folder / segment.file)
            at = segment.first - verdict.first
            reader.read_into(found[at : at + segment.frames], 0)
            reader.close()
    return found


@pytest.mark.parametrize(("format_name", "subtype"), FORMATS)
def test_what_ended_in_order_is_whole_in_every_format(disk, ring, writer, sound, folder, format_name, subtype):
    tags = {"title": "hall"} if format_name in {"WAV", "CAF", "FLAC"} else {}
    begin(disk, ring, folder, format=format_name, subtype=subtype, rollover_seconds=0.05, tags=tags)
    writer.write(sound(9000), position=2**33)
    disk.until_frames(1, 9000)
    going = verify_recording(folder)
    assert (going.outcome, [p for p in going.problems if p.severity != "note"]) == ("recording", [])
    disk("stop", job=1)
    verdict = verify_recording(folder)
    assert (verdict.outcome, verdict.problems) == ("whole", ())
    assert (verdict.frames, verdict.delivered, len(verdict.segments)) == (9000, 9000, 4)


def test_losses_of_the_device_reconcile_exactly(disk, ring, writer, sound, folder):
    begin(disk, ring, folder, fill_seconds=0.01)
    position = 0
    for lost in (0, 100, 479, 480, 481, 5000, 1):
        position += lost
        writer.write(sound(1000, first=position), position=position, cause=DEVICE)
        position += 1000
    disk.until_frames(1, position)
    disk("stop", job=1)
    verdict = verify_recording(folder)
    assert (verdict.outcome, verdict.problems) == ("losses", ())
    assert (verdict.frames, verdict.lost) == (position, {"device": 6541})
    assert verdict.delivered == 7000


@pytest.mark.parametrize(("format_name", "subtype"), FORMATS)
def test_a_killed_one_is_refused_while_written_and_repaired_afterwards(disk, ring, writer, sound, folder, format_name, subtype):
    begin(disk, ring, folder, format=format_name, subtype=subtype, rollover_seconds=0.05)
    writer.write(sound(5000), position=7)
    disk.until_frames(1, 5000)
    with pytest.raises(DiskError, match="is being written"):
        repair_recording(folder)
    disk.kill()
    assert verify_recording(folder).outcome == "unfinished"
    result = repair_recording(folder)
    verdict = verify_recording(result.path)
    assert (verdict.outcome, verdict.problems) == ("whole", ()), verdict
    assert (verdict.frames, verdict.delivered) == (5000, 5000)
    if subtype == "PCM_24":  # half a step of rounding
        assert np.abs(audio_of(result.path, verdict) - sound(5000)).max() <= 2.0**-23
    else:
        assert np.array_equal(audio_of(result.path, verdict), sound(5000))


@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_moment(start_disk, make_ring, sound, folder, seed):
    """While it writes, rolls over every 10 ms, encodes and loses frames: what is left is repaired, exact to the sample."""
    chance = random.Random(seed)
    ring = make_ring(capacity=100_000)
    disk = start_disk()
    form = chance.choice([{"format": "WAV"}, {"format": "W64"}, {"format": "FLAC"}, {"format": "CAF", "subtype": "PCM_24"}])
    with RingWriter(ring) as writer:
        begin(disk, ring, folder, rollover_seconds=0.01, fill_seconds=0.005, sync_seconds=0.05, **form)
        end = time.monotonic() + chance.uniform(0.02, 0.4)
        position = 0
        lost = 0
        while time.monotonic() < end and position < 90_000:
            gap = chance.choice([0, 0, 0, 100, 1000])
            writer.write(sound(300, first=position + gap), position=position + gap, cause=DEVICE)
            position += 300 + gap
            lost += gap
            time.sleep(0.002)
        disk.kill()
    before = verify_recording(folder)
    assert before.outcome == "unfinished", before.problems
    result = repair_recording(folder)
    verdict = verify_recording(result.path)
    assert verdict.outcome in ("whole", "losses"), verdict
    assert [p for p in verdict.problems if p.severity != "note"] == []
    assert set(verdict.lost) <= {"device"}
    assert verdict.frames == verdict.delivered + verdict.lost_frames
    if verdict.frames:
        expected = sound(verdict.frames, first=verdict.first)
        for loss in verdict.losses:
            expected[loss.position - verdict.first : loss.position - verdict.first + loss.frames] = 0
        assert np.abs(audio_of(result.path, verdict) - expected).max() <= 2.0**-23
    assert repair_recording(result.path).actions == ()


class Died(BaseException):
    """As SIGKILL, nothing in the repair catches it."""


def test_a_repair_that_is_killed_after_any_step_is_repeated(start_disk, make_ring, sound, folder, tmp_path, monkeypatch):
    disk = start_disk()
    with RingWriter(make_ring()) as writer:
        begin(disk, "asmu.test.0", folder, format="FLAC")
        writer.write(sound(5000))
        disk.until_frames(1, 5000)
        disk.kill()
    left = 0

    def dying(function):
        def run(*args, **options):
            nonlocal left
            left -= 1
            if left < 0:
                raise Died
            return function(*args, **options)

        return run

    steps = [(LedgerEnd, "note"), (mend, "set_rows"), (mend, "_encode"), (mend, "file_sha256"), (Manifest, "write")]
    for owner, name in steps:
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    deaths = 0
    died = True
    while died:
        again = tmp_path / f"again{deaths}"
        shutil.copytree(folder, again)
        left = deaths
        try:
            repair_recording(again, in_place=True)
            died = False
        except Died:
            deaths += 1
            assert verify_recording(again, quick=True).outcome == "unfinished"
            left = 1000
            repair_recording(again, in_place=True)
        verdict = verify_recording(again)
        assert (verdict.outcome, verdict.problems, verdict.delivered) == ("whole", (), 5000)
    assert deaths == 8  # Begun, SegmentEnded, rows, encoding, checksum, SegmentWhole, Ended, manifest


def test_one_that_is_written_is_never_called_damaged(disk, make_ring, sound, folder):
    ring = make_ring(capacity=200_000)
    stop = threading.Event()

    def feed() -> None:
        with RingWriter(ring) as writer:
            while not stop.is_set() and writer.position < 60_000:
                gap = 50 if writer.position % 3 == 1 else 0
                writer.write(sound(100, first=writer.position + gap), position=writer.position + gap, cause=DEVICE)
                time.sleep(0.0005)
            stop.wait(20)

    begin(disk, ring, folder, rollover_seconds=0.02, fill_seconds=0.0005)
    thread = threading.Thread(target=feed)
    thread.start()
    try:
        disk.until_frames(1, 1000)
        for number in range(8):
            verdict = verify_recording(folder, quick=bool(number % 4))
            assert verdict.outcome == "recording", verdict
            assert [p for p in verdict.problems if p.severity != "note"] == []
            assert verdict.frames == verdict.delivered + verdict.lost_frames, verdict
    finally:
        stop.set()
        thread.join()
    disk("stop", job=1)
    assert verify_recording(folder).outcome == "losses"
