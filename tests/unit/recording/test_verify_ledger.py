"""Damage to ledger, manifest and checksums, and frames that are in no place or in two."""

from __future__ import annotations

import json
import os

import pytest
from made_folder import MadeFolder, codes, only, reconciles, three_segments

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.names import CHECKSUMS, LEDGER, MANIFEST
from asmu_engine.recording.verify import verify_recording


@pytest.fixture
def made(tmp_path):
    return three_segments(tmp_path / "take")


def replace_line(made: MadeFolder, number: int, content: bytes) -> None:
    path = made.path / LEDGER
    lines = path.read_bytes().split(b"\n")
    lines[number] = content
    path.write_bytes(b"\n".join(lines))


def test_a_damaged_line_in_the_middle(made):
    replace_line(made, 2, b'{"entry":"gap","position":-1}')
    verdict = verify_recording(made.path)
    assert "ledger_damaged" in codes(verdict)
    assert f"line 3 of {made.path / LEDGER} is damaged" in str(verdict)
    assert verdict.exit_status == 5


def test_a_line_of_zeros_as_a_power_cut_leaves_them(made):
    replace_line(made, 2, bytes(70))
    assert "ledger_damaged" in codes(verify_recording(made.path))


def test_a_lost_line_of_a_gap_leaves_a_hole(made):
    lines = (made.path / LEDGER).read_bytes().split(b"\n")
    kept = [line for line in lines if b'"restart"' not in line]
    (made.path / LEDGER).write_bytes(b"\n".join(kept))
    verdict = verify_recording(made.path)
    problem = only(verdict, "hole")
    assert (problem.position, problem.frames) == (48_000_002_000, 5000)
    assert "are in no segment, and no gap accounts for them: they are between segment 2 and segment 3" in problem.text
    assert (verdict.missing, verdict.lost) == (5000, {"device": 50})


def test_a_half_last_line(made):
    path = made.path / LEDGER
    os.truncate(path, path.stat().st_size - 10)
    verdict = verify_recording(made.path)
    assert verdict.outcome == "unfinished"
    assert "ledger_half_line" in codes(verdict, "unfinished")


def test_a_missing_ledger(made):
    (made.path / LEDGER).unlink()
    verdict = verify_recording(made.path)
    assert "ledger_missing" in codes(verdict)
    assert verdict.outcome == "damaged"
    assert (verdict.frames, verdict.delivered) == (8000, 3000)


def test_a_missing_and_a_damaged_manifest(made):
    content = (made.path / MANIFEST).read_bytes()
    (made.path / MANIFEST).unlink()
    verdict = verify_recording(made.path)
    assert only(verdict, "manifest_missing").severity == "damaged"
    assert (verdict.delivered, verdict.lost_frames, verdict.state) == (2950, 5050, "missing")
    (made.path / MANIFEST).write_bytes(content[: len(content) // 2])
    assert only(verify_recording(made.path), "manifest_damaged").severity == "damaged"


def test_a_manifest_of_another_version_is_no_damage(made):
    data = json.loads((made.path / MANIFEST).read_text())
    (made.path / MANIFEST).write_text(json.dumps({**data, "version": 2, "new": 1}))
    with pytest.raises(DiskError, match="is of version 2, this program knows version 1"):
        verify_recording(made.path)


@pytest.mark.parametrize("content", ["nothing", "folder", "file"])
def test_what_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "take"
    if content == "folder":
        path.mkdir()
    elif content == "file":
        path.touch()
    with pytest.raises(DiskError) as caught:
        verify_recording(path)
    assert caught.value.code == "file_unreadable"
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"segments": []}, "does not name segment 1"),
        ({"position": 48_000_007_999}, "the recording ends before frame 48000007999, the ledger 48000008000"),
    ],
)
def test_a_manifest_that_differs_from_the_ledger(made, change, text):
    made.manifest().model_copy(update=change).write(made.path)
    verdict = verify_recording(made.path)
    assert set(codes(verdict)) == {"manifest_differs"}
    assert text in str(verdict)


def test_a_manifest_that_knows_a_segment_more(made):
    more = made.segments[3].model_copy(update={"index": 4, "file": "x.wav", "first": 48_000_008_000})
    made.manifest().model_copy(update={"segments": [*made.segments.values(), more]}).write(made.path)
    verdict = verify_recording(made.path)
    assert sorted(codes(verdict)) == ["checksum_list", "file_missing", "segment_unknown"]
    assert {problem.segment for problem in verdict.problems} == {4, None}


def test_checksums_that_are_missing_wrong_or_damaged(made):
    path = made.path / CHECKSUMS
    content = path.read_text()
    path.unlink()
    assert "lacks 3 segments" in only(verify_recording(made.path), "checksum_list").text
    path.write_text("nonsense\n")
    assert "is no checksum" in only(verify_recording(made.path), "checksum_list").text
    path.write_text(content.replace(made.segments[2].sha256, "0" * 64))
    assert only(verify_recording(made.path), "checksum_list").segment == 2


def test_overlapping_segments(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.position = 900
    made.segment(500)
    verdict = verify_recording(made.finish())
    problem = only(verdict, "overlap")
    assert (problem.position, problem.frames) == (900, 100)
    assert problem.text.startswith(
        "frames 900 to 1000 (2026-01-01T00:00:00.018Z to 2026-01-01T00:00:00.020Z) are in segment 1 and in segment 2"
    )
    assert (verdict.frames, verdict.delivered) == (1400, 1400)


def test_a_hole_between_segments(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.position = 1001
    made.segment(500)
    verdict = verify_recording(made.finish())
    problem = only(verdict, "hole")
    assert (problem.position, problem.frames, verdict.missing) == (1000, 1, 1)


def test_frames_that_are_lost_twice(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000, (100, 50, "device"), (120, 50, "overrun"))
    verdict = verify_recording(made.finish())
    problem = only(verdict, "twice")
    assert (problem.position, problem.frames) == (120, 30)
    assert verdict.lost == {"device": 50, "overrun": 20}
    assert reconciles(verdict)


def test_a_gap_between_segments_that_is_in_one(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.note(ledger.Gap(position=900, frames=50, cause="host", filled=False))
    assert only(verify_recording(made.finish()), "overlap").frames == 50


def test_zeros_of_no_segment(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.note(ledger.Gap(position=1000, frames=50, cause="host", filled=True))
    made.position = 1050
    made.segment(10)
    problem = only(verify_recording(made.finish()), "stray")
    assert (problem.position, problem.frames) == (1000, 50)
