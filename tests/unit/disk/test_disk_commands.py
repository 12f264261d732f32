from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asmu_engine.protocol.errors import AsmuError, DiskError, ProtocolError, RingError
from asmu_engine.shm.ring import RingKind


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (
            {"do": "dance"},
            "unknown_request",
            "unknown command 'dance'; use record, acquire, note, play, seek, status, attach, stop, quit",
        ),
        ({"do": "record", "job": 1, "path": "/tmp/x.wav"}, "bad_message", "record: ring is missing"),
        ({"do": "record", "job": "1"}, "bad_message", "job is '1', not a number of 0 or more"),
        ({"do": "record", "job": True}, "bad_message", "job is True, not a number"),
        ({"do": "play", "job": 1, "path": "x", "loop": "yes"}, "bad_message", "loop is 'yes', not a bool"),
        ({"do": "record", "job": 1, "ring": "asmu.none", "path": "/tmp/x.wav"}, "ring_unknown", "there is no segment asmu.none"),
        ({"do": "play", "job": 1, "ring": "asmu.none", "path": "/tmp/x.wav"}, "ring_unknown", "there is no segment asmu.none"),
        ({"do": "record", "job": 1, "ring": "asmu.none", "path": "x.wav"}, "file_unwritable", "the path x.wav is relative"),
        ({"do": "status", "job": 5}, "disk_job_unknown", "there is no recording or player 5"),
        ({"do": "stop", "job": 5}, "disk_job_unknown", "there is no recording or player 5"),
        ({"do": "attach", "job": 5, "ring": "x"}, "disk_job_unknown", "there is no recording or player 5"),
    ],
)
def test_a_bad_command_gets_its_error(disk, command, code, text):
    with pytest.raises(AsmuError, match=text) as caught:
        disk(**command)
    assert caught.value.code == code
    assert disk("status") == {"pid": disk.process.pid, "jobs": []}


def test_bytes_that_are_no_command_are_answered_and_the_next_one_works(disk):
    disk.process.stdin.write(b"\x01\x00\x00\x00\xc1")
    disk.process.stdin.flush()
    with pytest.raises(ProtocolError, match="not valid msgpack"):
        disk.answer(0)
    assert disk("status")["jobs"] == []


def test_a_job_number_is_used_once(disk, make_ring, tmp_path):
    ring = make_ring()
    disk("record", job=1, ring=ring, path=str(tmp_path / "a.wav"))
    with pytest.raises(ProtocolError, match="there is a job 1 already"):
        disk("record", job=1, ring=ring, path=str(tmp_path / "b.wav"))
    assert [job["job"] for job in disk("status")["jobs"]] == [1]


def test_a_feed_is_not_recorded_and_a_tap_is_not_played_into(disk, make_ring, tmp_path):
    with pytest.raises(RingError, match="is a feed, not a tap"):
        disk("record", job=1, ring=make_ring(RingKind.FEED), path=str(tmp_path / "a.wav"))
    with pytest.raises(RingError, match="is a tap, not a feed"):
        disk("play", job=1, ring=make_ring(), path=str(tmp_path / "a.wav"))


@pytest.mark.parametrize(
    ("name", "text"), [("missing/a.wav", "No such file or directory; the folder must exist"), ("", "it is a folder")]
)
def test_places_that_cannot_be_written(disk, make_ring, tmp_path, name, text):
    with pytest.raises(DiskError, match=text) as caught:
        disk("record", job=1, ring=make_ring(), path=str(tmp_path / name))
    assert caught.value.code == "file_unwritable"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_no_permission(disk, make_ring, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DiskError, match="Permission denied; the folder must exist and be writable") as caught:
            disk("record", job=1, ring=make_ring(), path=str(tmp_path / "a.wav"))
        assert caught.value.code == "file_unwritable"
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_the_system_keeps_from_being_written(disk, make_ring):
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc")
    with pytest.raises(DiskError, match=r"cannot record to /proc/a.wav: .*; the folder must exist and be writable") as caught:
        disk("record", job=1, ring=make_ring(), path="/proc/a.wav")
    assert caught.value.code == "file_unwritable"


def test_a_refused_recording_leaves_no_file(disk, make_ring, tmp_path):
    with pytest.raises(DiskError):
        disk("record", job=1, ring=make_ring(), path=str(tmp_path / "a.wav"), format="FLAC", subtype="FLOAT")
    assert list(tmp_path.iterdir()) == []


def test_many_jobs_at_once(disk, make_ring, tmp_path, sound):
    from asmu_engine.shm.writer import RingWriter

    ring = make_ring()
    with RingWriter(ring) as writer:
        for job in range(1, 9):
            disk("record", job=job, ring=ring, path=str(tmp_path / f"{job}.wav"))
        writer.write(sound(5000))
        stops = [disk.ask("stop", job=job) for job in range(1, 9)]
        assert [disk.answer(stop)["frames"] for stop in stops] == [5000] * 8
    assert len({np.fromfile(file, np.uint8).tobytes() for file in tmp_path.iterdir()}) == 1


def test_it_starts_light():
    heavy = "pydantic, zmq, sounddevice, scipy, pyfftw, asyncio, multiprocessing"
    code = f"import sys, asmu_engine.disk.main; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
