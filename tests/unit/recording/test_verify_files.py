"""Every kind of damage to the files of a recording: each is found, named with its frames, and makes the verdict."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import soundfile
from made_folder import MadeFolder, codes, only, reconciles, three_segments

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.verify import verify_recording


@pytest.fixture
def made(tmp_path):
    return three_segments(tmp_path / "take")


def test_a_flipped_bit(made):
    path = next(made.path.glob("000002*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    verdict = verify_recording(made.path)
    problem = only(verdict, "checksum")
    assert (verdict.exit_status, problem.segment, problem.position, problem.frames) == (5, 2, 48_000_001_000, 1000)
    assert "was changed since it was written" in problem.text
    assert "checksums are NOT right" in str(verdict)
    assert reconciles(verdict)


@pytest.mark.parametrize("format_name", ["WAV", "RF64", "W64", "CAF", "AU"])
def test_a_truncated_segment_says_which_frames_are_gone(tmp_path, format_name):
    made = MadeFolder(tmp_path / "take", format=format_name)
    path = made.segment(1000)
    made.segment(10)
    made.finish()
    os.truncate(path, path.stat().st_size - 8 * 300 - 3)
    verdict = verify_recording(made.path, quick=True)
    problem = only(verdict, "frames")
    assert (problem.position, problem.frames) == (699, 301)
    assert (verdict.outcome, verdict.delivered, verdict.missing) == ("damaged", 709, 301)
    assert "frames 699 to 1000 are gone" in problem.text
    assert "(2026-01-01T00:00:00.014Z to 2026-01-01T00:00:00.020Z)" in problem.text


@pytest.mark.parametrize("format_name", ["FLAC", "HDF5"])
def test_a_truncated_segment_of_another_format_is_damaged(tmp_path, format_name):
    made = MadeFolder(tmp_path / "take", format=format_name, channels=1)
    made.audio = lambda first, frames, channels: np.random.default_rng(1).uniform(-1, 1, (frames, 1)).astype("f4")
    path = made.segment(5000)
    made.finish()
    os.truncate(path, path.stat().st_size // 2)
    verdict = verify_recording(made.path)
    assert verdict.outcome == "damaged"
    assert any(str(path) in problem.text for problem in verdict.problems)


def test_a_missing_file(made):
    path = next(made.path.glob("000002*"))
    path.unlink()
    verdict = verify_recording(made.path)
    problem = only(verdict, "file_missing")
    assert (problem.position, problem.frames) == (48_000_001_000, 1000)
    assert f"{path} is missing: frames 48000001000 to 48000002000 were in it" in problem.text
    assert (verdict.missing, verdict.delivered) == (1000, 1950)
    assert reconciles(verdict)


def test_lost_frames_in_a_missing_file_count_as_lost_once(made):
    next(made.path.glob("000001*")).unlink()
    verdict = verify_recording(made.path)
    assert (verdict.missing, verdict.lost_frames) == (950, 5050)


def test_a_renamed_segment_is_recognized(made):
    path = next(made.path.glob("000002*"))
    path.rename(made.path / "hall.wav")
    verdict = verify_recording(made.path)
    problem = only(verdict, "file_renamed")
    assert f"{made.path / 'hall.wav'} has its content: give it its name back" in problem.text
    assert verdict.missing == 1000


def test_a_missing_segment_is_not_taken_for_another_of_the_same_content(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.audio = lambda first, frames, channels: np.zeros((frames, channels), np.float32)
    paths = [made.segment(1000) for _ in range(3)]
    made.finish()
    paths[1].unlink()
    assert only(verify_recording(made.path), "file_missing").segment == 2


def test_a_segment_under_its_temporary_name_is_not_whole(made):
    path = next(made.path.glob("000002*"))
    part = path.with_name(f"{path.stem}.part.wav")
    path.rename(part)
    assert only(verify_recording(made.path), "file_renamed").segment == 2
    os.truncate(part, 500)
    assert f"only {part}" in only(verify_recording(made.path), "file_missing").text


def test_two_segments_exchanged(made):
    one, two = next(made.path.glob("000001*")), next(made.path.glob("000002*"))
    one.rename(made.path / "x")
    two.rename(one)
    (made.path / "x").rename(two)
    assert codes(verify_recording(made.path)) == ["gap_not_zero", "checksum", "checksum"]


def test_a_file_of_other_channels_or_another_samplerate(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000)
    made.finish()
    soundfile.write(path, np.ones((1000, 1), "f4"), 44100, "FLOAT")
    (problem,) = [p for p in verify_recording(made.path).problems if p.code == "header"]
    assert "1 channels at 44100 Hz, the manifest says 2 at 48000 Hz" in problem.text


def test_a_file_that_is_no_sound_file(made):
    path = next(made.path.glob("000002*"))
    path.write_bytes(bytes(8056))
    verdict = verify_recording(made.path, quick=True)
    assert only(verdict, "file_unreadable").frames == 1000
    assert verdict.missing == 1000


def test_an_empty_file(made):
    os.truncate(next(made.path.glob("000003*")), 0)
    assert only(verify_recording(made.path, quick=True), "file_unreadable").segment == 3


def test_a_header_of_no_frames(tmp_path):
    made = MadeFolder(tmp_path / "take", format="RF64")
    path = made.segment(1000)
    made.finish()
    with path.open("r+b") as file:
        file.seek(20)
        file.write(bytes(24))
    problem = only(verify_recording(made.path, quick=True), "frames")
    assert "has 0 frames, the ledger says 1000" in problem.text


def test_frames_that_were_added(made):
    path = next(made.path.glob("000003*"))
    soundfile.write(path, np.ones((1010, 2), "f4"), 48000, "FLOAT")
    problem = only(verify_recording(made.path, quick=True), "frames")
    assert "has 10 frames that the ledger does not know of" in problem.text


def test_a_filled_gap_that_is_not_silent(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.note(ledger.Gap(position=990, frames=30, cause="device", filled=True))
    rows = made.expected(1000, 500, (1000, 20, ""))
    made.audio = lambda first, frames, channels: rows
    made.segment(500)
    verdict = verify_recording(made.finish())
    problem = only(verdict, "gap_not_zero")
    assert (problem.segment, problem.position, problem.frames) == (1, 990, 10)
    assert "is not zero in frame 990, though the ledger says that frames 990 to 1020 were lost (device)" in problem.text


@pytest.mark.parametrize(("format_name", "subtype"), [("WAV", "PCM_U8"), ("WAV", "ULAW"), ("WAV", "PCM_16"), ("OGG", "VORBIS")])
def test_silence_is_known_in_every_sample_format(tmp_path, format_name, subtype):
    made = MadeFolder(tmp_path / "take", format=format_name, subtype=subtype, samplerate=8000)
    made.segment(8000, (100, 2000, "device"))
    assert verify_recording(made.finish()).outcome == "losses"


def test_extra_files_are_named_and_do_no_harm(made):
    (made.path / "notes.txt").write_text("windy")
    (made.path / ".reserve").write_bytes(b"x")
    verdict = verify_recording(made.path)
    assert verdict.outcome == "losses"
    assert [problem.file for problem in verdict.problems] == ["notes.txt"]


def test_a_dropped_segment_that_is_still_there(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000)
    kept = shutil.copy(path, tmp_path / "kept")
    made.segment(500)
    made.drop(1)
    shutil.copy(kept, path)
    verdict = verify_recording(made.finish())
    assert (verdict.outcome, codes(verdict, "note")) == ("losses", ["dropped_exists"])


def test_a_second_folder_and_one_that_is_gone(tmp_path):
    second = tmp_path / "second"
    made = MadeFolder(tmp_path / "take", second_folder=str(second), on_full="second_folder")
    made.segment(1000)
    made.segment(500, folder=second)
    made.finish()
    assert verify_recording(made.path).outcome == "whole"
    second.rename(tmp_path / "elsewhere")
    verdict = verify_recording(made.path)
    problem = only(verdict, "folder_missing")
    assert f"the folder {second} is not: attach its disk" in problem.text
    assert (verdict.missing, problem.position, problem.frames) == (500, 1000, 500)
    for path in (tmp_path / "elsewhere").glob("*.wav"):
        shutil.copy(path, made.path)
    assert verify_recording(made.path).outcome == "whole"


def test_a_recording_whose_ledger_moved_on_is_looked_for_there(tmp_path):
    second = MadeFolder(tmp_path / "second")
    second.segment(100)
    second.finish()
    first = MadeFolder(tmp_path / "take", second_folder=str(second.path), on_full="second_folder")
    first.segment(50)
    with pytest.raises(DiskError, match=f"went on in {second.path}"):
        verify_recording(first.write())
