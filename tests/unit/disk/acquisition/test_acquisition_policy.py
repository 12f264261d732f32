"""What is done about which trouble."""

from __future__ import annotations

import errno
import os

import pytest
import soundfile

from asmu_engine.disk.acquisition.policy import Policy, trouble_of
from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.protocol.errors import DiskError


def system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def chained(error: Exception) -> DiskError:
    try:
        raise DiskError("recording to x stopped", code="disk_failed", where="x") from error
    except DiskError as outer:
        return outer


FULL, READ_ONLY, GONE, BROKEN = (system(number) for number in (errno.ENOSPC, errno.EROFS, errno.ENOENT, errno.EIO))


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (None, "full"),
        (FULL, "full"),
        (system(errno.EDQUOT), "full"),
        (READ_ONLY, "read_only"),
        (system(errno.EPERM), "read_only"),
        (GONE, "gone"),
        (system(errno.ENODEV), "gone"),
        (system(errno.ESTALE), "gone"),
        (BROKEN, "failed"),
        (ValueError("odd"), "failed"),
        (soundfile.LibsndfileError(2), "failed"),
        (chained(FULL), "full"),
        (chained(chained(READ_ONLY)), "read_only"),
        (DiskError("recording to x stopped: No space left on device; whole", code="disk_failed", where="x"), "full"),
        (RuntimeError("Error : Read-only file system."), "read_only"),
    ],
)
def test_what_is_wrong_is_read_from_numbers_texts_and_causes(error, trouble):
    assert trouble_of(error) == trouble


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("error", [None, FULL, READ_ONLY, GONE, BROKEN])
def test_stop_stops(error, finished):
    assert Policy(AcquisitionSettings(on_full="stop")).decide(error, finished, False) == "stop"


@pytest.mark.parametrize(
    ("error", "finished", "second", "decision"),
    [
        (None, True, False, "drop_oldest"),
        (FULL, True, False, "drop_oldest"),
        (chained(FULL), True, False, "drop_oldest"),
        (FULL, False, False, "stop"),
        (READ_ONLY, True, False, "stop"),
        (GONE, True, False, "stop"),
        (BROKEN, True, False, "stop"),
    ],
)
def test_dropping_helps_a_full_disk_only_and_while_there_is_something_to_drop(error, finished, second, decision):
    assert Policy(AcquisitionSettings(on_full="drop_oldest")).decide(error, finished, second) == decision


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("error", [None, FULL, READ_ONLY, GONE, BROKEN])
def test_the_second_folder_helps_once_whatever_it_was(error, finished):
    policy = Policy(AcquisitionSettings(on_full="second_folder", second_folder="/backup"))
    assert policy.decide(error, finished, False) == "second_folder"
    assert policy.decide(error, finished, True) == "stop"
