"""Recordings that go on after their writer died: no frame is lost that the ring still held, and each is accounted for."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from asmu_engine.disk.paths import part_path
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import read_manifest
from asmu_engine.recording.repair import repair_recording
from asmu_engine.recording.verify import verify_recording
from asmu_engine.shm.causes import DEVICE
from asmu_engine.shm.writer import RingWriter

SETTINGS = {"minimum_free": 0}


def begin(disk, ring, folder, **settings):
    return disk("acquire", job=1, ring=ring, folder=str(folder), settings={**SETTINGS, **settings})


def go_on(disk, ring, folder, why="disk", **fields):
    return disk("acquire", job=1, ring=ring, folder=str(folder), resume=True, why=why, **fields)


@pytest.mark.parametrize(
    ("format_name", "subtype"),
    [
        ("WAV", "FLOAT"), ("WAV", "PCM_24"), ("RF64", "FLOAT"), ("W64", "PCM_24"), ("CAF", "FLOAT"), ("AU", "FLOAT"),
        ("FLAC", "PCM_24"), ("HDF5", "FLOAT"),
    ],
)  # fmt: skip
def test_sigkill_costs_no_frame(start_disk, ring, writer, sound, folder, take, format_name, subtype):
    first = start_disk()
    begin(first, ring, folder, format=format_name, subtype=subtype)
    writer.write(sound(5000), position=2**33)
    first.until_frames(1, 5000)
    writer.write(sound(3333, first=5000))
    first.kill()
    writer.write(sound(2000, first=8333))
    second = start_disk()
    started = go_on(second, ring, folder)
    assert started["first"] == 2**33
    assert started["frames"] >= 5000
    writer.write(sound(1000, first=10_333))
    result = second("stop", job=1)
    assert (result["frames"], result["lost_frames"], result["segments"]) == (11_333, 0, 1)
    take.check()
    assert [entry.why for entry in take.entries if isinstance(entry, ledger.Begun)] == ["new", "disk"]
    if format_name != "HDF5":
        assert np.array_equal(take.audio(), sound(11_333))


def test_killed_again_and_again_while_it_rolls_over(start_disk, make_ring, sound, folder, take):
    ring = make_ring(channels=8, capacity=200_000)
    frames = sound(20_000, channels=8)
    with RingWriter(ring) as writer:
        disk = start_disk()
        begin(disk, ring, folder, rollover_seconds=0.02)
        for number in range(6):
            for _ in range(number + 1):
                writer.write(frames[writer.position % 10_000 :][:1_000])
            disk.kill()
            disk = start_disk()
            go_on(disk, ring, folder)
        result = disk("stop", job=1)
    assert (result["frames"], result["lost_frames"], result["segments"]) == (21_000, 0, 22)
    take.check()
    assert np.array_equal(take.audio(), frames[np.arange(21_000) % 10_000])


def test_what_the_host_tells_twice_is_noted_once(start_disk, ring, writer, sound, folder, take):
    """It tells a second writer what the first did not acknowledge, which may have been noted all the same."""
    fit = {
        "position": 100, "monotonic_ns": 10, "utc_ns": 1_767_225_600_000_000_000, "samplerate": 48_001.0, "ppm": 20.8,
        "residual_ns": 900.0, "uncertainty_ns": 200.0, "ppm_uncertainty": 0.1, "seconds": 60.0,
    }  # fmt: skip
    told = [
        {"entry": "xrun", "position": 100, "flags": ["input_overflow"], "frames": 0, "uncertainty": 64, "noted_ns": 11},
        {"entry": "clock", "fit": fit, "step_ns": 5, "noted_ns": 12},
        {"entry": "event", "what": "clock_step", "noted_ns": 13},
    ]
    new = [{"entry": "xrun", "position": 300, "flags": ["input_overflow"], "frames": 0, "noted_ns": 14}]
    first = start_disk()
    begin(first, ring, folder)
    writer.write(sound(500))
    first("note", entries=told)
    first.until_frames(1, 500)
    while len(take.entries) < 5:  # begun, a segment, and what was told
        first("status", job=1)
    first.kill()
    second = start_disk()
    go_on(second, ring, folder)
    second("note", entries=told + new)
    assert second("stop", job=1)["xruns"] == 2
    assert sorted(entry.noted_ns for entry in take.entries if entry.noted_ns < 100) == [11, 12, 13, 14]


def test_what_the_ring_no_longer_holds_is_an_overrun(start_disk, make_ring, sound, folder, take):
    ring = make_ring(capacity=1000)
    with RingWriter(ring) as writer:
        first = start_disk()
        begin(first, ring, folder)
        writer.write(sound(600))
        first.until_frames(1, 600)
        first.kill()
        for start in range(600, 2600, 500):
            writer.write(sound(500, first=start))
        second = start_disk()
        go_on(second, ring, folder)
        assert second("stop", job=1)["lost"] == {"overrun": 1000}
    assert take.gaps() == [(600, 1000, "overrun", True)]
    take.check()
    expected = sound(2600)
    expected[600:1600] = 0
    assert np.array_equal(take.audio(), expected)


def test_an_engine_that_was_started_anew(start_disk, make_ring, sound, folder, take):
    first = start_disk()
    with RingWriter(make_ring()) as writer:
        begin(first, writer.name, folder, fill_seconds=0.1)
        writer.write(sound(600))
        first.until_frames(1, 600)
        first.kill()
    second = start_disk()
    with RingWriter(make_ring()) as writer:
        go_on(second, writer.name, folder, why="host", gap_uncertainty=480)
        writer.write(sound(100, first=9000), position=9000)
        second.until_frames(1, 9100)
        second.kill()
    third = start_disk()
    with RingWriter(make_ring()) as writer:
        go_on(third, writer.name, folder, why="host", gap_uncertainty=7)
        writer.write(sound(100, first=9110), position=9110)
        assert third("stop", job=1)["lost"] == {"host": 8410}
    assert take.gaps() == [(600, 8400, "host", False), (9100, 10, "host", True)]
    assert [e.uncertainty for e in take.entries if isinstance(e, ledger.Gap)] == [480, 7]
    assert take.spans() == [(0, 600), (9000, 210)]
    take.check()


def test_killed_before_the_first_frame_it_begins_where_it_was_to(start_disk, ring, writer, sound, folder, take):
    writer.write(sound(500))
    first = start_disk()
    assert begin(first, ring, folder)["first"] == 500
    first.kill()
    writer.write(sound(100, first=500))
    second = start_disk()
    go_on(second, ring, folder)
    second("stop", job=1)
    assert take.spans() == [(500, 100)]
    take.check()


def cut(path, keep):
    """What a power cut does: the end of a file never came to the disk."""
    os.truncate(path, path.stat().st_size - keep)


def test_after_a_power_cut_what_was_promised_is_zeros_and_a_crash(start_disk, ring, writer, sound, folder, take):
    """1000 frames, a gap of 100, 900 frames; of all that 1500 frames are on the disk, then 1050, then 950."""
    for left in (1500, 1050, 950):
        folder = take.path.with_name(f"left{left}")
        found = type(take)(folder)
        first = start_disk()
        begin(first, ring, folder)
        at = writer.position
        writer.write(sound(1000))
        writer.write(sound(900), position=at + 1100, cause=DEVICE)
        first.until_frames(1, 2000)
        first.kill()
        (part,) = folder.glob("*.part.wav")
        cut(part, (2000 - left) * 8)
        second = start_disk()
        go_on(second, ring, folder)
        second("stop", job=1)
        found.check()
        expected = np.concatenate([sound(1000), np.zeros((100, 2), np.float32), sound(900)])
        # The rest is still in the ring here; what the ledger has of the time before must hold all the same.
        if left == 950:
            expected[950:1000] = 0
        assert np.array_equal(found.audio(), expected)
        crash = [(at + 950, 50, "crash", True)] if left == 950 else []
        assert found.gaps() == [(at + 1000, 100, "device", True), *crash]


def test_an_ended_segment_that_is_cut_off_is_filled(start_disk, ring, writer, sound, folder, take):
    first = start_disk()
    begin(first, ring, folder)
    writer.write(sound(1000))
    first.until_frames(1, 1000)
    first.kill()
    (part,) = folder.glob("*.part.wav")
    cut(part, 300 * 8)
    name = part.name.replace(".part", "")
    with (folder / "ledger.jsonl").open("ab") as file:
        file.write(ledger.entry_line(ledger.SegmentEnded(index=1, file=name, first=0, frames=1000)))
        file.write(b'{"entry":"gap","posi')
    second = start_disk()
    go_on(second, ring, folder)
    writer.write(sound(10, first=1000))
    second("stop", job=1)
    assert take.gaps() == [(700, 300, "crash", True)]
    assert take.spans() == [(0, 1000), (1000, 10)]
    take.check()
    assert np.array_equal(take.rows(1)[:700], sound(700))
    assert not take.rows(1)[700:].any()


STAGES = ["growing", "begun without a file", "an empty file", "ended", "encoded, not renamed", "renamed", "no checksums"]


@pytest.mark.parametrize("format_name", ["WAV", "FLAC"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_making_a_segment_whole_can_be_repeated(start_disk, ring, writer, sound, folder, take, stage, format_name):
    """A folder as a writer leaves it that dies there, from one that is whole."""
    first = start_disk()
    begin(first, ring, folder, format=format_name, subtype="PCM_24")
    writer.write(sound(1000))
    first("stop", job=1)
    first.close()
    manifest = read_manifest(folder)
    segment = manifest.segments[0]
    path = folder / segment.file
    part = part_path(path)
    raw = part if format_name == "WAV" else part.with_name(f"{part.name}.rf64")
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    kept = {"growing": 2, "begun without a file": 2, "an empty file": 2, "no checksums": 4}.get(stage, 3)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:kept]))
    manifest.model_copy(update={"state": "recording", "segments": []}).write(folder)
    (folder / "SHA256SUMS").unlink()
    frames = 1000
    if stage in ("begun without a file", "an empty file"):
        frames = 0
        path.unlink()
        if stage == "an empty file":
            raw.touch()
    elif stage not in ("renamed", "no checksums"):
        if format_name == "WAV":
            path.rename(part)
        else:
            soundfile.write(raw, sound(1000), 48_000, "FLOAT", format="RF64")
            if stage == "encoded, not renamed":
                path.rename(part)
            else:
                path.unlink()
    second = start_disk()
    assert go_on(second, ring, folder)["position"] == frames
    writer.write(sound(500, first=1000))
    assert second("stop", job=1)["lost_frames"] == 0
    take.check()
    assert np.array_equal(take.audio(), sound(1500))
    assert [raw.exists(), part.exists()] == [False, False]


def test_a_whole_segment_that_was_deleted_meanwhile_is_dropped(start_disk, ring, writer, sound, folder, take):
    first = start_disk()
    begin(first, ring, folder)
    writer.write(sound(1000))
    first("stop", job=1)
    first.close()
    (segment,) = take.manifest.segments
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:3]))  # ended, not whole
    (folder / segment.file).unlink()
    second = start_disk()
    go_on(second, ring, folder)
    writer.write(sound(10, first=1000))
    assert second("stop", job=1)["dropped"] == 1
    assert [(s.state, s.first, s.frames) for s in take.manifest.segments] == [("dropped", 0, 1000), ("whole", 1000, 10)]
    take.check()


def test_what_cannot_be_gone_on_with(start_disk, ring, make_ring, writer, sound, folder, tmp_path):
    first = start_disk()
    with pytest.raises(DiskError, match="no recording folder"):
        go_on(first, ring, tmp_path)
    begin(first, ring, folder)
    writer.write(sound(10))
    first.until_frames(1, 10)
    second = start_disk()
    with pytest.raises(DiskError, match="another recording writes into") as caught:
        go_on(second, ring, folder)
    assert caught.value.retry
    first.kill()
    with pytest.raises(DiskError, match="2 channels at 48000 Hz, the tap 2 at 44100 Hz"):
        go_on(second, make_ring(samplerate=44_100), folder)
    ledger_file = folder / "ledger.jsonl"
    whole = ledger_file.read_bytes()
    ledger_file.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(DiskError, match=r"line 1 of .* is damaged"):
        go_on(second, ring, folder)
    ledger_file.write_bytes(whole)
    assert go_on(second, ring, folder)["frames"] == 10


@pytest.mark.parametrize("repaired", [False, True])
def test_killed_between_the_line_of_zeros_and_the_segment_that_is_to_hold_them(
    start_disk, ring, writer, sound, folder, take, repaired
):
    """A filled gap at a roll-over: its line is there, and the segment before it ended, but the next was never begun."""
    first = start_disk()
    begin(first, ring, folder, rollover_seconds=0.01)
    writer.write(sound(480))
    first.until_frames(1, 480)
    first.kill()
    begun = next(entry for entry in take.entries if isinstance(entry, ledger.SegmentBegun))
    with (folder / "ledger.jsonl").open("ab") as file:
        file.write(ledger.entry_line(ledger.Gap(position=480, frames=100, cause="device", filled=True)))
        file.write(ledger.entry_line(ledger.SegmentEnded(index=1, file=begun.file, first=0, frames=480)))
    verdict = verify_recording(folder)
    assert (verdict.outcome, [p.code for p in verdict.problems]) == ("unfinished", ["segment_unfinished", "zeros_to_come"])
    frames = 580
    if repaired:
        repair_recording(folder, in_place=True)
    else:
        second = start_disk()
        go_on(second, ring, folder)
        writer.write(sound(1000, first=580), position=580, cause=DEVICE)
        frames += 1000
        second.until_frames(1, frames)
        second("stop", job=1)
    verdict = verify_recording(folder)
    assert (verdict.outcome, verdict.problems, verdict.frames, verdict.lost) == ("losses", (), frames, {"device": 100})
    audio = sound(frames)
    audio[480:580] = 0
    assert np.array_equal(take.audio(), audio)
