"""Reading of folders that an engine really writes, while it writes them and after."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acquired import RATE, Acquired
from folder_account import ramp
from plain_engine import until

from asmu_control.recording import Recording, open_recording

pytestmark = pytest.mark.e2e

FAST: dict[str, Any] = {"device": "virtual:inputs=2,outputs=2,speed=4,buffer_s=60", "ring_seconds": 60.0}
"""Frames that are missing are those that a test lets go, however long the engine's processes are kept waiting."""


def check(rec: Recording) -> np.ndarray:
    """Every frame of a recording is what was at its position, or missing and told so; the mask of those that are missing."""
    stop = rec.position
    data = rec.read(rec.first, stop)  # which looks again where a file got its final name meanwhile
    lost = np.isnan(data).all(axis=1)
    want = ramp(rec.first, len(data), 2)
    assert np.array_equal(data[~lost], want[~lost])
    assert not np.isnan(data[~lost]).any()
    told = np.zeros(len(data), bool)
    for gap in rec.gaps:
        told[gap.position - rec.first : gap.stop - rec.first] = True
    assert np.array_equal(lost, told)
    for begin, end in rec.delivered(rec.first, stop):
        assert not lost[begin - rec.first : end - rec.first].any()
    return lost


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "FLOAT"),
        ("WAV", "PCM_24"),
        ("RF64", "FLOAT"),
        ("W64", "FLOAT"),
        ("CAF", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("HDF5", ""),
    ],
)
def test_while_it_is_written_and_after(tmp_path: Path, form: str, subtype: str) -> None:
    if form == "HDF5":
        pytest.importorskip("h5py")
    settings: dict[str, Any] = {"format": form, "subtype": subtype, "rollover_seconds": 0.25}
    with Acquired(tmp_path, settings=settings, **FAST) as engine:
        rec = open_recording(engine.folder)
        assert rec.state == "recording"
        positions = []
        for turn in range(12):
            if turn in (3, 7):
                engine.client.result("fault", fault="lose", frames=1000 + turn)
            position = rec.position
            until(lambda position=position: rec.refresh().position > position, "new frames")
            check(rec)
            positions.append(rec.position)
        assert positions == sorted(positions)
        end = rec.position
        assert np.array_equal(rec.read(end - 10, end, gaps="raise"), ramp(end - 10, 10, 2))  # may look again, as in check
        until(lambda: len(rec.refresh().segments) > 3, "segments")
        job = engine.client.result("job_stop", job=1)
        lost = check(rec.refresh())
        assert rec.state == job["state"] == "finished"
        assert (rec.first, rec.position) == (job["first"], job["position"])
        assert rec.lost_frames == lost.sum() == job["lost_frames"] == 1003 + 1007
        assert rec.missing == job["lost"] == {"device": 2010}
        again = open_recording(engine.folder)
        check(again)
        assert {segment.state for segment in again.segments} == {"whole"}
        assert {segment.path.suffix for segment in again.segments if segment.path} <= {".wav", ".w64", ".caf", ".flac", ".h5"}
        again.close()
        rec.close()


def test_a_long_gap_between_segments_and_the_writer_killed(tmp_path: Path) -> None:
    with Acquired(tmp_path, settings={"fill_seconds": 0.01}, **FAST) as engine:
        rec = open_recording(engine.folder)
        engine.client.result("fault", fault="lose", frames=RATE)
        engine.more(4000)
        check(rec.refresh())
        os.kill(engine.status()["processes"]["disk"]["pid"], signal.SIGKILL)
        engine.more(4000)
        check(rec.refresh())
        folder = engine.finished()
        check(rec.refresh())
        assert rec.missing == folder.causes() == {"device": RATE}
        assert [gap.filled for gap in rec.gaps] == [False]
        assert rec.delivered() == sorted(folder.delivered)
        rec.close()


def test_times_are_those_of_the_engine(tmp_path: Path) -> None:
    device = "virtual:inputs=2,outputs=2,drift_ppm=37,buffer_s=60"
    with Acquired(tmp_path, settings={"clock_seconds": 0.2}, device=device) as engine:
        rec = open_recording(engine.folder)
        until(lambda: len(rec.refresh()._view.account.clocks) >= 2, "fits of the clocks")
        assert rec.time_source == "fits of the clocks"
        clock = engine.client.hello()["clock"]
        utc, uncertainty = rec.time_of(clock["frame_position"])
        off = abs(int(utc.astype(np.int64)) - clock["utc_ns"]) / 1e9
        assert off < max(0.02, 5 * uncertainty)
        assert 0 < uncertainty < 0.1
        assert rec.position_of(utc) == clock["frame_position"]
        ten_ms = rec.read(rec.start_utc, rec.start_utc + np.timedelta64(10, "ms"))
        assert 479 <= len(ten_ms) <= 481
        engine.finished()
        rec.close()
