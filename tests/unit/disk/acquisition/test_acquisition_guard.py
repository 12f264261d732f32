"""What is done when the disk fails in the middle of something, step by step and in this process."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from failing_recording import FULL

from asmu_engine.disk.acquisition.segment import SegmentFile
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger


def test_the_oldest_is_noted_before_it_goes(record, sound):
    recording = record(on_full="drop_oldest")
    for _ in range(3):
        recording.segment(sound(100))
    assert recording.finisher.wait(10)
    recording.guard.react(FULL)
    assert recording.whole() == [(100, 100), (200, 100)]
    (word,) = [entry for entry in recording.entries() if isinstance(entry, ledger.SegmentDropped)]
    assert (word.index, word.first, word.frames, word.reason) == (1, 0, 100, "to make room")
    assert sorted(file.suffix for file in recording.folder.path.iterdir()) == ["", ".json", ".jsonl", ".wav", ".wav"]
    assert [warning.what for warning in recording.warnings] == ["dropped"]


def test_where_there_is_no_room_for_a_line_even_the_file_goes_first(record, sound, monkeypatch):
    recording = record(on_full="drop_oldest")
    recording.segment(sound(100))
    assert recording.finisher.wait(10)
    (file,) = recording.folder.path.glob("*.wav")
    true_append = recording.folder._ledger.append

    def append(*entries: ledger.Entry) -> list[ledger.Entry]:
        if file.exists():
            raise FULL
        return true_append(*entries)

    monkeypatch.setattr(recording.folder._ledger, "append", append)
    recording.guard.react(FULL)
    assert [entry.first for entry in recording.entries() if isinstance(entry, ledger.SegmentDropped)] == [0]


def test_one_that_is_just_made_whole_is_waited_for(record, sound, monkeypatch):
    recording = record(on_full="drop_oldest")
    true_finish = recording.finisher._finish
    asked = threading.Event()

    def finish(segment: object) -> None:
        asked.wait(10)  # not before the disk was found full
        true_finish(segment)

    monkeypatch.setattr(recording.finisher, "_finish", finish)
    recording.segment(sound(100))
    assert recording.whole() == []
    true_wait = recording.finisher.wait
    monkeypatch.setattr(recording.finisher, "wait", lambda seconds: asked.set() or true_wait(10))
    recording.guard.react(FULL)
    assert recording.whole() == [(0, 100)]  # nothing was dropped or ended: the caller tries again
    recording.guard.react(FULL)
    assert recording.whole() == []
    with pytest.raises(DiskError, match=r"take stopped: No space left on device; what was written is kept\. Make room"):
        recording.guard.react(FULL)


def test_what_the_recording_has_left_does_not_stop_what_goes_on(record, second, sound, monkeypatch, tmp_path):
    recording = record(**second)
    true_finish = recording.finisher._finish

    def finish(segment: object) -> None:
        if segment.path.parent == tmp_path / "take":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        true_finish(segment)

    monkeypatch.setattr(recording.finisher, "_finish", finish)
    recording.keeper.write(sound(100), 0)
    recording.guard.react(FULL)
    recording.segment(sound(50))
    assert recording.finisher.wait(10)
    recording.keeper.watch(0, 10)
    assert recording.finisher.wait(10)
    assert recording.whole() == [(100, 50)]
    assert [(segment.first, segment.frames) for segment in recording.folder.segments("ended")] == [(0, 100)]
    assert [warning.what for warning in recording.warnings] == ["second_folder", "failed"]
    assert "stays unfinished: Read-only file system; asmu repair" in recording.warnings[-1].text


@pytest.mark.parametrize(("number", "frames"), [(errno.ENOSPC, 500), (errno.EROFS, 300), (errno.EIO, 300)])
def test_a_disk_that_failed_is_believed_only_what_was_synced(record, second, sound, number, frames):
    """A full one has taken what it took."""
    recording = record(**second)
    recording.keeper.write(sound(300), 0)
    recording.writer.sync()
    recording.keeper.write(sound(200, first=300), 300)
    recording.guard.react(OSError(number, os.strerror(number)), may_fall_back=True)
    assert recording.keeper.position == frames
    recording.keeper.write(sound(500 - frames, first=frames), frames)
    recording.keeper.end("stopped", lambda: None)
    assert recording.whole() == [(0, frames), *([(frames, 500 - frames)] if frames < 500 else [])]
    files = [recording.folder.file(segment) for segment in recording.folder.segments("whole")]
    assert np.array_equal(np.concatenate([soundfile.read(file, dtype="float32")[0] for file in files]), sound(500))


def test_a_gap_that_is_noted_stays(record, second, sound):
    """Its zeros are made again by whoever finishes the segment; it is not noted twice."""
    recording = record(**second)
    recording.keeper.write(sound(100), 0)
    recording.writer.sync()
    recording.keeper.leave_gap(140, "device", 0)
    recording.keeper.write(sound(60, first=140), 140)
    recording.guard.react(OSError(errno.EIO, os.strerror(errno.EIO)), may_fall_back=True)
    assert recording.keeper.position == 140
    recording.keeper.write(sound(60, first=140), 140)
    recording.keeper.end("stopped", lambda: None)
    assert recording.whole() == [(0, 140), (140, 60)]
    assert recording.folder.account.lost == {"device": 40}


def test_what_a_sync_lost_is_never_counted_as_synced_again(record, second, sound, monkeypatch):
    recording = record(**second)
    recording.keeper.write(sound(100), 0)
    recording.writer.sync()
    recording.keeper.write(sound(100), 100)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("asmu_engine.disk.acquisition.segment.sync_data", fail)
        with pytest.raises(OSError, match="Input/output error"):
            recording.writer.sync()
    recording.writer.sync()  # which the system lets pass now
    assert recording.writer.segment.synced == 100


def test_a_segment_that_could_not_be_made_is_not_left_open(record, monkeypatch, sound):
    recording = record()

    def create(path: Path, *arguments: object) -> SegmentFile:
        path.touch()
        raise FULL

    monkeypatch.setattr(SegmentFile, "create", create)
    with pytest.raises(DiskError) as caught:
        recording.keeper.write(sound(10), 0)
    recording.keeper.give_up(caught.value, lambda: None)
    (word,) = [entry for entry in recording.entries() if isinstance(entry, ledger.SegmentDropped)]
    assert (word.frames, word.reason) == (0, "it could not be made")
    assert list(recording.folder.path.glob("*.wav")) == []
    assert [warning.what for warning in recording.warnings] == ["full"]


def test_the_reserve_is_taken_again_when_there_is_room(record, sound):
    recording = record(on_full="drop_oldest")
    recording.segment(sound(100))
    assert recording.finisher.wait(10)
    reserve = recording.folder.path / ".reserve"
    assert reserve.exists()
    recording.guard.react(FULL)
    assert not reserve.exists()
    recording.guard.look(0, 10)
    assert reserve.exists()
