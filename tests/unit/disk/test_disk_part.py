"""The growing file by itself, and the headers of large ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from asmu_engine.disk.formats import FileForm, file_form
from asmu_engine.disk.part import Part
from asmu_engine.disk.paths import journal_path
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.plainwav import make_plain_wav


@pytest.fixture
def path(tmp_path):
    return tmp_path / "take.wav"


@pytest.fixture
def form():
    return FileForm("WAV", "FLOAT", 48000, 2)


def test_a_gap_counts_only_as_far_as_its_zeros_are_in_the_file(path, form, sound):
    part = Part.create(path, form, overwrite=True)
    part.begin(0)
    part.write(sound(10))
    part._journal.note(gap=[10, 1000, "device"])
    part.write(np.zeros((7, 2), np.float32))
    part._close()
    part._journal.close()
    again = Part.resume(path)
    assert (again.position, again.gaps) == (17, [(10, 7, "device")])
    again.write_gap(993, "device")
    assert again.gaps == [(10, 1000, "device")]
    again.abandon()


def test_half_a_line_of_the_journal_is_dropped(path, form, sound):
    part = Part.create(path, form, overwrite=True)
    part.begin(5)
    part.write(sound(10))
    part.abandon()
    with journal_path(path).open("ab") as file:
        file.write(b'{"gap":[15,')
    again = Part.resume(path)
    again.write_gap(3, "overrun")
    again.abandon()
    third = Part.resume(path)
    assert third.gaps == [(15, 3, "overrun")]
    third.abandon()


@pytest.mark.parametrize("content", [b"", b"{}\n", b"nonsense\n"])
def test_a_damaged_journal_is_refused(path, form, content):
    part = Part.create(path, form, overwrite=True)
    part.abandon()
    journal_path(path).write_bytes(content)
    with pytest.raises(DiskError, match=r"the journal .* is damaged") as caught:
        Part.resume(path)
    assert caught.value.code == "file_unreadable"


def test_a_part_that_is_gone_is_refused(path, form):
    part = Part.create(path, form, overwrite=True)
    part.abandon()
    part.part.unlink()
    with pytest.raises(DiskError, match="cannot go on with") as caught:
        Part.resume(path)
    assert caught.value.code == "file_unreadable"


def test_a_wav_below_four_gibibytes_is_plain(path, form, sound):
    part = Part.create(path, form, overwrite=True)
    part.begin(0)
    part.write(sound(100))
    part.finish()
    head = path.read_bytes()[:80]
    assert struct.unpack("<4sI4s4s", head[:16]) == (b"RIFF", path.stat().st_size - 8, b"WAVE", b"JUNK")
    assert struct.unpack("<4sIHHIIHHH", head[48:74]) == (b"fmt ", 18, 3, 2, 48000, 384000, 8, 32, 0)
    assert soundfile.info(path).format == "WAV"
    assert make_plain_wav(path)  # a second time it is left alone
    assert path.read_bytes()[:80] == head


def test_a_wav_beyond_four_gibibytes_stays_rf64_and_reads_whole(path, sound):
    """The middle is a hole in the file: nothing of that size is written."""
    frames = 2**32 // 8 + 1000
    part = Part.create(path, FileForm("WAV", "FLOAT", 48000, 2), overwrite=True)
    part.begin(0)
    part.write(sound(1000))
    part._file.close()
    with part.part.open("r+b") as file:
        file.truncate(path.parent.joinpath(part.part.name).stat().st_size + 2**32)
        file.seek(20)
        file.write(struct.pack("<QQQ", 2**32 + 8000 + 72, 2**32 + 8000, frames))
    part._journal.close()
    again = Part.resume(path)
    assert again.frames == frames
    again.write(sound(1000))
    again.finish()
    info = soundfile.info(path)
    assert (info.format, info.frames) == ("RF64", frames + 1000)
    tail, _ = soundfile.read(path, start=frames, dtype="float32")
    assert np.array_equal(tail, sound(1000))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("ABC", "", 48000, 2, {}), "ABC is not a format to record in; use one of AIFF, .*WAV"),
        (("RAW", "FLOAT", 48000, 2, {}), "RAW is not a format"),
        (("FLAC", "FLOAT", 48000, 2, {}), "FLAC does not hold FLOAT; use one of PCM_16, PCM_24, PCM_S8"),
        (("FLAC", "PCM_24", 48000, 9, {}), "FLAC PCM_24 cannot hold 9 channels at 48000 Hz"),
        (("WAV", "FLOAT", 44100.5, 2, {}), "a whole number of Hz, the ring's is 44100.5"),
        (("WAV", "FLOAT", 48000, 2, {"mood": "calm"}), "unknown tag mood; use title, "),
        (("W64", "FLOAT", 48000, 2, {"title": "hall"}), "with tags: .*does not support string data"),
        (("AIFF", "PCM_16", 48000, 2, {"date": "2026"}), "AIFF does not keep the tag date"),
    ],
)
def test_forms_that_no_file_can_have(arguments, text):
    with pytest.raises(DiskError, match=text) as caught:
        file_form(*arguments)
    assert caught.value.code == "file_format"


@pytest.mark.parametrize(("format_name", "subtype"), [("wav", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("CAF", "FLOAT")])
def test_the_finest_subtype_is_the_usual_one(format_name, subtype):
    assert file_form(format_name, "", 48000, 1, {}).subtype == subtype


@pytest.mark.parametrize("format_name", ["WAV", "RF64", "W64", "CAF", "AU", "FLAC"])
def test_a_part_without_a_frame_can_be_resumed(path, format_name, sound):
    part = Part.create(path, file_form(format_name, "", 48000, 2, {}), overwrite=True)
    part._journal.close()  # as a killed process leaves it: the sound file is not closed
    again = Part.resume(path)
    assert (again.first, again.position, again.frames) == (None, None, 0)
    again.begin(7)
    again.write(sound(10))
    again.finish()
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], sound(10))
    part._file.close()
