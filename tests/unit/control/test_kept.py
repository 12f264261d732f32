"""What stays in an engine when the script leaves it, and processors that could not begin."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.exceptions import ConfigError, DiskError, EngineError
from asmu_control.testing import FakeLink

FRAMES = 256


@pytest.fixture
def engine():
    link = FakeLink("fake", blocksize=FRAMES)
    with Client(link) as client:
        yield link, client


def recorded(interface: asmu.Interface, path: Path, **arguments: object) -> asmu.analyzer.Recorder:
    """A recorder that hears a constant by way of a gain."""
    gain = asmu.effect.Gain(interface, 0.5)
    recorder = asmu.analyzer.Recorder(interface, path, **arguments)
    asmu.generator.Constant(interface, 1.0).output().connect(gain.input())
    gain.output().connect(recorder.input())
    return recorder


@pytest.mark.parametrize("how", ["interface", "recorder", "edit"])
def test_a_recording_goes_on_when_the_script_has_left(engine, tmp_path: Path, how: str):
    link, client = engine
    interface = asmu.Interface(engine=client, keep=how == "interface")
    if how == "edit":
        interface.open()
        with interface.edit(keep=True):
            recorder = recorded(interface, tmp_path / "take.wav")
    else:
        recorder = recorded(interface, tmp_path / "take.wav", keep=how == "recorder")
    sine = asmu.generator.Sine(interface, 50.0)
    interface.start(drop=0)
    link.run(2)
    interface.close()
    stayed = set(client.patch()["nodes"])
    assert (sine.name in stayed) == (how == "interface")
    assert stayed - {sine.name} == {p.name for p in interface.processors} - {sine.name}
    status = recorder.status()
    assert status["state"] == client.job(status["job"])["state"] == "running"
    assert client.status()["state"] == "running"  # nor is the device stopped that this script started
    link.run(3)
    assert client.stop_job(status["job"])["frames"] == 5 * FRAMES
    data, _ = soundfile.read(tmp_path / "take.wav", dtype="float32")
    assert np.array_equal(data, np.full(5 * FRAMES, 0.5, np.float32))


def test_who_comes_back_finds_what_was_kept(engine, tmp_path: Path):
    link, client = engine
    interface = asmu.Interface(engine=client)
    recorder = recorded(interface, tmp_path / "take.wav", keep=True)
    sine = asmu.generator.Sine(interface, 50.0)
    interface.open()
    link.run(1)
    interface.close()
    job = recorder.status()["job"]
    gain = next(p for p in interface.processors if isinstance(p, asmu.effect.Gain))
    gain.set_gain(0.25)  # the engine hears of it when the interface is opened again
    link.run(1)
    interface.open()
    assert set(client.patch()["nodes"]) == {p.name for p in interface.processors}
    assert client.patch()["nodes"][gain.name]["parameters"]["gain"] == 0.25
    assert recorder.status()["job"] == job
    assert recorder.close()["frames"] == 2 * FRAMES
    client.edit([{"op": "remove", "node": gain.name}])
    interface.close()
    assert sine.name not in client.patch()["nodes"]
    interface.open()  # with the one that somebody removed made anew, and a new recording
    assert gain.name in client.patch()["nodes"]
    assert recorder.status()["job"] != job
    recorder.close()


def test_a_player_that_was_kept_plays_on(engine, tmp_path: Path):
    link, client = engine
    path, samples = tmp_path / "long.wav", np.arange(1, 4001, dtype=np.float32) / 4096
    soundfile.write(path, samples, 48000, subtype="FLOAT")
    interface = asmu.Interface(engine=client, keep=True)
    player = asmu.generator.Player(interface, path)
    player.output().connect(interface.ioutput(ch=1))
    interface.start(drop=0)
    heard = [link.run(2)]
    interface.close()
    heard.append(link.run(2))
    interface.start()  # the device runs, and nothing begins anew
    heard.append(link.run(2))
    assert np.array_equal(np.concatenate(heard)[:, 0], samples[: 6 * FRAMES])
    player.disconnect()
    link.run(1)
    interface.close()


def test_a_start_where_the_device_runs_begins_no_player_twice(engine, tmp_path: Path):
    link, client = engine
    path = tmp_path / "short.wav"
    soundfile.write(path, np.ones(100, np.float32), 48000, subtype="FLOAT")
    client.start()
    interface = asmu.Interface(engine=client)
    asmu.generator.Player(interface, path)
    interface.start()
    assert len(link.asked("play")) == 1
    interface.close()


def test_a_recording_that_was_closed_keeps_nothing(engine, tmp_path: Path):
    _, client = engine
    interface = asmu.Interface(engine=client)
    recorder = recorded(interface, tmp_path / "take.wav", keep=True)
    interface.start(drop=0)
    recorder.close()
    interface.close()
    assert client.patch()["nodes"] == {}
    assert client.status()["state"] == "stopped"


def test_changes_that_wait_and_are_kept_are_not_taken_back(engine):
    link, client = engine
    interface = asmu.Interface(engine=client)
    interface.open()
    with interface.edit(at=1000, keep=True) as kept:
        constant = asmu.generator.Constant(interface, 0.5)
    with interface.edit(at=1000) as other:
        asmu.generator.Constant(interface, 0.25)
    interface.close()
    assert [one["scheduled"] for one in client.scheduled()] == [kept.scheduled]
    assert (kept.state, other.state) == ("waiting", "cancelled")
    with pytest.raises(EngineError, match="open"):
        kept.check()
    link.run(5)
    assert list(client.patch()["nodes"]) == [constant.name]
    assert client.outcome(kept.scheduled) == {"state": "edited", "at": 1000, "late": 0, "revision": 1}


def test_the_scripts_own_engine_keeps_no_recording(tmp_path: Path):
    with pytest.raises(ConfigError, match="asmu engine start"):
        asmu.analyzer.Recorder(asmu.Interface(device="virtual"), tmp_path / "take.wav", keep=True)


# -- processors that cannot begin ---------------------------------------------------------------------------------------


def test_a_processor_that_cannot_begin_is_taken_out_again(engine, tmp_path: Path):
    _, client = engine
    interface = asmu.Interface(engine=client)
    sine = asmu.generator.Sine(interface, 50.0)
    interface.open()
    with pytest.raises(DiskError):
        asmu.analyzer.Recorder(interface, tmp_path / "none" / "take.wav")
    assert interface.processors == (sine,)
    assert list(client.patch()["nodes"]) == [sine.name]


def test_and_of_several_only_that_one(engine, tmp_path: Path):
    link, client = engine
    interface = asmu.Interface(engine=client)
    interface.open()
    with contextlib.ExitStack() as body:
        body.enter_context(interface.edit())
        sine = asmu.generator.Sine(interface, 50.0)
        asmu.analyzer.Recorder(interface, tmp_path / "none" / "take.wav")
        good = asmu.analyzer.Recorder(interface, tmp_path / "take.wav")
        sine.output().connect(good.input())
        ending = body.pop_all()
    with pytest.raises(DiskError):
        ending.close()
    assert interface.processors == (sine, good)
    assert set(client.patch()["nodes"]) == {sine.name, good.name}
    assert good.status()["state"] == "running"
    with interface.edit(at=1000) as edit:
        asmu.analyzer.Recorder(interface, tmp_path / "none" / "take.wav")
    with interface.edit(at=9000) as later:
        sine.set_frequency(60.0)
    link.run(4)
    with pytest.raises(DiskError):
        edit.wait()
    assert interface.processors == (sine, good)
    assert later.cancel()
    assert interface.processors == (sine, good)
    assert set(client.patch()["nodes"]) == {sine.name, good.name}
    interface.close()


def test_where_the_engine_is_gone_the_reason_says_so_too(engine, monkeypatch: pytest.MonkeyPatch):
    link, client = engine
    interface = asmu.Interface(engine=client)
    interface.open()

    def opened(self: asmu.generator.Sine) -> None:
        link.gone()
        raise ValueError("cannot begin")

    monkeypatch.setattr(asmu.generator.Sine, "_opened", opened)
    with pytest.raises(ValueError, match="cannot begin") as caught:
        asmu.generator.Sine(interface, 50.0)
    assert "may still be in the engine's patch" in caught.value.__notes__[0]
    assert interface.processors == ()
