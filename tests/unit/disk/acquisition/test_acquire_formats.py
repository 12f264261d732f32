"""What segments can be, and what other programs make of them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
import soundfile

from asmu_engine.disk.bext import broadcast_info, time_reference
from asmu_engine.protocol.errors import DiskError

NOON = 1_767_268_800_000_000_000  # 2026-01-01T12:00:00Z
SETTINGS = {"minimum_free": 0, "rollover_seconds": 0.05}  # 2400 frames


def record(disk, ring, writer, sound, folder, frames=5000, **settings):
    disk("acquire", job=1, ring=ring, folder=str(folder), settings={**SETTINGS, **settings})
    writer.write(sound(frames), monotonic_ns=1, utc_ns=NOON + 1_500_000_000)
    return disk("stop", job=1)


@pytest.mark.parametrize(
    ("format_name", "subtype", "suffix", "written_as"),
    [
        ("WAV", "FLOAT", ".wav", "WAV"),
        ("WAV", "PCM_24", ".wav", "WAV"),
        ("WAVEX", "PCM_24", ".wav", "WAVEX"),
        ("RF64", "FLOAT", ".wav", "RF64"),
        ("W64", "FLOAT", ".w64", "W64"),
        ("CAF", "PCM_24", ".caf", "CAF"),
        ("AU", "FLOAT", ".au", "AU"),
        ("AIFF", "PCM_24", ".aiff", "AIFF"),
        ("FLAC", "PCM_24", ".flac", "FLAC"),
    ],
)
def test_every_frame_is_in_the_segments(disk, ring, writer, sound, folder, take, format_name, subtype, suffix, written_as):
    status = record(disk, ring, writer, sound, folder, format=format_name, subtype=subtype)
    assert (status["format"], status["subtype"], status["segments"]) == (format_name, subtype, 3)
    take.check()
    assert take.spans() == [(0, 2400), (2400, 2400), (4800, 200)]
    assert np.array_equal(take.audio(), sound(5000))
    for segment in take.manifest.segments:
        assert segment.file.endswith(f"Z{suffix}")
        info = soundfile.info(folder / segment.file)
        assert (info.format, info.subtype) == (written_as, subtype)


def test_tags_are_in_each_segment(disk, ring, writer, sound, folder, take):
    record(disk, ring, writer, sound, folder, tags={"title": "hall"}, format="FLAC")
    for segment in take.manifest.segments:
        with soundfile.SoundFile(folder / segment.file) as file:
            assert file.title == "hall"


def bext(content):
    """Date, time of the day and time reference of a Broadcast-WAV (EBU Tech 3285)."""
    at = content.index(b"bext") + 8
    date, clock, low, high, version = struct.unpack_from("<10s8sIIh", content, at + 320)
    return date.decode(), clock.decode(), low | high << 32, version


@pytest.mark.parametrize("format_name", ["WAV", "RF64", "WAVEX"])
def test_broadcast_wav_tells_the_time_of_its_first_frame(disk, ring, writer, sound, folder, take, format_name):
    record(disk, ring, writer, sound, folder, format=format_name, tags={"title": "hall"})
    start = round((12 * 3600 + 1.5) * 48_000)
    for segment, seconds in zip(take.manifest.segments, ("01", "01", "01"), strict=True):
        content = (folder / segment.file).read_bytes()
        assert bext(content) == ("2026-01-01", f"12:00:{seconds}", start + segment.first, 2)
        assert content.index(b"bext") < content.index(b"data")
        with soundfile.SoundFile(folder / segment.file) as file:
            assert (file.frames, file.title) == (segment.frames, "hall")


@pytest.mark.skipif(shutil.which("sox") is None, reason="needs sox, another reader of sound files")
def test_sox_reads_a_segment(disk, ring, writer, sound, folder, take):
    record(disk, ring, writer, sound, folder, format="WAV", subtype="PCM_16")
    path = folder / take.manifest.segments[0].file
    raw = subprocess.run(["sox", path, "-t", "raw", "-"], capture_output=True, check=True)
    assert raw.stderr == b""
    assert np.array_equal(np.frombuffer(raw.stdout, "<i2").reshape(-1, 2), soundfile.read(path, dtype="int16")[0])


def test_the_time_reference_counts_from_midnight_and_needs_more_than_32_bits():
    midnight = NOON - 12 * 3600 * 10**9
    assert time_reference(midnight, 192_000) == 0
    assert time_reference(midnight + 86_399 * 10**9, 192_000) == 86_399 * 192_000 > 2**32
    info = broadcast_info("x", "y", midnight + 86_399 * 10**9, 192_000)
    low, high = struct.unpack_from("<II", info, 340)
    assert low | high << 32 == 86_399 * 192_000
    assert info[320:338] == b"2026-01-0123:59:59"


def test_hdf5_holds_the_frames_as_one_dataset(disk, ring, writer, sound, folder, take):
    status = record(disk, ring, writer, sound, folder, format="HDF5", tags={"title": "hall"})
    assert (status["format"], status["subtype"]) == ("HDF5", "FLOAT")
    take.check()
    assert take.spans() == [(0, 2400), (2400, 2400), (4800, 200)]
    for segment in take.manifest.segments:
        with h5py.File(folder / segment.file) as file:
            audio = file["audio"]
            assert (audio.dtype, audio.chunks is not None) == (np.float32, True)
            assert np.array_equal(audio[:], sound(segment.frames, first=segment.first))
            assert (audio.attrs["samplerate"], audio.attrs["first"]) == (48_000, segment.first)
            begin = datetime.fromtimestamp(NOON / 1e9 + 1.5 + segment.first / 48_000, UTC)
            assert abs((datetime.fromisoformat(audio.attrs["utc"]) - begin).total_seconds()) < 0.001
            assert file.attrs["title"] == "hall"


def test_hdf5_is_float(disk, ring, folder):
    with pytest.raises(DiskError, match="HDF5 holds FLOAT here, not PCM_24"):
        disk("acquire", job=1, ring=ring, folder=str(folder), settings={"format": "HDF5", "subtype": "PCM_24"})
    with pytest.raises(DiskError, match="HDF5 is not a format to record in"):
        disk("record", job=1, ring=ring, path=str(folder.with_suffix(".h5")), format="HDF5")
