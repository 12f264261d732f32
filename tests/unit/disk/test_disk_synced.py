"""A single-file recording reaches the disk while it grows, and hears when the disk did not keep it."""

from __future__ import annotations

import errno
import gc
import os

import numpy as np
import pytest

from asmu_engine.disk.acquisition import ledgerfile
from asmu_engine.disk.formats import FileForm
from asmu_engine.disk.part import Part
from asmu_engine.disk.paths import journal_path
from asmu_engine.disk.synced import SyncedFiles
from asmu_engine.protocol.errors import DiskError

FORM = FileForm("WAV", "FLOAT", 48000, 2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "take.wav"


@pytest.fixture
def synced(monkeypatch):
    """Inodes of the files that were brought to the disk, in their order."""
    seen: list[int] = []
    true_sync = ledgerfile.sync_data

    def note(descriptor: int) -> None:
        true_sync(descriptor)
        seen.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr("asmu_engine.disk.synced.sync_data", note)
    return seen


def test_what_is_written_is_brought_to_the_disk_again_and_again_the_journal_first(path, synced, sound, wait_for):
    part = Part.create(path, FORM, overwrite=True)
    both = [journal_path(path).stat().st_ino, part.part.stat().st_ino]
    part.begin(0)
    part.write(sound(100))
    wait_for(lambda: sum(map(synced.count, both)) >= 4, "two turns")
    part.finish()
    after = [inode for inode in synced if inode in both]  # other tests leave recordings as killed processes do
    assert after[:4] == both * 2
    assert len(after) % 2 == 0  # the thread ended with the recording, after a whole turn


def test_a_recording_that_is_resumed_is_synced_too(path, synced, sound, wait_for):
    part = Part.create(path, FORM, overwrite=True)
    part.begin(0)
    part.write(sound(100))
    part.abandon()
    synced.clear()
    again = Part.resume(path)
    wait_for(lambda: again.part.stat().st_ino in synced, "a turn")
    again.finish()


def test_data_that_the_disk_gave_up_later_stop_the_recording(path, monkeypatch, sound, wait_for):
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("asmu_engine.disk.synced.sync_data", fail)
    part = Part.create(path, FORM, overwrite=True)
    part.begin(0)
    part.write(sound(100))
    wait_for(lambda: part._synced.error is not None, "the failure")
    with pytest.raises(DiskError, match="stopped: Input/output error; what was written is whole in") as caught:
        part.write(np.zeros((1, 2), np.float32))
    assert caught.value.code == "disk_failed"
    part.abandon()
    assert part.frames == 100


def test_a_file_that_cannot_be_opened_leaves_no_descriptor_open(path):
    path.write_bytes(b"")
    gc.collect()  # what other tests have left closes its descriptors now, not meanwhile
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None  # noqa: PTH208, PTH112
    with pytest.raises(FileNotFoundError):
        SyncedFiles(path, path.with_name("missing"))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
