"""What a recording folder may have become: files that are gone, moved or cut, none at all, and many readers of it."""

from __future__ import annotations

import gc
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from handmade import FIRST, RATE, START_NS, HandMade, expected, signal

from asmu_control.exceptions import DiskError, FramesMissing
from asmu_control.recording import Gap, Recording, open_recording
from asmu_engine.recording import ledger


def test_what_somebody_deleted_or_cut_is_missing_without_an_account(rec: Recording, folder: Path) -> None:
    files = sorted(folder.glob("*.wav"))
    files[1].unlink()
    with pytest.raises(FramesMissing):  # it was there when the recording was opened
        rec.read(gaps="raise")
    assert np.isnan(rec.read(FIRST + 3050, FIRST + 6000)).all()
    short = signal(FIRST + 7000, FIRST + 7500)
    soundfile.write(files[2], short, RATE, "FLOAT")
    again = open_recording(folder)
    assert [gap for gap in again.gaps if gap.cause == "unaccounted"] == [
        Gap(FIRST + 3050, 2950, "unaccounted"),
        Gap(FIRST + 7500, 1500, "unaccounted"),
    ]
    assert again.lost_frames == 1250
    assert "4450 frames unaccounted" in repr(again)
    assert np.array_equal(again.read(FIRST + 7000, FIRST + 7500), short)
    assert again.segments[1].path is None
    with pytest.raises(DiskError, match="is gone"):
        again.memmap(2)


def test_dropped_segments_are_told_apart_from_losses(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take", first=0)
    path = made.segment(0, 1000, holes=((990, 1000),))
    made.segment(1000, 2000)
    path.unlink()
    made.note(ledger.SegmentDropped(index=1, file=path.name, first=0, frames=1000, reason="full"))
    rec = open_recording(made.path)
    assert rec.gaps == [Gap(0, 990, "dropped"), Gap(990, 10, "device", 0, True)]
    assert (rec.first, rec.lost_frames, rec.missing) == (0, 10, {"dropped": 990, "device": 10})
    assert np.isnan(rec.read(0, 1000)).all()
    assert np.array_equal(rec.read(1000, 2000), signal(1000, 2000))
    assert rec.segments[0].state == "dropped"


def test_segments_in_a_second_folder_and_after_a_move(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    first = made.segment(0, 1000)
    text = (made.path / "ledger.jsonl").read_text()
    second = tmp_path / "second"
    second.mkdir()
    first.rename(second / first.name)
    (made.path / "ledger.jsonl").write_text(text.replace(f'"{first.name}"', f'"{second / first.name}"'))
    rec = open_recording(made.path)
    assert rec.segments[0].path == second / first.name
    assert np.array_equal(rec.read(), signal(0, 1000))
    (second / first.name).rename(made.path / first.name)  # somebody put all together
    assert np.array_equal(rec.read(), signal(0, 1000))
    assert open_recording(made.path).segments[0].path == made.path / first.name


def test_a_copy_for_another_process_and_many_threads(rec: Recording) -> None:
    twin = pickle.loads(pickle.dumps(rec))
    assert np.array_equal(twin.read(FIRST, FIRST + 10), signal(FIRST, FIRST + 10))
    wrong: list[int] = []

    def run(seed: int) -> None:
        random = np.random.default_rng(seed)
        for turn in range(20):
            start, stop = (FIRST + int(value) for value in sorted(random.integers(0, 9000, 2)))
            if turn % 7 == seed:
                rec.refresh()
            if not np.array_equal(rec.read(start, stop), expected(start, stop), equal_nan=True):
                wrong.append(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_segments_than_files_stay_open(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    for first in range(0, 4000, 100):
        made.segment(first, first + 100)
    with open_recording(made.path) as rec:
        assert np.array_equal(rec.read(), signal(0, 4000))
        assert len(rec._readers._open) == 16
    assert not rec._readers._open


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"is no recording folder: manifest") as caught:
        open_recording(tmp_path)
    assert caught.value.code == "file_unreadable"
    made = HandMade(tmp_path / "take")
    with (made.path / "ledger.jsonl").open("ab") as file:
        file.write(b'{"entry":"nonsense"}\n')
    with pytest.raises(DiskError, match=r"line 2 of .* is damaged"):
        open_recording(made.path)


def test_a_recording_without_frames(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    rec = open_recording(made.path)
    assert (rec.frames, rec.gaps, rec.segments, rec.delivered()) == (0, [], [], [])
    assert rec.read().shape == (0, 2)
    assert "no frames" in repr(rec)
    assert rec.time_source == "when the recording was begun"
    assert rec.time_of(0) == (np.datetime64("2026-01-01T00:00:00"), 10.0)


def test_times_without_a_fit_are_those_of_the_names_and_say_so(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    made.segment(48000, 48100)
    made.segment(48100, 96000)
    rec = open_recording(made.path)
    assert rec.time_source == "the names of the segments"
    time, uncertainty = rec.time_of(48000)
    assert (time, uncertainty) == (np.datetime64("2026-01-01T00:00:01"), 0.1)
    made.save(clock=None)
    made.clock(0)
    assert rec.refresh().time_source == "fits of the clocks"
    assert rec.time_of(96000) == (np.datetime64("2026-01-01T00:00:02"), 1e-7)


def test_a_step_of_the_clock_in_the_ledger_is_at_its_event(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take")
    made.segment(0, 1000)
    made.clock(0)
    made.note(ledger.Event(what="clock_step", position=480, facts={"seconds": 2.0}))
    made.clock(960, START_NS + 2_020_000_000, step_ns=2_000_000_000)
    rec = open_recording(made.path)
    assert rec.times(479, 481).astype(np.int64).tolist() == [START_NS + 9_979_167, START_NS + 2_010_000_000]


def test_one_that_nobody_holds_any_more_closes_its_files_first(folder: Path) -> None:
    for _ in range(10):
        recording = open_recording(folder)
        recording.read(FIRST, FIRST + 10)
        recording.__dict__["itself"] = recording  # as in a traceback that is kept: only the collector finds it
    del recording
    gc.collect()  # a file that is collected while it is open gives a warning, which fails the test
