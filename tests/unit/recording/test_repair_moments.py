"""A writer may die at any moment: between two steps of making a segment whole, or with the power, over any byte."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_folder import MadeFolder
from repairs import clean, rows_of

from asmu_engine.recording.names import LEDGER
from asmu_engine.recording.repair import repair_recording


def test_it_had_its_name_already(tmp_path):
    made = MadeFolder(tmp_path / "take")
    path = made.segment(1000)
    lines = (made.path / LEDGER).read_bytes().split(b"\n")
    (made.path / LEDGER).write_bytes(b"\n".join(line for line in lines if b"segment_whole" not in line))
    made.write()
    result = repair_recording(made.path)
    assert clean(result).outcome == "whole"
    assert (result.path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("steps", range(5))
def test_a_wav_whose_header_was_being_changed(tmp_path, steps):
    """From RF64 to WAV by four writes: a death may fall between any two."""
    from asmu_engine.recording import plainwav

    made = MadeFolder(tmp_path / "take")
    part = made.ended(1000)
    whole = tmp_path / "whole.wav"
    shutil.copy(part, whole)
    plainwav.make_plain_wav(whole)
    before, after = part.read_bytes(), whole.read_bytes()
    at = (0, 8, 16, before.index(b"data"), len(before))[steps]
    part.write_bytes(after[:at] + before[at:])
    made.write()
    verdict = clean(repair_recording(made.path))
    assert verdict.outcome == "whole"
    (rows,) = rows_of(tmp_path / "take.repaired").values()
    assert np.array_equal(rows, made.expected(0, 1000))
    path = tmp_path / "take.repaired" / made.segments[1].file
    assert (path.read_bytes()[:4], soundfile.info(path).frames) == (b"RIFF", 1000)


def test_texts_that_were_appended_already_are_no_audio(tmp_path):
    made = MadeFolder(tmp_path / "take", tags={"title": "hall"})
    part = made.ended(1000)
    with soundfile.SoundFile(part, "r+") as file:
        file.title = "hall"
    made.write()
    result = repair_recording(made.path)
    assert clean(result).delivered == 1000
    assert np.array_equal(rows_of(result.path)[0], made.expected(0, 1000))


def test_half_an_encoded_file_is_encoded_anew(tmp_path):
    made = MadeFolder(tmp_path / "take", format="FLAC")
    raw = made.ended(1000)
    raw.with_suffix("").write_bytes(b"fLaC half")
    made.write()
    result = repair_recording(made.path)
    clean(result)
    assert np.array_equal(rows_of(result.path)[0], made.expected(0, 1000))
    assert [path.name for path in result.path.glob("*part*")] == []


def test_a_raw_file_beside_its_finished_one_goes(tmp_path):
    made = MadeFolder(tmp_path / "take", format="FLAC")
    raw = made.ended(1000)
    final = made.path / made.segments[1].file
    soundfile.write(final, made.expected(0, 1000), 48000, "PCM_24", format="FLAC")
    made.write()
    result = repair_recording(made.path, in_place=True)
    clean(result)
    assert not raw.exists()


@pytest.mark.parametrize("format_name", ["WAV", "W64", "CAF", "AU", "FLAC"])
def test_of_half_a_header_nothing_is_kept(tmp_path, format_name):
    made = MadeFolder(tmp_path / "take", format=format_name, first=2**40)
    made.write()
    part = made.ended(100, (made.position + 50, 30, "overrun"))
    whole = part.stat().st_size - 100 * made.channels * 4
    # Of CAF's 4 kB nearly all is one chunk that is kept free: what matters is at both its ends.
    near = 256
    for cut in (*range(0, min(whole, near), 4), *range(near, whole - near, 128), *range(max(near, whole - near), whole + 1, 4)):
        folder = shutil.copytree(made.path, tmp_path / f"cut{cut}")
        os.truncate(folder / part.name, cut)
        verdict = clean(repair_recording(folder, in_place=True))
        assert (verdict.delivered, dict(verdict.lost)) == (0, {"crash": 70, "overrun": 30})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_power_cut_at_any_moment_leaves_what_can_be_repaired(tmp_path_factory, data):
    """The ledger ends at any byte, and the segment that was written last has any number of bytes."""
    path = tmp_path_factory.mktemp("cut")
    made = MadeFolder(path / "take", format=data.draw(st.sampled_from(["WAV", "W64", "FLAC"])), first=2**40)
    made.write()
    for _ in range(data.draw(st.integers(0, 2))):
        frames = data.draw(st.integers(50, 300))
        made.segment(frames, (made.position + 10, 20, "device"))
        if data.draw(st.booleans()):
            made.gap(1000, "host")
        if data.draw(st.booleans()):
            made.write()
    safe = (made.path / LEDGER).stat().st_size
    gaps = [(made.position + 50, 30, "overrun")] if data.draw(st.booleans()) else []
    end = made.position + 100
    part = made.ended(100, *gaps) if data.draw(st.booleans()) else made.growing(100, *gaps)
    total = (made.path / LEDGER).stat().st_size
    cut = data.draw(st.integers(safe, total))
    if gaps:  # the line of a gap is on the disk before its zeros
        cut = max(cut, (made.path / LEDGER).read_bytes().index(b"overrun") + 100)
    os.truncate(made.path / LEDGER, cut)
    told = (made.path / LEDGER).read_bytes()[safe:].count(b"\n")
    size = part.stat().st_size
    os.truncate(part, data.draw(st.integers(110, size)))
    result = repair_recording(made.path, in_place=data.draw(st.booleans()))
    verdict = clean(result)
    assert verdict.frames == verdict.delivered + verdict.lost_frames
    assert verdict.frames <= end - made.first
    if told:
        assert verdict.position is not None
        assert verdict.position >= made.segments[max(made.segments)].first
    for first, rows in rows_of(result.path).items():
        expected = made.expected(first, len(rows))
        for loss in verdict.losses:
            expected[max(0, loss.position - first) : max(0, loss.position + loss.frames - first)] = 0
        assert np.array_equal(rows, expected)
