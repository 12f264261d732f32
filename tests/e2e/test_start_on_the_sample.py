"""Generators, recordings and players that begin with a frame: live, through an engine of its own, to the exact sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.exceptions import PatchError, RingError

pytestmark = pytest.mark.e2e

FRAMES = 256
RATE = 48_000
X = np.random.default_rng(4).standard_normal((3 * RATE, 1)).astype(np.float32)


@pytest.fixture
def interface() -> Iterator[asmu.Interface]:
    with asmu.Interface(device="offline:inputs=1,outputs=1,stepped=1", samplerate=RATE, blocksize=FRAMES) as interface:
        yield interface


def test_a_recorder_begins_and_a_player_and_a_burst_with_frames_that_they_are_given(
    interface: asmu.Interface, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", X, RATE, "FLOAT")
    player = asmu.generator.Player(interface, tmp_path / "in.wav", wait=True)
    burst = asmu.generator.SineBurst(interface, 1000.0, 2)
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "out.wav", channels=2, wait=True)
    player.output().connect(recorder.input(0))
    burst.output().connect(recorder.input(1))
    interface.start(drop=0)
    assert not player.playing
    interface.step(4)
    assert interface.frame_position == 1024
    recorder.record(at=1500)
    with interface.edit(at=2000) as edit:
        player.begin()
        burst.restart()
    interface.step(20)
    assert edit.wait(10)
    assert (edit.at, edit.late) == (2000, 0)
    with interface.edit(at=7000):
        player.pause()
    with interface.edit(at=7007):
        player.begin()
    interface.step(20)
    status = recorder.close()
    assert (status["first"], status["frames"], status["lost_frames"]) == (1500, 44 * FRAMES - 1500, 0)
    out = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    n = np.arange(1500, 44 * FRAMES)
    played = np.where(n < 2000, 0, X[np.clip(n - 2000, 0, None), 0])
    played = np.where(n >= 7000, np.where(n < 7007, 0, X[np.clip(n - 2007, 0, None), 0]), played)
    assert np.array_equal(out[:, 0], played)
    sine = np.where((n >= 2000) & (n < 2096), np.sin(2 * np.pi * 1000 * (n - 2000) / RATE), 0)
    assert np.allclose(out[:, 1], sine, atol=1e-6)


def test_a_recorder_can_begin_with_what_has_been_but_not_with_what_is_lost(tmp_path: Path) -> None:
    device = "offline:inputs=1,outputs=1,stepped=1"
    with asmu.Interface(device=device, samplerate=RATE, blocksize=FRAMES, ring_seconds=1) as interface:
        ramp = asmu.generator.Sine(interface, 100.0)
        recorder = asmu.analyzer.Recorder(interface, tmp_path / "out.wav", wait=True)
        ramp.output().connect(recorder.input())
        interface.start(drop=0)
        interface.step(400)
        with pytest.raises(RingError) as refusal:
            recorder.record(at=1000)
        assert refusal.value.code == "ring_position"
        recorder.record(at=60_001)
        interface.step(1)
        status = recorder.close()
        assert (status["first"], status["position"]) == (60_001, 401 * FRAMES)
        whole = np.sin(2 * np.pi * 100 * np.arange(60_001, 401 * FRAMES) / RATE)
        assert np.allclose(soundfile.read(tmp_path / "out.wav", dtype="float32")[0], whole, atol=1e-6)


def test_an_offline_engine_that_runs_freely_is_exact_from_its_first_frame(tmp_path: Path) -> None:
    with asmu.Interface(device="offline:inputs=1,outputs=1", samplerate=RATE, blocksize=FRAMES) as interface:
        constant = asmu.generator.Constant(interface, 0.0)
        recorder = asmu.analyzer.Recorder(interface, tmp_path / "out.wav")
        constant.output().connect(recorder.input())
        interface.open()
        edits = []
        for number in range(1, 101):
            with interface.edit(at=number * 321) as edit:
                constant.set_value(float(number))
            edits.append(edit)
        with interface.edit(at=40_000) as swap:
            recorder.input().disconnect(constant.output())
            asmu.generator.Constant(interface, -1.0).output().connect(recorder.input())
        interface.start(end_frame=200, drop=0)
        assert swap.wait(30)
        assert all(edit.wait(10) and edit.late == 0 for edit in edits)
        while interface.stats()["state"] == "running":
            pass
        recorder.close()
    out = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    n = np.arange(200 * FRAMES)
    assert np.array_equal(out, np.where(n < 40_000, np.minimum(n // 321, 100), -1))


def test_a_change_of_another_client_can_make_what_waits_impossible(interface: asmu.Interface) -> None:
    gain = asmu.effect.Gain(interface, 1.0)
    interface.start(drop=0)
    with interface.edit(at=10_000) as edit:
        gain.set_gain(2.0)
    interface.client.edit([{"op": "remove", "node": gain.name}])
    with pytest.raises(PatchError, match="no node"):
        edit.wait(10)
    assert edit.state == "dropped"
