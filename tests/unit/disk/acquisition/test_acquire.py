"""The commands of the disk process that write a recording folder."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from asmu_engine.protocol.disk_replies import AcquireJob
from asmu_engine.protocol.errors import DiskError, ProtocolError, RingError
from asmu_engine.recording import ledger

SETTINGS = {"minimum_free": 0}


def begin(disk, ring, folder, **fields):
    settings = {**SETTINGS, **fields.pop("settings", {})}
    return disk("acquire", job=1, ring=ring, folder=str(folder), settings=settings, **fields)


def test_a_recording_is_one_whole_segment(disk, ring, writer, sound, folder, take):
    started = begin(disk, ring, folder)
    assert (started["state"], started["first"], started["frames"]) == ("running", None, 0)
    writer.write(sound(10_007), position=2**33)
    status = disk("stop", job=1)
    assert {key: status[key] for key in ("state", "first", "position", "frames", "lost_frames", "segments", "gap_count")} == {
        "state": "finished",
        "first": 2**33,
        "position": 2**33 + 10_007,
        "frames": 10_007,
        "lost_frames": 0,
        "segments": 1,
        "gap_count": 0,
    }
    AcquireJob.model_validate({**status, "node": "tap1", "client": "test"})
    take.check()
    assert np.array_equal(take.audio(), sound(10_007))
    assert [entry.entry for entry in take.entries] == ["begun", "segment_begun", "segment_ended", "segment_whole", "ended"]
    manifest = take.manifest
    assert (manifest.state, manifest.first, manifest.position, manifest.samplerate) == ("finished", 2**33, 2**33 + 10_007, 48000)
    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=False).returncode == 0


def test_it_begins_with_the_newest_frame_or_where_it_is_told(disk, ring, make_ring, writer, sound, folder, take, tmp_path):
    writer.write(sound(1000))
    assert begin(disk, ring, folder)["first"] == 1000
    disk("acquire", job=2, ring=ring, folder=str(tmp_path / "earlier"), settings=SETTINGS, start=300)
    writer.write(sound(500, first=1000))
    assert disk("stop", job=1)["frames"] == 500
    assert disk("stop", job=2)["first"] == 300
    assert np.array_equal(take.audio(), sound(500, first=1000))
    writer.write(sound(47_000))
    with pytest.raises(RingError, match="a recording cannot begin at frame 5"):
        disk("acquire", job=3, ring=ring, folder=str(tmp_path / "late"), settings=SETTINGS, start=5)
    assert not (tmp_path / "late").exists()


def test_a_stop_takes_all_however_long_the_thread_is_held_up(start_disk, ring, writer, sound, folder, take):
    late = "from asmu_engine.disk.acquisition import job; job._TURN_S = -1.0\n"  # each turn is over when it begins
    disk = start_disk("-c", late + "import runpy; runpy.run_module('asmu_engine.disk', run_name='__main__')")
    begin(disk, ring, folder)
    writer.write(sound(5000))
    assert disk("stop", job=1)["frames"] == 5000
    take.check()
    assert np.array_equal(take.audio(), sound(5000))


def test_a_stop_at_a_frame_is_exact(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    writer.write(sound(100))
    request = disk.ask("stop", job=1, until=150)
    writer.write(sound(100, first=100))
    assert disk.answer(request)["position"] == 150
    take.check()
    assert np.array_equal(take.audio(), sound(150))


def test_a_stop_at_a_frame_that_is_written_already_cuts(disk, ring, writer, sound, folder, take, wait_for):
    begin(disk, ring, folder)
    writer.write(sound(1000))
    wait_for(lambda: disk("status", job=1)["frames"] == 1000, "1000 frames")
    assert disk("stop", job=1, until=777)["frames"] == 777
    take.check()
    assert np.array_equal(take.audio(), sound(777))


def test_a_recording_of_nothing(disk, ring, writer, folder, take):
    begin(disk, ring, folder)
    status = disk("stop", job=1)
    assert (status["first"], status["frames"], status["segments"]) == (None, 0, 0)
    assert take.manifest.state == "finished"
    assert take.manifest.segments == []


def test_the_manifest_holds_what_the_host_said(disk, ring, writer, sound, folder, take):
    channels = [{"name": "mic", "device_channel": 3, "unit": "Pa", "factor": 12.5}, {"name": "", "factor": 1.0}]
    begin(disk, ring, folder, channels=channels, source={"node": "tap1", "blocksize": 256, "device": {"name": "virtual"}})
    writer.write(sound(10))
    disk("stop", job=1)
    manifest = take.manifest
    assert [(c.name, c.device_channel, c.unit, c.factor) for c in manifest.channels] == [
        ("mic", 3, "Pa", 12.5),
        ("", None, "", 1.0),
    ]
    assert (manifest.source.node, manifest.source.blocksize, manifest.source.device) == ("tap1", 256, {"name": "virtual"})
    assert {"asmu_engine", "python", "numpy", "soundfile", "libsndfile", "system"} <= set(manifest.software)
    assert manifest.settings.minimum_free == 0


def test_a_recording_that_was_begun_before_its_device_ran_learns_what_that_is(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    device = {"name": "interface", "host_api": "ALSA"}
    for facts in ({"device": device}, {"device": {"name": "another"}}):
        disk("note", entries=[{"entry": "event", "what": "started", "position": 0, "facts": facts}])
    writer.write(sound(100))
    disk("stop", job=1)
    assert take.manifest.source.device == device


def test_notes_of_the_host_are_in_the_ledger(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    fit = {
        "position": 48_000, "monotonic_ns": 10, "utc_ns": 1_767_225_600_000_000_000, "samplerate": 48_001.0, "ppm": 20.8,
        "residual_ns": 900.0, "uncertainty_ns": 200.0, "ppm_uncertainty": 0.1, "seconds": 60.0,
    }  # fmt: skip
    entries = [
        {"entry": "clock", "fit": fit},
        {"entry": "xrun", "position": 512, "flags": ["input_overflow"], "frames": 0, "uncertainty": 256},
        {"entry": "event", "what": "clock_step", "text": "by 1 s"},
    ]
    assert disk("note", job=None, entries=entries) == {}
    assert disk("note", job=1, entries=entries[1:2]) == {}
    assert disk("stop", job=1)["xruns"] == 2
    noted = [entry for entry in take.entries if entry.entry in ("clock", "xrun", "event")]
    assert [entry.entry for entry in noted] == ["clock", "xrun", "event", "xrun"]
    assert all(entry.noted_ns > 1_600_000_000_000_000_000 for entry in noted)
    assert take.manifest.clock == noted[0].fit
    assert disk("note", job=1, entries=entries) == {}  # it has ended: nobody is told
    with pytest.raises(ProtocolError, match="note: entries"):
        disk("note", job=None, entries=[{"entry": "gossip"}])


def test_what_is_refused(disk, ring, writer, sound, folder, tmp_path):
    cases = [
        ({"folder": "here"}, "relative"),
        ({"settings": {"format": "MPEG9"}}, "MPEG9 is not a format"),
        ({"settings": {"format": "FLAC", "subtype": "FLOAT"}}, "FLAC does not hold FLOAT"),
        ({"settings": {"aligned": True}}, "give rollover_seconds"),
        ({"settings": {"on_full": "second_folder"}}, "relative"),
        ({"settings": {"on_full": "second_folder", "second_folder": str(folder)}}, "second folder is the first"),
        ({"channels": [{"name": "one"}]}, "the tap has 2"),
    ]
    for fields, match in cases:
        with pytest.raises(DiskError, match=match):
            disk("acquire", **{"job": 1, "ring": ring, "folder": str(folder), **fields})
    for fields, match in [({"settings": {"rollover_seconds": -1}}, "rollover_seconds"), ({"why": "boredom"}, "boredom")]:
        with pytest.raises(ProtocolError, match=match):
            disk("acquire", **{"job": 1, "ring": ring, "folder": str(folder), **fields})
    assert not folder.exists()
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="Not a directory"):
        disk("acquire", job=1, ring=ring, folder=str(tmp_path / "file" / "friday"))
    begin(disk, ring, folder)
    with pytest.raises(DiskError, match="holds a recording already"):
        disk("acquire", job=2, ring=ring, folder=str(folder))


def test_a_ring_that_is_closed_ends_the_recording(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    writer.write(sound(100))
    writer.close()
    assert disk.event("finished")["frames"] == 100
    take.check()
    ended = take.entries[-1]
    assert isinstance(ended, ledger.Ended)
    assert ended.reason == "the ring was closed"


def test_quit_ends_it(disk, ring, writer, sound, folder, take):
    begin(disk, ring, folder)
    writer.write(sound(4000))
    assert disk("quit") == {}
    take.check()
    assert take.manifest.state == "finished"
    assert np.array_equal(take.audio(), sound(4000))


@pytest.mark.parametrize("how", ["pipe", "SIGTERM"])
def test_a_host_that_is_gone_leaves_whole_segments_to_go_on_with(start_disk, ring, writer, sound, folder, take, how):
    disk = start_disk()
    begin(disk, ring, folder)
    writer.write(sound(4000))
    if how == "pipe":
        disk.close()
    else:
        disk.process.terminate()
    assert disk.process.wait(20) == 0
    assert take.manifest.state == ("recording" if how == "pipe" else "finished")
    assert [segment.state for segment in take.manifest.segments] == ["whole"]
    assert np.array_equal(take.audio(), sound(4000))
    second = start_disk()
    second("acquire", job=1, ring=ring, folder=str(folder), resume=True, why="disk")
    writer.write(sound(500, first=4000))
    assert second("stop", job=1)["frames"] == 4500
    take.check()
    assert take.spans() == [(0, 4000), (4000, 500)]
    assert np.array_equal(take.audio(), sound(4500))
    with pytest.raises(DiskError, match="it was stopped"):
        second("acquire", job=2, ring=ring, folder=str(folder), resume=True)
