"""A recording that is being written: what a reader sees of it, step by step as its writer goes."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from handmade import RATE, HandMade, signal

from asmu_control.exceptions import DiskError
from asmu_control.recording import open_recording
from asmu_control.recording import view as views
from asmu_engine.recording import ledger
from asmu_engine.recording.account import LedgerFollower


def grow(path: Path, start: int, stop: int) -> None:
    with path.open("ab") as file:
        file.write(signal(start, stop).tobytes())


def test_the_growing_segment_is_read_up_to_its_newest_row(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    made.segment(0, 1000)
    part = made.segment(1000, 1100, state="growing")
    rec = open_recording(made.path)
    assert (rec.position, rec.segments[1].state, rec.segments[1].rows) == (1100, "growing", 100)
    grow(part, 1100, 1500)
    assert rec.position == 1100
    assert rec.refresh() is rec
    assert rec.position == 1500
    assert np.array_equal(rec.read(900, 1500), signal(900, 1500))
    with part.open("ab") as file:
        file.write(b"\0\0\0\0\0")  # half a row
    assert rec.refresh().position == 1500


def test_a_read_past_what_is_known_looks_again_while_the_writer_lives(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    part = made.segment(0, 100, state="growing")
    with (made.path / "ledger.jsonl").open("ab") as file:
        made.note(ledger.Begun(position=None, why="disk", pid=os.getpid()))
        fcntl.flock(file, fcntl.LOCK_EX)
        rec = open_recording(made.path)
        assert rec.state == "recording"
        grow(part, 100, 200)
        assert np.array_equal(rec.read(0, 200), signal(0, 200))
        with pytest.raises(ValueError, match="which has 0 to 200"):
            rec.read(0, 201)
    assert rec.refresh().state == "interrupted"  # nobody holds the lock any more
    made.end(200)
    assert rec.refresh().state == "finished"


def test_a_writer_that_is_gone(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    made.note(ledger.Begun(position=None, why="disk", pid=2**22 + 1))
    with (made.path / "ledger.jsonl").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # whoever has it is not the one who wrote; the lock is not even asked for
        assert open_recording(made.path).state == "interrupted"


def test_a_segment_that_ends_and_becomes_whole_while_it_is_open(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    part = made.segment(0, 1000, state="growing")
    final = part.with_name(part.name.replace(".part", ""))
    rec = open_recording(made.path)
    assert np.array_equal(rec.read(), signal(0, 1000))
    facts = {"index": 1, "file": final.name, "first": 0, "frames": 1000}
    made.note(ledger.SegmentEnded(**facts))
    with soundfile.SoundFile(part, "r+") as file:
        file.comment = "behind the samples"
    rec.refresh()
    assert (rec.position, rec.segments[0].state) == (1000, "ended")
    assert np.array_equal(rec.read(), signal(0, 1000))
    part.rename(final)  # between two looks
    rec.close()
    assert np.array_equal(rec.read(10, 20), signal(10, 20))
    made.note(ledger.SegmentWhole(**facts, bytes=final.stat().st_size, sha256=""))
    assert rec.refresh().segments[0].state == "whole"
    assert np.array_equal(rec.read(), signal(0, 1000))
    assert np.array_equal(rec.memmap(1), signal(0, 1000))


def test_a_segment_that_is_encoded_when_it_ends(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take", form=("FLAC", "PCM_24"))
    final = made.path / made.name(1, 0)
    raw = made.path / f"{final.stem}.part.flac.rf64"
    made.note(ledger.SegmentBegun(index=1, file=final.name, first=0))
    soundfile.write(raw, signal(0, 500), RATE, "FLOAT", format="RF64")
    rec = open_recording(made.path)
    assert np.array_equal(rec.read(), signal(0, 500))
    made.note(ledger.SegmentEnded(index=1, file=final.name, first=0, frames=500))
    half = made.path / f"{final.stem}.part.flac"
    soundfile.write(half, signal(0, 100), RATE, "PCM_24", format="FLAC")  # not done yet
    assert np.array_equal(rec.refresh().read(), signal(0, 500))
    soundfile.write(half, signal(0, 500), RATE, "PCM_24", format="FLAC")
    half.rename(final)
    raw.unlink()
    rec.close()
    assert np.array_equal(rec.read(), signal(0, 500))


def test_texts_behind_a_segment_that_ended_meanwhile_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer ends the segment and appends texts between the reader's look at the ledger and that at the file."""
    made = HandMade(tmp_path / "take")
    part = made.segment(0, 1000, state="growing")
    look_up = views.find_segment

    def slow(*arguments):
        if made.count != 99:
            made.count = 99
            made.note(ledger.SegmentEnded(index=1, file=part.name.replace(".part", ""), first=0, frames=1000))
            with soundfile.SoundFile(part, "r+") as file:
                file.comment = "x" * 4000
        return look_up(*arguments)

    monkeypatch.setattr(views, "find_segment", slow)
    rec = open_recording(made.path)
    assert (rec.position, rec.segments[0].state) == (1000, "ended")


def test_a_segment_that_is_dropped_while_it_is_read(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    path = made.segment(0, 1000)
    made.segment(1000, 2000)
    rec = open_recording(made.path)
    path.unlink()
    made.note(ledger.SegmentDropped(index=1, file=path.name, first=0, frames=1000, reason="full"))
    data = rec.read(500, 1500)
    assert np.isnan(data[:500]).all()
    assert np.array_equal(data[500:], signal(1000, 1500))
    assert rec.missing == {"dropped": 1000}


def test_a_file_that_got_shorter_beneath_the_reader(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    part = made.segment(0, 1000, state="growing")
    rec = open_recording(made.path)
    os.truncate(part, part.stat().st_size - 8 * 400)
    made.gap(600, 1000, "disk", filled=True)
    data = rec.read(500, 1000)
    assert np.array_equal(data[:100], signal(500, 600))
    assert np.isnan(data[100:]).all()
    made.segment(1000, 2000)
    rec.refresh()
    whole = rec.segments[1].path
    assert whole is not None
    os.truncate(whole, whole.stat().st_size - 8)
    with pytest.raises(DiskError, match="ends after 999 frames"):
        rec.read(1000, 2000)
    assert rec.refresh().missing == {"disk": 400, "unaccounted": 1}


def test_a_ledger_is_read_on_line_by_line_and_anew_when_it_is_another(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    path = made.path / "ledger.jsonl"
    follower = LedgerFollower(path)
    assert follower.refresh()
    assert not follower.refresh()
    assert len(follower.account.entries) == 1
    line = ledger.entry_line(ledger.Gap(position=0, frames=5, cause="device", filled=True))
    with path.open("ab") as file:
        file.write(line[:20])
        file.flush()
        assert not follower.refresh()
        file.write(line[20:] + line[:5])
    assert follower.refresh()
    assert [gap.frames for gap in follower.account.gaps] == [5]
    account = follower.account
    new = path.with_name("new")
    new.write_bytes(line + line)
    new.replace(path)
    assert follower.refresh()
    assert follower.account is not account
    assert len(follower.account.gaps) == 2
    path.write_bytes(line)
    follower.refresh()
    assert len(follower.account.gaps) == 1


def test_a_reader_beside_a_writer_sees_only_what_is_true(tmp_path: Path) -> None:
    """A writer grows, ends and renames segments as fast as it can; every read is exact or says that it is too early."""
    made = HandMade(tmp_path / "take")
    done = threading.Event()

    def write() -> None:
        position = 0
        for _ in range(30):
            part = made.segment(position, position + 50, state="growing")
            final = part.with_name(part.name.replace(".part", ""))
            facts = {"index": made.count, "file": final.name, "first": position}
            grow(part, position + 50, position + 300)
            made.note(ledger.SegmentEnded(**facts, frames=300))
            with part.open("ab") as file:
                file.write(b"LIST" + bytes(100))  # texts, as they stand behind the samples
            part.rename(final)
            made.note(ledger.SegmentWhole(**facts, frames=300, bytes=final.stat().st_size, sha256=""))
            made.gap(position + 300, position + 400, "stopped")
            position += 400
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    rec = open_recording(made.path)
    seen = []
    while True:
        last = done.is_set()
        rec.refresh()
        seen.append(rec.position)
        data = rec.read(gaps="zero")
        want = signal(0, len(data))
        want[np.arange(len(data)) % 400 >= 300] = 0
        assert np.array_equal(data, want)
        if last:
            break
    thread.join()
    assert seen == sorted(seen)
    assert seen[-1] == 12000
    assert rec.missing == {"stopped": 3000}


def test_a_recording_that_goes_on_in_its_second_folder(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "first")
    second = tmp_path / "second"
    settings = made.manifest.settings.model_copy(update={"on_full": "second_folder", "second_folder": str(second)})
    made.save(settings=settings)
    segment = made.segment(0, 1000)
    rec = open_recording(made.path)
    assert rec.path == made.path
    text = (made.path / "ledger.jsonl").read_text().replace(f'"{segment.name}"', f'"{segment}"')
    on = HandMade(second)
    on.save(settings=settings)
    (second / "ledger.jsonl").write_text(text)
    on.count = 1
    on.segment(1000, 2000)
    on.end(2000)
    assert rec.refresh().path == open_recording(made.path).path == second
    assert rec.state == "finished"
    assert [one.path.parent for one in rec.segments if one.path] == [made.path, second]
    assert np.array_equal(rec.read(), signal(0, 2000))
    other = HandMade(tmp_path / "other")  # of another recording
    other.save(settings=settings, id="1" * 32)
    assert open_recording(other.path).path == other.path
