"""What a crash left is made whole, and nothing else is touched; afterwards the verdict is clean, and nothing is left to do."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_folder import FORMATS, MadeFolder
from repairs import clean, contents, rows_of

from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import read_manifest
from asmu_engine.recording.names import CHECKSUMS, LEDGER, MANIFEST
from asmu_engine.recording.repair import repair_recording


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("lying_header", [False, True])
def test_an_interrupted_recording_is_made_whole_in_a_copy(tmp_path, format_name, lying_header):
    made = MadeFolder(tmp_path / "take", format=format_name, first=2**33)
    first = made.first
    made.segment(1000)
    gap = (first + 1100, 20, "device")
    made.ended(500, gap)
    made.growing(700, lying_header=lying_header, extra=b"abc")
    made.write()
    before = contents(made.path)
    result = repair_recording(made.path)
    assert result.path == tmp_path / "take.repaired"
    assert contents(made.path) == before
    verdict = clean(result)
    assert (verdict.outcome, verdict.delivered, verdict.lost) == ("losses", 2180, {"device": 20})
    manifest = read_manifest(result.path)
    assert (manifest.state, manifest.first, manifest.position) == ("finished", first, first + 2200)
    found = rows_of(result.path)
    assert list(found) == [first, first + 1000, first + 1500]
    assert np.array_equal(np.concatenate([*found.values()]), made.expected(first, 2200, gap))
    if format_name != "HDF5":
        info = soundfile.info(result.path / manifest.segments[2].file)
        assert (info.format, info.frames, info.samplerate) == (format_name, 700, 48000)
    sums = subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=result.path, capture_output=True, check=True)
    assert sums.stdout.count(b": OK") == 3
    suffixes = [path.suffix for path in result.path.iterdir() if path.name[0] == "0"]
    assert suffixes == [Path(manifest.segments[0].file).suffix] * 3


def test_finished_segments_are_links_and_not_copies(tmp_path):
    made = MadeFolder(tmp_path / "take")
    whole = made.segment(1000)
    made.growing(10)
    made.write()
    result = repair_recording(made.path)
    assert (result.path / whole.name).stat().st_ino == whole.stat().st_ino
    assert whole.stat().st_nlink == 2


def test_in_place(tmp_path):
    made = MadeFolder(tmp_path / "take")
    whole = made.segment(1000)
    part = made.growing(700, extra=b"abc")
    (made.path / ".reserve").write_bytes(b"x" * 100)
    made.write()
    before = (made.path / LEDGER).read_bytes()
    digest = hashlib.sha256(whole.read_bytes()).hexdigest()
    result = repair_recording(made.path, in_place=True)
    assert result.path == made.path
    assert clean(result).outcome == "whole"
    assert not part.exists()
    assert sorted(path.name for path in made.path.iterdir()) == sorted(
        [whole.name, made.segments[2].file, CHECKSUMS, LEDGER, MANIFEST]
    )
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == digest
    assert (made.path / LEDGER).read_bytes().startswith(before)
    assert not (tmp_path / "take.repaired").exists()


def test_what_is_sound_is_left_alone(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000, (5, 5, "device"))
    made.finish()
    before = contents(made.path)
    for in_place in (False, True):
        result = repair_recording(made.path, in_place=in_place)
        assert (result.path, result.actions, result.verdict.outcome) == (made.path, (), "losses")
    assert contents(made.path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["take"]


def test_texts_and_sample_format_are_kept(tmp_path):
    made = MadeFolder(tmp_path / "take", subtype="PCM_16", tags={"title": "hall", "artist": "weber"})
    made.growing(701)
    made.write()
    result = repair_recording(made.path)
    clean(result)
    path = result.path / made.segments[1].file
    with soundfile.SoundFile(path) as file:
        assert (file.title, file.artist, file.subtype, file.frames) == ("hall", "weber", "PCM_16", 701)
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], made.expected(0, 701))


@pytest.mark.parametrize(
    ("format_name", "subtype", "channels"),
    [("WAV", "PCM_U8", 1), ("WAV", "PCM_24", 1), ("W64", "PCM_16", 1), ("W64", "PCM_24", 3), ("AU", "PCM_24", 1),
     ("CAF", "PCM_24", 3), ("WAV", "ULAW", 1), ("RF64", "ALAW", 2), ("WAV", "DOUBLE", 2), ("AU", "PCM_S8", 1)],
)  # fmt: skip
def test_every_width_of_samples_is_cut_and_filled_right(tmp_path, format_name, subtype, channels):
    made = MadeFolder(tmp_path / "take", format=format_name, subtype=subtype, channels=channels, samplerate=8000)
    made.ended(101, rows=95)
    made.growing(33, extra=b"")
    made.write()
    part = next(made.path.glob("000001*"))
    recorded = soundfile.read(part, dtype="float32", always_2d=True)[0]
    result = repair_recording(made.path)
    assert clean(result).lost == {"crash": 6}
    found = soundfile.read(result.path / made.segments[1].file, dtype="float32", always_2d=True)[0]
    assert np.array_equal(found[:95], recorded)
    assert np.abs(found[95:]).max() <= (0.001 if subtype == "ALAW" else 0)
    assert [len(rows) for rows in rows_of(result.path).values()] == [101, 33]


def test_frames_that_had_not_come_to_the_disk_are_lost_by_crash(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.ended(1000, (700, 50, "device"), rows=600)
    made.write()
    verdict = clean(repair_recording(made.path))
    assert verdict.lost == {"device": 50, "crash": 350}
    assert [(loss.position, loss.frames, loss.cause, loss.filled) for loss in verdict.losses] == [
        (700, 50, "device", True),
        (600, 100, "crash", True),
        (750, 250, "crash", True),
    ]
    assert np.array_equal(rows_of(tmp_path / "take.repaired")[0], made.expected(0, 1000, (600, 400, "crash")))


def test_many_frames_that_are_gone_are_no_zeros(tmp_path):
    made = MadeFolder(tmp_path / "take", fill_seconds=0.01)
    made.ended(2000, rows=600)
    made.segment(300)
    made.growing(100)
    made.write()
    verdict = clean(repair_recording(made.path))
    assert (verdict.frames, verdict.delivered, verdict.lost) == (2400, 1000, {"crash": 1400})
    assert [segment.frames for segment in verdict.segments] == [600, 300, 100]
    assert [(loss.position, loss.frames, loss.filled) for loss in verdict.losses] == [(600, 1400, False)]


def test_what_the_manifest_had_seen_of_a_growing_segment_was_there(tmp_path):
    made = MadeFolder(tmp_path / "take")
    part = made.growing(700)
    made.write()
    os.truncate(part, part.stat().st_size - 8 * 100)
    verdict = clean(repair_recording(made.path))
    assert (verdict.frames, verdict.lost) == (700, {"crash": 100})


def test_zeros_that_were_promised_are_written(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.growing(700, (700, 300, "overrun"))
    made.write()
    verdict = clean(repair_recording(made.path))
    assert (verdict.frames, verdict.delivered, verdict.lost) == (1000, 700, {"overrun": 300})


def test_a_gap_that_died_before_its_segment_gets_one(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    made.note(ledger.Gap(position=1000, frames=300, cause="overrun", filled=True))
    made.write()
    verdict = clean(repair_recording(made.path))
    assert [segment.frames for segment in verdict.segments] == [1000, 300]
    assert verdict.segments[1].file == "000002_2026-01-01T00-00-00.020Z.wav"


def truncate(path: Path, size: int | None) -> None:
    """None: it was never made."""
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)


@pytest.mark.parametrize("size", [0, 30, None])
@pytest.mark.parametrize("format_name", ["WAV", "W64", "FLAC"])
def test_a_segment_that_died_before_its_zeros(tmp_path, format_name, size):
    made = MadeFolder(tmp_path / "take", format=format_name)
    made.segment(1000)
    truncate(made.growing(0, (1000, 300, "overrun")), size)
    made.write()
    verdict = clean(repair_recording(made.path))
    assert (verdict.frames, verdict.delivered, verdict.lost) == (1300, 1000, {"overrun": 300})


def test_a_header_that_is_gone_is_left_as_it_is(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    part = made.growing(2000)
    made.write()
    content = part.read_bytes()
    part.write_bytes(bytes(104) + content[104:])
    result = repair_recording(made.path)
    assert any(action.startswith("left ") and "it cannot be read" in action for action in result.actions)
    assert (result.path / part.name).read_bytes() == part.read_bytes()
    assert result.verdict.outcome == "unfinished"
    assert repair_recording(result.path).actions == ()
    written_off = repair_recording(result.path, write_off=True)
    assert clean(written_off).lost == {"crash": 2000}


@pytest.mark.parametrize("size", [0, 30, None])
def test_a_segment_that_was_hardly_begun(tmp_path, size):
    made = MadeFolder(tmp_path / "take")
    made.segment(1000)
    truncate(made.growing(0), size)
    made.write()
    verdict = clean(repair_recording(made.path))
    assert (verdict.outcome, verdict.frames, [s.state for s in verdict.segments]) == ("whole", 1000, ["whole", "dropped"])


def test_died_before_the_first_frame(tmp_path):
    made = MadeFolder(tmp_path / "take")
    made.first = None
    made.position = None
    made.write()
    verdict = clean(repair_recording(made.path))
    assert (verdict.outcome, verdict.frames) == ("whole", 0)
