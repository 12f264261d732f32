"""The second folder: what goes there when the first one's disk fails, and what is done when it is full too."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
from failing_recording import FULL, Recording

from asmu_engine.disk.acquisition.elsewhere import ledger_folder
from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.segment import SegmentFile
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.checksums import read_checksums
from asmu_engine.recording.manifest import Manifest


def test_a_vanished_folder_takes_its_account_to_the_second(record, second, sound, tmp_path):
    recording = record(**second)
    recording.segment(sound(100))
    assert recording.finisher.wait(10)
    (tmp_path / "take").rename(tmp_path / "elsewhere")
    recording.guard.look(0, 10)
    assert recording.folder.path == tmp_path / "second"
    assert [warning.what for warning in recording.warnings] == ["gone", "second_folder"]
    recording.segment(sound(50, first=100))
    recording.keeper.end("stopped", lambda: None)
    assert [(Path(segment.file).parent, segment.first) for segment in recording.folder.segments("whole")] == [
        (tmp_path / "take", 0),
        (Path(), 100),
    ]
    settings = recording.folder.settings
    assert ledger_folder(tmp_path / "take", settings) == tmp_path / "second"
    (tmp_path / "elsewhere").rename(tmp_path / "take")  # the disk is back, with an account from before
    assert ledger_folder(tmp_path / "take") == tmp_path / "second"


def test_the_account_gets_its_room_back_before_anything_ends(record, second, sound, tmp_path):
    """The data are in the second folder; it is the first, with ledger and manifest, that is full."""
    recording = record(**second)
    recording.segment(sound(100))
    assert recording.finisher.wait(10)
    recording.guard.react(FULL)
    recording.guard.look(0, 10)
    assert (tmp_path / "take" / ".reserve").exists()
    recording.guard.react(FULL)
    assert not (tmp_path / "take" / ".reserve").exists()
    assert recording.folder.path == tmp_path / "take"
    recording.guard.react(FULL)  # no room was held back this time: what follows goes where there is some
    assert recording.folder.path == tmp_path / "second"
    assert (tmp_path / "second" / ".reserve").exists()
    assert len([entry for entry in recording.entries() if isinstance(entry, ledger.SegmentWhole)]) == 1
    with pytest.raises(DiskError, match="second stopped: No space left"):
        recording.guard.react(FULL)


def test_an_account_whose_disk_takes_lines_but_nothing_else_goes_to_the_second(record, second, sound, monkeypatch, tmp_path):
    """A line goes into memory, and is lost there: only what arrives on the disk tells."""
    recording = record(**second)
    recording.segment(sound(100))
    assert recording.finisher.wait(10)
    recording.guard.react(FULL)
    assert recording.folder.path == tmp_path / "take"
    read_only = OSError(errno.EROFS, os.strerror(errno.EROFS))
    write = Manifest.write

    def fail(manifest, folder):
        if folder == tmp_path / "take":
            raise read_only
        write(manifest, folder)

    monkeypatch.setattr(Manifest, "write", fail)
    recording.guard.react(read_only)
    assert recording.folder.path == tmp_path / "second"
    recording.segment(sound(50, first=100))
    recording.keeper.end("stopped", lambda: None)
    assert recording.whole() == [(0, 100), (100, 50)]


def test_what_a_disk_said_late_does_not_end_what_goes_on_elsewhere(record, second, sound, monkeypatch, tmp_path):
    recording = record(sync_seconds=0.05, **second)
    begun, go_on = threading.Event(), threading.Event()
    sync = SegmentFile.sync

    def late(segment):
        if segment.path.parent == tmp_path / "take":
            begun.set()
            assert go_on.wait(20)
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        sync(segment)

    monkeypatch.setattr(SegmentFile, "sync", late)
    recording.keeper.write(sound(100), 0)
    assert begun.wait(20)
    recording.guard.react(OSError(errno.EROFS, os.strerror(errno.EROFS)))  # what the writer saw meanwhile
    recording.keeper.write(sound(50, first=100), 100)
    go_on.set()
    deadline = time.monotonic() + 20
    while recording.keeper._synced[0]._failed is None and recording.writer.segment.synced < 50:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    recording.keeper.watch(0, 10)
    assert recording.writer.data == tmp_path / "second"
    monkeypatch.setattr(SegmentFile, "sync", sync)
    recording.keeper.end("stopped", lambda: None)
    assert recording.whole() == [(0, 100), (100, 50)]


def test_the_last_file_in_a_full_second_folder_is_made_whole(record, second, sound, monkeypatch, tmp_path):
    """Room is held back there too, and not for what still comes."""
    recording = record(**second)
    recording.guard.react(FULL)
    reserve = tmp_path / "second" / ".reserve"
    assert reserve.exists()
    monkeypatch.setattr("asmu_engine.disk.acquisition.guard._room", lambda folder: 4096)
    write = Folder.write_checksums

    def write_where_there_is_room(folder: Folder, path: Path) -> None:
        if reserve.exists():
            raise FULL
        write(folder, path)

    monkeypatch.setattr(Folder, "write_checksums", write_where_there_is_room)
    recording.segment(sound(100))
    assert recording.finisher.wait(10)
    error = recording.finisher.error
    assert isinstance(error, OSError)
    with pytest.raises(DiskError, match="second stopped: No space left") as caught:
        recording.guard.react_to_finisher(error)
    recording.keeper.give_up(caught.value, lambda: None)
    (segment,) = recording.folder.segments("whole")
    assert read_checksums(tmp_path / "second") == {Path(segment.file).name: segment.sha256}


@pytest.mark.parametrize("held", [True, False])
def test_the_second_folder_full_too_ends_it(record, second, sound, monkeypatch, tmp_path, held):
    recording = record(**second)
    recording.guard.react(FULL)
    recording.guard.look(0, 10)
    monkeypatch.setattr("asmu_engine.disk.acquisition.guard._room", lambda folder: 4096)
    if held:
        recording.guard.react(FULL)  # it might have been the first one: tried once more
    else:
        recording.guard._reserve.give_back()
    with pytest.raises(DiskError, match="second stopped: No space left"):
        recording.guard.react(FULL)
    assert recording.folder.path == tmp_path / "take"


def test_a_second_folder_of_another_recording_is_not_mistaken(record, second, tmp_path):
    recording = record(**second)
    other = Recording(tmp_path / "second")
    other.keeper.close()
    assert ledger_folder(tmp_path / "take") == tmp_path / "take"
    assert ledger_folder(tmp_path / "take", recording.folder.settings) == tmp_path / "take"
    assert ledger_folder(tmp_path / "none") == tmp_path / "none"
