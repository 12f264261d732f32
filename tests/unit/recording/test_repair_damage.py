"""Damage that is no writer's death, and what a repair refuses: nothing is covered up, nothing is written over."""

from __future__ import annotations

import fcntl
import os
import shutil

import numpy as np
import pytest
from made_folder import FORMATS, MadeFolder
from repairs import clean, contents, rows_of

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import read_manifest
from asmu_engine.recording.names import CHECKSUMS, LEDGER, MANIFEST
from asmu_engine.recording.repair import repair_recording
from asmu_engine.recording.verify import verify_recording


def test_half_a_line_is_cut_off(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.growing(10)
    made.write()
    with (made.path / LEDGER).open("ab") as file:
        file.write(b'{"noted_ns":12,"entry":"ga')
    assert clean(repair_recording(made.path)).delivered == 1010


def test_damaged_lines_are_kept_beside_and_told(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.gap(500, "restart")
    made.segment(1000)
    made.finish()
    path = made.path / LEDGER
    damaged = b"\n".join(b"\0" * 50 if b"restart" in line else line for line in path.read_bytes().split(b"\n"))
    path.write_bytes(damaged)
    result = repair_recording(made.path)
    verdict = clean(result)
    assert (verdict.delivered, verdict.lost) == (2000, {"unknown": 500})
    assert (result.path / "ledger.jsonl.before").read_bytes() == damaged
    assert any("took 1 damaged lines out" in action for action in result.actions)
    told = [e for e in ledger.read_ledger(result.path / LEDGER) if isinstance(e, ledger.Event)]
    assert [event.what for event in told] == ["ledger_repaired"]


def test_lines_of_a_segment_that_are_lost_come_from_the_manifest(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.segment(500)
    made.finish()
    path = made.path / LEDGER
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(b"{}" if b'"index":2' in line else line for line in lines))
    verdict = clean(repair_recording(made.path))
    # Gaps that are zeros in a segment may have been among the lines: nobody can say that it is whole.
    assert (verdict.outcome, verdict.delivered) == ("losses", 1500)
    assert [problem.code for problem in verdict.problems] == ["ledger_mended"]


def test_a_missing_ledger_is_rebuilt_of_the_manifest(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.gap(500, "restart")
    made.segment(1000)
    made.finish()
    (made.path / LEDGER).unlink()
    verdict = clean(repair_recording(made.path))
    assert (verdict.frames, verdict.delivered, verdict.lost) == (2500, 2000, {"unknown": 500})


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("content", [None, b"{"])
def test_a_missing_manifest_is_rebuilt_of_ledger_and_files(tmp_path, format_name, content):
    made = MadeFolder(tmp_path / "take", format=format_name)
    made.segment(1000, (5, 5, "device"))
    made.clock(900)
    made.growing(500)
    if content is not None:
        (made.path / MANIFEST).write_bytes(content)
    result = repair_recording(made.path)
    assert clean(result).lost == {"device": 5}
    manifest = read_manifest(result.path)
    assert (manifest.samplerate, len(manifest.channels), manifest.position) == (48000, 2, 1500)
    assert manifest.settings.format == ("WAV" if format_name == "RF64" else format_name)
    assert manifest.clock == made.clock_fit
    assert any("rebuilt manifest.json" in action for action in result.actions)


def test_a_manifest_that_was_about_to_take_its_place(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.finish()
    (made.path / MANIFEST).rename(made.path / f".{MANIFEST}.new")
    result = repair_recording(made.path)
    clean(result)
    assert read_manifest(result.path).channels == made.manifest().channels


def test_nothing_that_tells_channels_cannot_be_repaired(tmp_path):
    made = MadeFolder(tmp_path / "take")
    with pytest.raises(DiskError, match="no segment tells channels and samplerate"):
        repair_recording(made.path)


def test_checksums_are_written_anew(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.finish()
    (made.path / CHECKSUMS).unlink()
    result = repair_recording(made.path, in_place=True)
    assert clean(result).outcome == "whole"


def test_a_changed_file_stays_damaged(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000)
    made.growing(10)
    made.write()
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    result = repair_recording(made.path, write_off=True)
    verdict = verify_recording(result.path)
    assert [problem.code for problem in verdict.problems] == ["checksum"]


def test_a_missing_segment_is_written_off_only_on_demand(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000, (50, 10, "device"))
    made.segment(500)
    made.finish()
    path.unlink()
    left = repair_recording(made.path)
    assert (left.actions, left.verdict.outcome, left.path) == ((), "damaged", made.path)
    result = repair_recording(made.path, write_off=True)
    verdict = clean(result)
    assert (verdict.delivered, verdict.lost) == (500, {"device": 10, "crash": 990})


@pytest.mark.parametrize("format_name", ["WAV", "W64", "FLAC"])
def test_what_is_left_of_a_truncated_segment_is_kept(tmp_path, format_name):
    made = MadeFolder(tmp_path / "take", format=format_name)
    made.audio = lambda first, frames, channels: (
        np.random.default_rng(1).integers(-(2**15), 2**15, (frames, channels)) / 2**15
    ).astype("f4")
    path = made.segment(50_000)
    made.finish()
    os.truncate(path, path.stat().st_size // 2)
    result = repair_recording(made.path, write_off=True)
    verdict = clean(result)
    assert 15_000 <= verdict.delivered <= 25_000
    assert verdict.lost == {"crash": 50_000 - verdict.delivered}
    rows = rows_of(result.path)[0]
    assert np.array_equal(rows[: verdict.delivered], made.expected(0, 50_000)[: verdict.delivered])
    assert path.stat().st_nlink == 1


def test_a_renamed_segment_gets_its_name_back(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000)
    made.finish()
    path.rename(made.path / "hall.wav")
    assert clean(repair_recording(made.path)).outcome == "whole"
    assert (made.path / "hall.wav").exists()
    result = repair_recording(made.path, in_place=True)
    assert clean(result).outcome == "whole"
    assert path.exists()


def test_overlapping_segments_stay_damaged(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.position = 900
    made.segment(500)
    made.growing(10)
    result = repair_recording(made.write())
    assert [problem.code for problem in result.verdict.problems] == ["overlap"]
    assert repair_recording(result.path).actions == ()


def test_segments_of_a_second_folder_come_into_the_copy(tmp_path):
    second = tmp_path / "second"
    made = MadeFolder(tmp_path / "take", second_folder=str(second), on_full="second_folder")
    made.segment(1000)
    made.segment(500, folder=second)
    made.growing(10)
    result = repair_recording(made.write())
    shutil.rmtree(second)
    shutil.rmtree(made.path)
    verdict = clean(result)
    assert (verdict.outcome, verdict.delivered) == ("whole", 1510)


def test_a_second_folder_that_is_gone_is_waited_for(tmp_path):
    second = tmp_path / "second"
    made = MadeFolder(tmp_path / "take", second_folder=str(second), on_full="second_folder")
    made.segment(1000)
    made.segment(500, folder=second)
    made.growing(10)
    made.write()
    second.rename(tmp_path / "detached")
    result = repair_recording(made.path)
    assert [problem.code for problem in result.verdict.problems] == ["folder_missing"]
    assert (result.verdict.delivered, result.verdict.missing) == (1010, 500)
    (tmp_path / "detached").rename(second)
    assert clean(result).delivered == 1510


def test_a_folder_that_is_being_written_is_refused(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.note(ledger.Begun(position=0, why="disk", pid=os.getpid()))
    made.growing(10)
    made.write()
    before = contents(made.path)
    with (made.path / LEDGER).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for in_place in (False, True):
            with pytest.raises(DiskError, match="is being written") as caught:
                repair_recording(made.path, in_place=in_place)
            assert caught.value.retry
    assert contents(made.path) == before
    assert not (tmp_path / "take.repaired").exists()


def test_one_copy_is_not_written_over_another(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.growing(10)
    made.write()
    repair_recording(made.path)
    with pytest.raises(DiskError, match=r"take\.repaired exists already"):
        repair_recording(made.path)
    assert repair_recording(made.path, out=tmp_path / "other").path == tmp_path / "other"
    with pytest.raises(DiskError, match="choose one"):
        repair_recording(made.path, out=tmp_path / "third", in_place=True)


def test_a_copy_that_died_is_begun_anew(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.growing(10)
    made.write()
    half = tmp_path / ".take.repaired.part"
    half.mkdir()
    (half / "junk").touch()
    result = repair_recording(made.path)
    clean(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["take", "take.repaired"]
