"""Recorder and Player on real engines: files that hold exactly what was played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from plain_engine import until

import asmu_control as asmu
from asmu_control.exceptions import DiskError, EngineError, PatchError

pytestmark = pytest.mark.e2e

BLOCKSIZE = 256
SAMPLERATE = 48000


def sequence(frames: int, channels: int, seed: int = 1) -> np.ndarray:
    """A pseudo-random sequence of exact float32 values, none of them zero."""
    values = np.random.default_rng(seed).integers(1, 2**20, (frames, channels)) / 2**20
    return values.astype(np.float32)


def record_loopback(device: str, tmp_path: Path, frames: int, channels: int = 2) -> np.ndarray:
    """Play a file on all outputs and record all inputs; the recording from the first sample of the file on."""
    played = sequence(frames, channels)
    soundfile.write(tmp_path / "played.wav", played, SAMPLERATE, "FLOAT")
    interface = asmu.Interface(device=device, samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    player = asmu.generator.Player(interface, tmp_path / "played.wav")
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "recorded.wav")
    for idx in range(channels):
        player.output(idx).connect(interface.ioutput(ch=idx + 1))
        interface.iinput(ch=idx + 1).connect(recorder.input(idx))
    blocks = frames // BLOCKSIZE + 4
    with interface.start(end_frame=blocks) as stream:
        assert stream.wait(30)
    assert interface.stats()["lost_frames"] == 0
    recorded, samplerate = soundfile.read(tmp_path / "recorded.wav", dtype="float32", always_2d=True)
    assert samplerate == SAMPLERATE
    assert recorded.shape[1] == channels
    assert recorder.status()["state"] == "finished"
    assert recorder.status()["lost_frames"] == 0
    assert recorder.status()["frames"] == len(recorded)
    first = int(np.flatnonzero(recorded[:, 0])[0])
    assert first == BLOCKSIZE + 37
    np.testing.assert_array_equal(recorded[first : first + frames], played)
    np.testing.assert_array_equal(recorded[first + frames :], 0)
    return recorded


@pytest.mark.parametrize("channels", [1, 2, 16])
def test_virtual_loopback_is_recorded_bit_for_bit(tmp_path: Path, channels: int) -> None:
    record_loopback(f"virtual:inputs={channels},outputs={channels},delay_frames=37,buffer_s=60", tmp_path, 20_000, channels)


def test_offline_loopback_is_recorded_bit_for_bit_every_time(tmp_path: Path) -> None:
    device = "offline:inputs=2,outputs=2,delay_frames=37"
    runs = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        runs.append(record_loopback(device, folder, 200_000))
    np.testing.assert_array_equal(*runs)


def test_looped_player_has_no_seam(tmp_path: Path) -> None:
    played = sequence(1000, 1)
    soundfile.write(tmp_path / "loop.wav", played, SAMPLERATE, "FLOAT")
    interface = asmu.Interface(device="offline", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    player = asmu.generator.Player(interface, tmp_path / "loop.wav", loop=True)
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "recorded.wav")
    player.output().connect(recorder.input())
    with interface.start(end_frame=100) as stream:
        assert stream.wait(30)
        assert not player.finished(block=False)
    recorded = soundfile.read(tmp_path / "recorded.wav", dtype="float32")[0]
    assert len(recorded) == 100 * BLOCKSIZE
    np.testing.assert_array_equal(recorded, np.resize(played[:, 0], len(recorded)))


def test_player_tells_when_the_last_frame_was_played(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", sequence(500, 1), SAMPLERATE, "FLOAT")
    interface = asmu.Interface(device="offline:stepped=1", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    player = asmu.generator.Player(interface, tmp_path / "short.wav")
    player.output().connect(interface.ioutput(ch=1))
    with interface.start(drop=0):
        interface.step(1)
        until(lambda: player.status()["played"] == BLOCKSIZE, "the player to see that a block was played")
        assert not player.finished(block=False)
        interface.step(1)
        assert player.finished(timeout=30)
        assert player.status()["played"] == 500


def test_recorder_on_a_running_interface(tmp_path: Path) -> None:
    interface = asmu.Interface(device="offline:stepped=1", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    constant = asmu.generator.Constant(interface, [0.25, 0.5])
    constant.output(0).connect(interface.ioutput(ch=1))
    with interface.start(drop=0):
        interface.step(3)
        with interface.edit():
            recorder = asmu.analyzer.Recorder(interface, tmp_path / "late.wav")
            for idx in range(2):
                constant.output(idx).connect(recorder.input(idx))
        interface.step(4)
        with pytest.raises(PatchError, match="records 2 channels already"):
            recorder.input(2)
        final = recorder.close()
        assert final["frames"] == 4 * BLOCKSIZE
        assert final["first"] == 3 * BLOCKSIZE
        recorded = soundfile.read(recorder.path, dtype="float32")[0]
        np.testing.assert_array_equal(recorded, np.tile(np.float32([0.25, 0.5]), (4 * BLOCKSIZE, 1)))
        recorder.disconnect()
        interface.step(1)


def test_every_start_begins_the_file_and_the_recording_anew(tmp_path: Path) -> None:
    played = sequence(4 * BLOCKSIZE, 1)
    soundfile.write(tmp_path / "played.wav", played, SAMPLERATE, "FLOAT")
    interface = asmu.Interface(device="offline", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    player = asmu.generator.Player(interface, tmp_path / "played.wav")
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "recorded.wav")
    player.output().connect(recorder.input())
    for _ in range(2):
        with interface.start(end_frame=4, drop=1) as stream:
            assert stream.wait(30)
        np.testing.assert_array_equal(soundfile.read(tmp_path / "recorded.wav", dtype="float32")[0], played[:, 0])


def test_stop_and_start_play_the_file_anew_in_one_recording(tmp_path: Path) -> None:
    played = sequence(2 * BLOCKSIZE, 1)
    soundfile.write(tmp_path / "played.wav", played, SAMPLERATE, "FLOAT")
    interface = asmu.Interface(device="offline:stepped=1", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    player = asmu.generator.Player(interface, tmp_path / "played.wav")
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "recorded.wav")
    player.output().connect(recorder.input())
    with interface:
        stream = interface.start(drop=0)
        interface.step(1)
        stream.stop()
        assert not stream.active
        interface.start(drop=0)
        interface.step(2)
    recorded = soundfile.read(tmp_path / "recorded.wav", dtype="float32")[0]
    np.testing.assert_array_equal(recorded, np.concatenate([played[:BLOCKSIZE, 0], played[:, 0]]))


@pytest.mark.parametrize(("name", "subtype"), [("a.flac", "PCM_24"), ("a.wav", "FLOAT"), ("a.caf", "FLOAT"), ("a.ogg", "VORBIS")])
def test_format_follows_the_ending(tmp_path: Path, name: str, subtype: str) -> None:
    interface = asmu.Interface(device="offline", samplerate=SAMPLERATE, blocksize=BLOCKSIZE)
    recorder = asmu.analyzer.Recorder(interface, tmp_path / name, tags={"title": "test"})
    asmu.generator.Constant(interface, 0.5).output().connect(recorder.input())
    with interface.start(end_frame=50) as stream:
        assert stream.wait(30)
    with soundfile.SoundFile(tmp_path / name) as file:
        assert file.subtype == subtype
        assert file.frames == 50 * BLOCKSIZE
        assert file.title == "test"


def test_a_recording_that_cannot_be_begun_is_refused_before_the_device_runs(tmp_path: Path) -> None:
    interface = asmu.Interface(device="virtual")
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "missing" / "a.wav")
    interface.iinput(ch=1).connect(recorder.input())
    with pytest.raises(DiskError) as caught:
        interface.start()
    assert caught.value.code == "file_unwritable"
    assert interface.stats()["state"] == "closed"
    with pytest.raises(EngineError) as state:
        recorder.record()
    assert state.value.code == "engine_state"
