from __future__ import annotations

import shutil
import subprocess
import wave

import numpy as np
import pytest
import soundfile

from asmu_engine.protocol.errors import DiskError, RingError
from asmu_engine.shm.writer import RingWriter


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


@pytest.fixture
def ring(make_ring):
    return make_ring()


@pytest.fixture
def writer(ring):
    with RingWriter(ring) as end:
        yield end


@pytest.mark.parametrize(
    ("format_name", "subtype", "suffix", "written_as"),
    [
        ("WAV", "FLOAT", "wav", "WAV"),
        ("WAV", "PCM_24", "wav", "WAV"),
        ("WAV", "DOUBLE", "wav", "WAV"),
        ("WAVEX", "PCM_24", "wav", "WAVEX"),
        ("RF64", "FLOAT", "rf64", "RF64"),
        ("W64", "FLOAT", "w64", "W64"),
        ("CAF", "PCM_24", "caf", "CAF"),
        ("CAF", "ALAC_24", "caf", "CAF"),
        ("AU", "FLOAT", "au", "AU"),
        ("AIFF", "FLOAT", "aiff", "AIFF"),
        ("FLAC", "PCM_24", "flac", "FLAC"),
    ],
)
def test_the_file_holds_every_frame(disk, ring, writer, sound, tmp_path, format_name, subtype, suffix, written_as):
    frames = sound(10007)
    writer.write(frames, position=1000)
    path = tmp_path / f"take.{suffix}"
    disk("record", job=1, ring=ring, path=str(path), format=format_name, subtype=subtype)
    result = disk("stop", job=1)
    assert {
        key: result[key] for key in ("frames", "lost_frames", "first", "position", "path", "gaps", "samplerate", "channels")
    } == {
        "frames": 10007,
        "lost_frames": 0,
        "first": 1000,
        "position": 11007,
        "path": str(path),
        "gaps": [],
        "samplerate": 48000,
        "channels": 2,
    }
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate) == (written_as, subtype, 48000)
    assert np.array_equal(read(path), frames)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_compressed_file_has_every_frame(disk, ring, writer, sound, tmp_path):
    writer.write(sound(5000))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.ogg"), format="OGG", subtype="VORBIS")
    assert disk("stop", job=1)["frames"] == 5000
    assert soundfile.info(tmp_path / "take.ogg").frames == 5000


def test_another_program_reads_the_wav(disk, ring, writer, sound, tmp_path):
    writer.write(sound(999) / 2)
    path = tmp_path / "take.wav"
    disk("record", job=1, ring=ring, path=str(path), subtype="PCM_16", tags={"title": "ü"})
    disk("stop", job=1)
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (2, 2, 48000, 999)
        data = np.frombuffer(file.readframes(999), "<i2").reshape(-1, 2)
    assert np.array_equal(data, np.round(read(path) * 2**15))


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_24"])
def test_sox_reads_the_wav_without_a_complaint(disk, ring, writer, sound, tmp_path, subtype):
    frames = sound(999)
    writer.write(frames)
    path = tmp_path / "take.wav"
    disk("record", job=1, ring=ring, path=str(path), subtype=subtype)
    disk("stop", job=1)
    sox = subprocess.run(
        ["sox", str(path), "-t", "raw", "-e", "signed", "-b", "32", "-"], capture_output=True, check=True, timeout=20
    )
    assert sox.stderr == b""
    assert np.array_equal(np.frombuffer(sox.stdout, "<i4").reshape(-1, 2) / 2**31, frames)


def test_lost_frames_are_zeros_so_that_the_file_keeps_the_frame_axis(disk, ring, writer, sound, tmp_path):
    frames = sound(1000)
    writer.write(frames[:100], position=50)
    writer.write(frames[130:400], position=180)
    writer.write(frames[401:], position=451)
    path = tmp_path / "take.wav"
    disk("record", job=1, ring=ring, path=str(path))
    result = disk("stop", job=1)
    assert result["gaps"] == [[150, 30, "device"], [450, 1, "device"]]
    assert (result["frames"], result["lost_frames"], result["gap_count"]) == (1000, 31, 2)
    frames[100:130] = frames[400] = 0
    assert np.array_equal(read(path), frames)


def test_a_start_that_the_ring_has_lost_is_refused(disk, make_ring, sound, tmp_path):
    ring = make_ring(capacity=100)
    with RingWriter(ring) as writer:
        for first in range(0, 300, 50):
            writer.write(sound(50, first=first))
        path = tmp_path / "take.wav"
        with pytest.raises(RingError, match="from 200 on") as refusal:
            disk("record", job=1, ring=ring, path=str(path), start=199)
        assert refusal.value.code == "ring_position"
        assert not list(tmp_path.iterdir())
        disk("record", job=2, ring=ring, path=str(path), start=200)
        assert disk("stop", job=2)["frames"] == 100
    assert np.array_equal(read(path), sound(100, first=200))


def test_a_start_to_come_begins_with_that_frame(disk, ring, writer, sound, tmp_path):
    writer.write(sound(100))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"), start=333)
    writer.write(sound(500, first=100))
    result = disk("stop", job=1)
    assert (result["first"], result["frames"], result["lost_frames"]) == (333, 267, 0)
    assert np.array_equal(read(tmp_path / "take.wav"), sound(267, first=333))


def test_a_start_that_never_comes_gives_a_file_without_frames(disk, ring, writer, sound, tmp_path):
    writer.write(sound(100))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"), start=333)
    assert disk("stop", job=1)["frames"] == 0


def test_frames_from_before_the_tap_are_zeros(disk, ring, writer, sound, tmp_path):
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"), start=40)
    writer.write(sound(100), position=100)
    result = disk("stop", job=1)
    assert (result["first"], result["frames"], result["gaps"]) == (40, 160, [[40, 60, "absent"]])
    assert np.array_equal(read(tmp_path / "take.wav")[60:], sound(100))


def test_a_start_within_the_ring(disk, ring, writer, sound, tmp_path):
    writer.write(sound(500))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"), start=123)
    assert disk("stop", job=1)["first"] == 123
    assert np.array_equal(read(tmp_path / "take.wav"), sound(377, first=123))


@pytest.mark.parametrize(("until", "expected"), [(170, 70), (100, 0), (50, 0), (225, 125), (290, 190)])
def test_a_stop_at_a_position_that_has_passed_cuts_there(disk, ring, writer, sound, tmp_path, until, expected):
    frames = sound(200)
    writer.write(frames[:120], position=100)
    writer.write(frames[130:], position=230)
    path = tmp_path / "take.wav"
    disk("record", job=1, ring=ring, path=str(path))
    disk.until_frames(1, 200)
    result = disk("stop", job=1, until=until)
    lost = max(0, min(until, 230) - 220)
    assert (result["frames"], result["lost_frames"]) == (expected, lost)
    frames[120:130] = 0
    assert np.array_equal(read(path), frames[:expected])


def test_a_stop_at_a_position_to_come_waits_for_it(disk, ring, writer, sound, tmp_path):
    writer.write(sound(100))
    path = tmp_path / "take.wav"
    disk("record", job=1, ring=ring, path=str(path))
    stop = disk.ask("stop", job=1, until=150)
    disk.until_frames(1, 100)
    assert disk("status", job=1)["state"] == "running"
    writer.write(sound(100, first=100))
    assert disk.answer(stop)["frames"] == 150
    assert np.array_equal(read(path), sound(150))


def test_a_stop_for_now_overrides_one_to_come_and_both_are_answered(disk, ring, writer, sound, tmp_path):
    writer.write(sound(100))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    later = disk.ask("stop", job=1, until=10**9)
    assert disk("stop", job=1)["frames"] == 100
    assert disk.answer(later)["frames"] == 100


def test_a_tap_without_a_frame_makes_an_empty_file(disk, ring, tmp_path):
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    result = disk("stop", job=1)
    assert (result["first"], result["position"], result["frames"]) == (None, None, 0)
    assert len(read(tmp_path / "take.wav")) == 0


def test_the_file_ends_by_itself_when_the_ring_is_closed(disk, ring, sound, tmp_path):
    disk("record", job=7, ring=ring, path=str(tmp_path / "take.wav"))
    writer = RingWriter(ring)
    writer.write(sound(777))
    writer.close()
    event = disk.event("finished")
    assert (event["event"], event["job"], event["frames"], event["part"]) == ("job", 7, 777, "")
    assert np.array_equal(read(tmp_path / "take.wav"), sound(777))
    assert disk("stop", job=7)["frames"] == 777


def test_a_running_recording_reads_whole_under_its_temporary_name(disk, ring, writer, sound, tmp_path):
    writer.write(sound(300))
    result = disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    assert result["state"] == "running"
    disk.until_frames(1, 300)
    part = tmp_path / "take.part.wav"
    assert result["part"] == str(part)
    assert np.array_equal(read(part), sound(300))
    assert not (tmp_path / "take.wav").exists()


def test_it_tells_its_progress(disk, ring, writer, sound, tmp_path):
    writer.write(sound(4800))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    event = disk.event("running")
    assert (event["job"], event["frames"], event["seconds"]) == (1, 4800, 0.1)


def test_an_engine_without_a_clock_waits_for_the_recording(disk, make_ring, sound, tmp_path, wait_for):
    ring = make_ring(capacity=1000)
    path = tmp_path / "take.wav"
    disk("record", job=1, ring=ring, path=str(path))
    with RingWriter(ring) as writer:
        for first in range(0, 50000, 250):
            wait_for(lambda: writer.room() >= 250, "room in the ring")
            writer.write(sound(250, first=first))
        result = disk("stop", job=1)
        assert writer.slowest_paced() is None
    assert (result["frames"], result["lost_frames"]) == (50000, 0)
    assert np.array_equal(read(path), sound(50000))


@pytest.mark.parametrize(("format_name", "subtype"), [("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("CAF", "PCM_16"), ("OGG", "VORBIS")])
def test_tags_are_kept(disk, ring, writer, sound, tmp_path, format_name, subtype):
    writer.write(sound(100))
    tags = {"title": "Bass trap", "comment": "4,2 m / ±3 dB", "date": "2026"}
    disk("record", job=1, ring=ring, path=str(tmp_path / "take"), format=format_name, subtype=subtype, tags=tags)
    disk("stop", job=1)
    with soundfile.SoundFile(tmp_path / "take") as file:
        assert {name: getattr(file, name) for name in tags} == tags
        assert file.frames == 100


def test_it_replaces_an_existing_file_only_when_it_is_whole(disk, ring, writer, sound, tmp_path):
    path = tmp_path / "take.wav"
    path.write_bytes(b"precious")
    writer.write(sound(100))
    disk("record", job=1, ring=ring, path=str(path))
    disk.until_frames(1, 100)
    assert path.read_bytes() == b"precious"
    disk("stop", job=1)
    assert len(read(path)) == 100


def test_an_existing_file_is_refused_without_overwrite(disk, ring, tmp_path):
    path = tmp_path / "take.wav"
    path.write_bytes(b"precious")
    with pytest.raises(DiskError, match=r"exists already; allow overwriting") as caught:
        disk("record", job=1, ring=ring, path=str(path), overwrite=False)
    assert caught.value.code == "file_unwritable"
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"precious"]


def test_two_recordings_to_one_file_are_refused(disk, start_disk, ring, writer, sound, tmp_path):
    writer.write(sound(10))
    path = str(tmp_path / "take.wav")
    disk("record", job=1, ring=ring, path=path)
    for other in (disk, start_disk()):
        with pytest.raises(DiskError, match="another recording to the same file is running") as caught:
            other("record", job=2, ring=ring, path=path)
        assert (caught.value.code, caught.value.retry) == ("file_unwritable", True)
    assert disk("stop", job=1)["frames"] == 10
    assert disk("record", job=2, ring=ring, path=path)["state"] == "running"


def test_attach_goes_on_with_another_ring(disk, make_ring, sound, tmp_path):
    old, new = make_ring(), make_ring()
    frames = sound(1000)
    path = tmp_path / "take.wav"
    with RingWriter(old) as first, RingWriter(new) as second:
        first.write(frames[:400])
        second.write(frames[450:], position=450)
        disk("record", job=1, ring=old, path=str(path))
        disk("attach", job=1, ring=new)
        result = disk("stop", job=1)
    assert (result["frames"], result["gaps"]) == (1000, [[400, 50, "restart"]])
    frames[400:450] = 0
    assert np.array_equal(read(path), frames)


def test_attach_to_a_ring_of_another_shape_is_refused_and_the_recording_goes_on(disk, ring, writer, make_ring, sound, tmp_path):
    writer.write(sound(10))
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    with pytest.raises(DiskError, match=r"has 2 channels at 48000 Hz, ring asmu.test.1 3 channels at 48000 Hz"):
        disk("attach", job=1, ring=make_ring(channels=3))
    writer.write(sound(10))
    assert disk("stop", job=1)["frames"] == 20
    with pytest.raises(DiskError, match="recording 1 has ended"):
        disk("attach", job=1, ring=ring)


def test_a_new_audio_process_on_the_same_ring_leaves_a_gap(disk, ring, sound, tmp_path):
    frames = sound(600)
    disk("record", job=1, ring=ring, path=str(tmp_path / "take.wav"))
    with RingWriter(ring) as first:
        first.write(frames[:300])
        disk.until_frames(1, 300)
        first.close(final=False)
    with RingWriter(ring) as second:
        second.write(frames[340:], position=340)
        result = disk("stop", job=1)
    assert result["gaps"] == [[300, 40, "restart"]]
    frames[300:340] = 0
    assert np.array_equal(read(tmp_path / "take.wav"), frames)
