"""What a verdict says of a recording that is sound, unfinished, or just being written."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_folder import FORMATS, MadeFolder, codes, only, three_segments

from asmu_engine.recording import check_files, ledger
from asmu_engine.recording.names import LEDGER
from asmu_engine.recording.verify import verify_recording


@pytest.fixture
def made(tmp_path):
    return three_segments(tmp_path / "take")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_recording_without_a_loss_is_whole(tmp_path, format_name):
    made = MadeFolder(tmp_path / "take", format=format_name)
    for frames in (1000, 1, 3000):
        made.segment(frames)
    verdict = verify_recording(made.finish())
    assert (verdict.outcome, verdict.exit_status, verdict.problems) == ("whole", 0, ())
    assert (verdict.frames, verdict.delivered, verdict.lost, verdict.missing) == (4001, 4001, {}, 0)
    assert [segment.frames for segment in verdict.segments] == [1000, 1, 3000]
    assert verdict.hashed
    assert "every frame is there" in str(verdict)


def test_losses_are_counted_by_cause_and_a_clock_is_summed_up(made):
    verdict = verify_recording(made.path)
    assert (verdict.outcome, verdict.exit_status, verdict.problems) == ("losses", 4, ())
    assert (verdict.first, verdict.position) == (48_000_000_000, 48_000_008_000)
    assert (verdict.frames, verdict.delivered) == (8000, 2950)
    assert (verdict.lost, verdict.lost_frames, verdict.uncertainty) == ({"device": 50, "restart": 5000}, 5050, 12)
    assert verdict.clock is not None
    assert (verdict.clock.fits, verdict.clock.ppm, verdict.clock.steps) == (1, 37.0, ())
    # One million seconds at 37 ppm fast, so 37 s sooner.
    assert verdict.begin_utc == "2026-01-12T13:46:03.001Z"
    text = str(verdict)
    assert "5050 frames (0:00:00.105) ± 12, accounted for: device 50, restart 5000" in text
    assert "frames 48000002000 to 48000007000: 5000 ± 12, restart, between segments" in text
    assert json.loads(json.dumps(verdict.to_json()))["exit_status"] == 4


def test_a_dropped_segment_is_accounted_for(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000, (10, 5, "device"))
    made.segment(500)
    made.drop(1)
    verdict = verify_recording(made.finish())
    assert (verdict.outcome, verdict.problems) == ("losses", ())
    assert (verdict.delivered, verdict.dropped, verdict.lost) == (500, 995, {"device": 5})


def test_a_recording_that_ended_early_is_not_whole(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    verdict = verify_recording(made.finish("failed", "the disk is full"))
    assert (verdict.outcome, verdict.state, verdict.problems) == ("losses", "failed", ())
    assert "it ended early" in str(verdict)
    assert "the disk is full" in str(verdict)


def test_a_recording_of_nothing_is_whole(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.write_checksums()
    verdict = verify_recording(made.finish())
    assert (verdict.outcome, verdict.frames, verdict.segments) == ("whole", 0, ())


def test_a_gap_over_two_segments_and_one_that_the_end_cuts(tmp_path):
    made = MadeFolder(tmp_path / "take")
    gap = (900, 300, "device")
    made.segment(1000, gap)
    made.segments[2] = made.segments[1].model_copy(update={"index": 2})
    del made.segments[2]
    rows = made.expected(1000, 500, gap)
    made.audio = lambda first, frames, channels: rows
    made.segment(500)
    made.note(ledger.Gap(position=1500, frames=77, cause="stopped", filled=True))
    verdict = verify_recording(made.finish())
    assert (verdict.outcome, verdict.problems) == ("losses", ())
    assert (verdict.frames, verdict.delivered, verdict.lost) == (1500, 1200, {"device": 300})


def test_xruns_that_nobody_counted_are_told(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.note(ledger.Xrun(position=5, flags=("input_overflow",), frames=0, uncertainty=256))
    made.segment(1000)
    verdict = verify_recording(made.finish())
    assert (verdict.outcome, verdict.xruns, verdict.uncounted) == ("whole", 1, 256)
    assert "up to 256 frames more are missing" in str(verdict)


def test_quick_reads_no_whole_file(made):
    path = next(made.path.glob("000001*"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    quick = verify_recording(made.path, quick=True)
    assert (quick.outcome, quick.hashed) == ("losses", False)
    assert "checksums were not checked" in str(quick)
    assert verify_recording(made.path).outcome == "damaged"


def test_progress_goes_up_to_the_size_of_all_files(made):
    told: list[tuple[int, int]] = []
    verify_recording(made.path, progress=lambda done, total: told.append((done, total)))
    total = sum(path.stat().st_size for path in made.path.glob("*.wav"))
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("lying_header", [False, True])
def test_an_interrupted_recording_is_unfinished_whatever_its_header_says(tmp_path, format_name, lying_header):
    made = MadeFolder(tmp_path / "take", format=format_name)
    made.segment(1000)
    part = made.growing(700, (1100, 20, "device"), lying_header=lying_header, extra=b"abc")
    verdict = verify_recording(made.write())
    assert (verdict.outcome, verdict.exit_status) == ("unfinished", 6)
    assert (verdict.frames, verdict.delivered, verdict.lost, verdict.missing) == (1700, 1680, {"device": 20}, 0)
    assert f"700 frames are in {part}; `asmu repair` makes it whole" in only(verdict, "segment_unfinished").text


def test_a_part_of_no_bytes_and_one_that_was_never_made(tmp_path):
    for name, size in (("empty", 0), ("short", 30), ("none", None)):
        made = MadeFolder(tmp_path / name)
        made.segment(1000)
        part = made.growing(0)
        if size is None:
            part.unlink()
        else:
            os.truncate(part, size)
        verdict = verify_recording(made.write())
        assert (verdict.outcome, verdict.delivered, verdict.missing) == ("unfinished", 1000, 0)


def test_frames_that_had_not_come_to_the_disk(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.ended(1000, rows=600)
    verdict = verify_recording(made.write())
    assert verdict.outcome == "unfinished"
    assert (verdict.frames, verdict.delivered, verdict.missing) == (1000, 600, 400)
    assert "frames 600 to 1000 had not come to the disk" in str(verdict)


def test_interrupted_between_the_last_line_and_the_manifest(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.finish()
    made.state = "recording"
    assert verify_recording(made.write()).outcome == "unfinished"


def test_damage_counts_more_than_being_unfinished(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000)
    made.growing(10)
    path.unlink()
    assert verify_recording(made.write()).outcome == "damaged"


def test_one_that_is_being_written_is_right_so_far(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.note(ledger.Begun(position=0, why="disk", pid=os.getpid(), boot="boot-1"))
    made.segment(1000)
    made.growing(700, (1100, 20, "device"))
    made.write()
    with (made.path / LEDGER).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        verdict = verify_recording(made.path)
        assert (verdict.outcome, verdict.exit_status) == ("recording", 6)
        assert codes(verdict) == []
        assert "right so far" in str(verdict)
        assert (verdict.frames, verdict.delivered, verdict.lost_frames) == (1700, 1680, 20)
    assert verify_recording(made.path).outcome == "unfinished"


@contextmanager
def written(made):
    """As long as its writer, this process, holds it."""
    made.note(ledger.Begun(position=made.position, why="disk", pid=os.getpid(), boot="boot-1"))
    made.write()
    with (made.path / LEDGER).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("after", ["looked for", "found"])
def test_a_file_that_gets_its_name_meanwhile_is_found(tmp_path, monkeypatch, after):
    made = MadeFolder(tmp_path / "take")
    part = made.ended(1000)
    whole = part.with_name(part.name.replace(".part", ""))
    exists, shape = Path.exists, check_files.file_shape

    def renamed_when_looked_for(path):
        there = exists(path)
        if path == whole and after == "looked for" and part.is_file():
            part.rename(whole)
        return there

    def renamed_when_found(path, *, growing):
        if path == part and after == "found":
            part.rename(whole)
        return shape(path, growing=growing)

    monkeypatch.setattr(Path, "exists", renamed_when_looked_for)
    monkeypatch.setattr(check_files, "file_shape", renamed_when_found)
    with written(made):
        verdict = verify_recording(made.path)
    assert whole.is_file()
    assert (verdict.outcome, verdict.problems) == ("recording", ())
    assert (verdict.frames, verdict.delivered, verdict.missing) == (1000, 1000, 0)


def test_what_makes_room_while_it_is_looked_at_is_dropped(tmp_path, monkeypatch):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.segment(500)
    digest = check_files.file_sha256

    def dropping(path, on_bytes):
        if made.segments[1].state == "whole":
            made.drop(1)
        return digest(path, on_bytes)

    monkeypatch.setattr(check_files, "file_sha256", dropping)
    with written(made):
        verdict = verify_recording(made.path)
    assert (verdict.outcome, verdict.problems) == ("recording", ())
    assert (verdict.frames, verdict.delivered, verdict.dropped) == (1500, 500, 1000)
