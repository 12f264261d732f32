"""What is left when something ends that should not have: the disk process, its host, or the disk's space."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest
import soundfile

from asmu_engine.disk.formats import FileForm
from asmu_engine.disk.part import Part
from asmu_engine.protocol.errors import DiskError
from asmu_engine.shm.writer import RingWriter

FORMATS = [
    ("WAV", "FLOAT"),
    ("WAV", "PCM_24"),
    ("RF64", "FLOAT"),
    ("W64", "PCM_24"),
    ("CAF", "FLOAT"),
    ("AU", "FLOAT"),
    ("FLAC", "PCM_24"),
]


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


@pytest.fixture
def ring(make_ring):
    return make_ring()


@pytest.fixture
def writer(ring):
    with RingWriter(ring) as end:
        yield end


@pytest.mark.parametrize(("format_name", "subtype"), FORMATS)
def test_a_recording_goes_on_after_sigkill_without_a_frame_lost(start_disk, ring, writer, sound, tmp_path, format_name, subtype):
    path = str(tmp_path / "take")
    tags = {"title": "hall"} if format_name in {"WAV", "CAF", "FLAC"} else {}
    first = start_disk()
    writer.write(sound(5000), position=2**33)
    first("record", job=1, ring=ring, path=path, format=format_name, subtype=subtype, tags=tags)
    first.until_frames(1, 5000)
    writer.write(sound(3333, first=5000))
    first.kill()
    writer.write(sound(2000, first=8333))
    second = start_disk()
    started = second("record", job=1, ring=ring, path=path, resume=True)
    assert started["first"] == 2**33
    assert started["frames"] >= 5000
    writer.write(sound(1000, first=10333))
    result = second("stop", job=1)
    assert (result["frames"], result["lost_frames"], result["gaps"]) == (11333, 0, [])
    assert np.array_equal(read(path), sound(11333))
    assert soundfile.info(path).format == format_name
    with soundfile.SoundFile(path) as file:
        assert {name: getattr(file, name) for name in tags} == tags
    assert [file.name for file in tmp_path.iterdir()] == ["take"]


def test_killed_while_writing_again_and_again(start_disk, make_ring, sound, tmp_path):
    """The kill falls where it falls: what the file then holds decides where the next process goes on."""
    ring = make_ring(channels=8, capacity=200_000)
    path = str(tmp_path / "take.wav")
    frames = sound(20_000, channels=8)
    with RingWriter(ring) as writer:
        disk = start_disk()
        disk("record", job=1, ring=ring, path=path)
        for round_number in range(6):
            for _ in range(round_number + 1):
                writer.write(frames[writer.position % 10_000 :][:1_000])
            disk.kill()
            disk = start_disk()
            disk("record", job=1, ring=ring, path=path, resume=True)
        result = disk("stop", job=1)
        assert (result["frames"], result["lost_frames"]) == (21_000, 0)
    rows = np.arange(21_000) % 10_000
    assert np.array_equal(read(path), frames[rows])


def test_what_the_ring_no_longer_holds_is_zeros_and_counted(start_disk, make_ring, sound, tmp_path):
    ring = make_ring(capacity=1000)
    path = str(tmp_path / "take.wav")
    with RingWriter(ring) as writer:
        first = start_disk()
        writer.write(sound(600))
        first("record", job=1, ring=ring, path=path)
        first.until_frames(1, 600)
        first.kill()
        for start in range(600, 2600, 500):
            writer.write(sound(500, first=start))
        second = start_disk()
        second("record", job=1, ring=ring, path=path, resume=True)
        result = second("stop", job=1)
    assert (result["frames"], result["gaps"]) == (2600, [[600, 1000, "overrun"]])
    expected = sound(2600)
    expected[600:1600] = 0
    assert np.array_equal(read(path), expected)


def test_gaps_from_before_the_kill_stay_on_the_list(start_disk, ring, writer, sound, tmp_path):
    path = str(tmp_path / "take.wav")
    writer.write(sound(100))
    writer.write(sound(100), position=150)
    first = start_disk()
    first("record", job=1, ring=ring, path=path)
    first.until_frames(1, 250)
    first.kill()
    writer.write(sound(50), position=260)
    second = start_disk()
    second("record", job=1, ring=ring, path=path, resume=True)
    result = second("stop", job=1)
    assert (result["frames"], result["gaps"]) == (310, [[100, 50, "device"], [250, 10, "device"]])


def test_nothing_to_resume(disk, ring, tmp_path):
    path = tmp_path / "take.wav"
    with pytest.raises(DiskError, match="no unfinished recording of") as caught:
        disk("record", job=1, ring=ring, path=str(path), resume=True)
    assert caught.value.code == "file_unreadable"
    path.touch()
    with pytest.raises(DiskError, match="it is whole already"):
        disk("record", job=1, ring=ring, path=str(path), resume=True)


def test_a_ring_of_another_shape_does_not_continue_a_recording(start_disk, ring, make_ring, writer, sound, tmp_path):
    path = str(tmp_path / "take.wav")
    writer.write(sound(10))
    first = start_disk()
    first("record", job=1, ring=ring, path=path)
    first.until_frames(1, 10)
    first.kill()
    second = start_disk()
    with pytest.raises(DiskError, match="they must be the same"):
        second("record", job=1, ring=make_ring(samplerate=44100), path=path, resume=True)
    assert second("record", job=1, ring=ring, path=path, resume=True)["frames"] == 10


def test_an_unfinished_recording_is_not_overwritten_unasked(start_disk, ring, writer, sound, tmp_path):
    path = str(tmp_path / "take.wav")
    writer.write(sound(10))
    first = start_disk()
    first("record", job=1, ring=ring, path=path)
    first.until_frames(1, 10)
    first.kill()
    second = start_disk()
    with pytest.raises(DiskError, match="an unfinished recording lies beside it; resume it"):
        second("record", job=1, ring=ring, path=path, overwrite=False)
    second("record", job=1, ring=ring, path=path)
    assert second("stop", job=1)["frames"] == 10


def test_a_killed_host_leaves_whole_files_and_no_process(ring, writer, sound, tmp_path, wait_for):
    """The host here is a process that starts a disk process, has it record, says its pid, and waits to be killed."""
    writer.write(sound(4000))
    host = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import json, subprocess, sys, time\n"
            "from asmu_engine.protocol.pipe import MessagePipe\n"
            "disk = subprocess.Popen([sys.executable, '-m', 'asmu_engine.disk'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "pipe = MessagePipe(disk.stdout, disk.stdin)\n"
            "pipe.send({'id': 1, 'do': 'record', 'job': 1, 'ring': sys.argv[1], 'path': sys.argv[2]})\n"
            "answer = pipe.receive()\n"
            "print(json.dumps([disk.pid, answer]), flush=True)\n"
            "time.sleep(60)\n",
            ring,
            str(tmp_path / "take.wav"),
        ],
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    pid, answer = json.loads(host.stdout.readline())
    assert answer["result"]["state"] == "running"
    child = psutil.Process(pid)
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()

    def ended() -> bool:
        try:
            return child.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_for(ended, "the end of the disk process")
    assert np.array_equal(read(tmp_path / "take.wav"), sound(4000))
    assert [file.name for file in tmp_path.iterdir()] == ["take.wav"]


@pytest.mark.parametrize("how", ["pipe", "SIGTERM", "quit"])
def test_every_way_to_end_leaves_whole_files(disk, ring, writer, sound, tmp_path, how):
    writer.write(sound(4000))
    for job in (1, 2):
        disk("record", job=job, ring=ring, path=str(tmp_path / f"{job}.wav"))
    if how == "pipe":
        disk.close()
    elif how == "SIGTERM":
        disk.process.terminate()
    else:
        assert disk("quit") == {}
    assert disk.process.wait(20) == 0
    for job in (1, 2):
        assert np.array_equal(read(tmp_path / f"{job}.wav"), sound(4000))


def test_ctrl_c_is_the_hosts_business(disk, ring, writer, sound, tmp_path):
    writer.write(sound(10))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    disk.process.send_signal(signal.SIGINT)
    assert disk("stop", job=1)["frames"] == 10


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs a limit on the size of a process's files")
@pytest.mark.parametrize(("format_name", "part"), [("WAV", "take.part"), ("FLAC", "take.part.rf64")])
def test_a_full_disk_keeps_what_was_written_and_lets_it_go_on(start_disk, ring, writer, sound, tmp_path, format_name, part):
    path = str(tmp_path / "take")
    frames = sound(30_000)
    first = start_disk()
    # A limit in the middle of a frame; the system reports it as it does a full disk, at the write.
    psutil.Process(first.process.pid).rlimit(psutil.RLIMIT_FSIZE, (80_003, 80_003))
    first("record", job=1, ring=ring, path=path, format=format_name)
    writer.write(frames[:5_000])
    first.until_frames(1, 5_000)
    writer.write(frames[5_000:20_000])
    event = first.event("failed")
    assert event["error"]["code"] == "disk_failed"
    assert os.strerror(errno.EFBIG) in event["error"]["message"]
    with pytest.raises(DiskError, match="what was written is whole in"):
        first("stop", job=1)
    written = event["frames"]
    assert 5_000 <= written <= 10_000
    assert np.array_equal(read(tmp_path / part), frames[:written])
    assert not (tmp_path / "take").exists()
    second = start_disk()
    second("record", job=1, ring=ring, path=path, resume=True)
    writer.write(frames[20_000:])
    assert second("stop", job=1)["lost_frames"] == 0
    assert read(path).shape == (30_000, 2)
    assert np.array_equal(read(path), frames)


@pytest.mark.parametrize("done", range(4))
def test_the_last_steps_are_repeated_where_a_process_died_over_them(disk, ring, tmp_path, sound, done, monkeypatch):
    """Died before any step, after the tags, after the header, after the renaming."""
    path = tmp_path / "take.wav"
    form = FileForm("WAV", "FLOAT", 48000, 2, {"title": "hall"})
    part = Part.create(path, form, overwrite=True)
    part.begin(100)
    part.write(sound(1000))

    def die(*_):
        raise KeyboardInterrupt

    place = [
        "asmu_engine.disk.whole.set_tags",
        "asmu_engine.disk.whole.make_plain_wav",
        "os.fsync",
        "asmu_engine.disk.journal.Journal.remove",
    ]
    with monkeypatch.context() as patch:
        if done == 2:  # the journal's own fsync comes first
            patch.setattr("asmu_engine.disk.journal.Journal.sync", lambda _: None)
        patch.setattr(place[done], die)
        with pytest.raises(KeyboardInterrupt):
            part.finish()
    part._journal.close()
    disk("record", job=1, ring=ring, path=str(path), resume=True)
    result = disk("stop", job=1)
    assert (result["frames"], result["first"], result["lost_frames"]) == (1000, 100, 0)
    assert np.array_equal(read(path), sound(1000))
    with soundfile.SoundFile(path) as file:
        assert (file.format, file.title) == ("WAV", "hall")
    assert [file.name for file in tmp_path.iterdir()] == ["take.wav"]


def test_a_host_that_does_not_read_its_answers_holds_up_nothing(disk, ring, writer, sound, tmp_path, wait_for):
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    asked = [disk.ask("status", job=1) for _ in range(1000)]  # the answers are several times what a pipe holds
    writer.write(sound(4000))
    wait_for(lambda: soundfile.info(tmp_path / "take.part.wav").frames == 4000, "4000 frames in the file")
    assert disk("stop", job=1)["frames"] == 4000
    assert [disk.answer(number)["job"] for number in asked] == [1] * 1000


def test_a_host_that_stopped_reading_does_not_keep_the_process(start_disk, ring, writer, sound, tmp_path):
    soon = "from asmu_engine.disk import outbox; outbox._LAST_WORDS_S = 0.5\n"
    disk = start_disk("-c", soon + "import runpy; runpy.run_module('asmu_engine.disk', run_name='__main__')")
    writer.write(sound(4000))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    for _ in range(1000):
        disk.ask("status", job=1)
    disk.process.stdin.close()
    assert disk.process.wait(20) == 0
    assert np.array_equal(read(tmp_path / "take.wav"), sound(4000))
