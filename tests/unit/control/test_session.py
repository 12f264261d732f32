"""Interfaces, streams, recorders and players: what they ask of an engine, and what they make of its answers."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.exceptions import AccessError, ConfigError, DeviceError, DiskError, EngineError


@pytest.fixture
def attached(client) -> asmu.Interface:
    return asmu.Interface(engine=client)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASMU_DEVICE", "virtual:inputs=8")
    monkeypatch.setenv("ASMU_SAMPLERATE", "96000")
    monkeypatch.setenv("ASMU_BLOCKSIZE", "64")
    interface = asmu.Interface()
    assert (interface.device, interface.samplerate, interface.blocksize) == ("virtual:inputs=8", 96000, 64)
    assert isinstance(interface.samplerate, int)
    assert asmu.Interface(None, "offline", 48000, 128).device == "offline"


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVICE", "SAMPLERATE", "BLOCKSIZE"):
        monkeypatch.delenv(f"ASMU_{name}", raising=False)
    interface = asmu.Interface()
    assert (interface.device, interface.samplerate, interface.blocksize) == ("portaudio", 44100, 1024)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (3, "portaudio:3"),
        ((1, "Speakers"), "portaudio:1|Speakers"),
        ("Fireface", "portaudio:Fireface"),
        ("file:/a, b.wav", "file:/a, b.wav"),
        (asmu.device.VirtualDevice(inputs=1, matrix=[[1, 0.5]]), "virtual:inputs=1,matrix=1:0.5"),
    ],
)
def test_devices_in_every_form(device: object, text: str) -> None:
    assert asmu.Interface(device=device).device == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings", [{"samplerate": 0}, {"blocksize": 0}, {"blocksize": 1.5}, {"ring_seconds": 0.1}, {"asetup": "x"}]
)
def test_bad_settings_are_refused_when_they_are_given(settings: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        asmu.Interface(device="virtual", **settings)
    assert caught.value.where == next(iter(settings))


def test_latency_is_the_users() -> None:
    interface = asmu.Interface(device="virtual")
    assert interface.latency == 0
    interface.latency = 512
    assert interface.latency == 512
    with pytest.raises(ValueError, match="-1"):
        interface.latency = -1


def test_close_takes_the_patch_out_and_leaves_the_engine(attached: asmu.Interface, link) -> None:
    sine = asmu.generator.Sine(attached, 1)
    with attached.start():
        pass
    assert link.edits()[-1] == {"op": "remove", "node": sine.name}
    assert not link.asked("shutdown")
    assert not link.closed
    attached.close()


def test_close_takes_out_what_others_have_left_of_the_patch(attached: asmu.Interface, link) -> None:
    one, two = asmu.generator.Sine(attached, 1), asmu.generator.Sine(attached, 2)
    attached.open()
    link.answers["patch"] = {"nodes": {two.name: {}}}
    attached.close()
    assert link.edits()[-1] == {"op": "remove", "node": two.name}
    assert {"op": "remove", "node": one.name} not in link.edits()


def test_a_ring_is_looked_up_in_the_engine(attached: asmu.Interface, link) -> None:
    tap = asmu.analyzer.Tap(attached)
    attached.open()
    assert attached._patch.ring_of(tap) == f"ring of {tap.name}"
    link.answers["patch"] = {"nodes": {}}
    with pytest.raises(EngineError, match="not in the engine's patch"):
        tap.reader()


def test_repr_of_an_attached_interface(attached: asmu.Interface) -> None:
    assert repr(attached) == (
        "<Interface device of engine 'fake': 48000 Hz, blocks of 256 frames, attached to engine 'fake', not opened>"
    )
    attached.open()
    assert repr(attached).endswith("attached to engine 'fake', running>")


def test_the_device_of_others_is_left_running(attached: asmu.Interface, link) -> None:
    with attached.start():
        assert not link.asked("start")
    assert not link.asked("stop")


def test_the_own_device_is_stopped(attached: asmu.Interface, link) -> None:
    link.answers["status"] = {"state": "stopped"}
    stream = attached.start()
    link.answers["status"] = {"state": "running"}
    assert stream.active
    assert repr(stream).startswith("<Stream of <Interface")
    assert not stream.wait(0.01)
    stream.close()
    assert len(link.asked("stop")) == 1


def test_a_start_that_fails_leaves_nothing(attached: asmu.Interface, link) -> None:
    link.answers["status"] = {"state": "stopped"}
    link.answers["start"] = DeviceError("no", code="device_unknown")
    sine = asmu.generator.Sine(attached, 1)
    with pytest.raises(DeviceError):
        attached.start()
    assert link.edits()[-1] == {"op": "remove", "node": sine.name}
    assert attached.stats()["state"] == "closed"


def test_stats_stay_after_the_end(attached: asmu.Interface, link) -> None:
    assert attached.stats() == {"state": "closed"}
    attached.open()
    assert attached.stats()["blocks"] == 3
    attached.close()
    link.answers["status"] = {"counters": {"blocks": 99}}
    assert attached.stats()["blocks"] == 3
    assert attached.stats()["state"] == "closed"


def lose_the_device(interface: asmu.Interface, link, error: Exception | None) -> None:
    link.answers["status"] = {"state": "stopped"}
    with interface.start():
        link.answers["status"] = {"state": "lost"}
        if error is not None:
            raise error


def test_a_lost_device_is_told_at_the_end(attached: asmu.Interface, link) -> None:
    with pytest.raises(DeviceError) as caught:
        lose_the_device(attached, link, None)
    assert caught.value.code == "device_lost"


def test_but_not_over_the_error_of_the_body(attached: asmu.Interface, link) -> None:
    with pytest.raises(KeyError) as caught:
        lose_the_device(attached, link, KeyError("mine"))
    assert "was lost" in caught.value.__notes__[0]


def test_an_engine_that_failed_is_told_at_the_end(attached: asmu.Interface, link) -> None:
    link.answers["status"] = {"state": "stopped"}
    stream = attached.start()
    link.answers["status"] = {"state": "failed"}
    with pytest.raises(EngineError) as caught:
        stream.close()
    assert caught.value.code == "engine_failed"


def test_an_interface_cannot_go_to_another_process() -> None:
    interface = asmu.Interface(device="virtual")
    for value in (interface, asmu.analyzer.Tap(interface), interface.iinput(ch=1)):
        with pytest.raises(TypeError, match="a tap's handle"):
            pickle.dumps(value)


def test_a_forgotten_interface_is_freed(link) -> None:
    interface = asmu.Interface(device="virtual")
    sine = asmu.generator.Sine(interface, 1)
    sine.output().connect(interface.ioutput(ch=1))
    ghost = weakref.ref(interface)
    del interface, sine
    gc.collect()
    assert ghost() is None


# -- recorder and player ----------------------------------------------------------------------------------------


def test_recorder_asks_for_its_file(attached: asmu.Interface, link, tmp_path: Path) -> None:
    recorder = asmu.analyzer.Recorder(attached, tmp_path / "a.flac", tags={"title": "x"})
    assert recorder.status()["state"] == "waiting"
    attached.start()
    assert link.asked("record") == [
        {"node": recorder.name, "path": str(tmp_path / "a.flac"), "format": "FLAC", "subtype": "PCM_24", "tags": {"title": "x"}}
    ]
    link.answers["job_stop"] = {"state": "finished", "frames": 7}
    assert recorder.close()["frames"] == 7
    assert recorder.close()["frames"] == 7
    assert len(link.asked("job_stop")) == 1


def test_recorder_takes_path_and_format_of_a_file_object(attached: asmu.Interface, link, tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "b.wav", "w", 48000, 3, "PCM_24") as file:
        recorder = asmu.analyzer.Recorder(attached, file)
    assert len(recorder.inputs) == 3
    attached.open()
    (request,) = link.asked("record")
    assert (request["path"], request["format"], request["subtype"]) == (str(tmp_path / "b.wav"), "WAV", "PCM_24")


def test_a_recording_that_failed_says_why(attached: asmu.Interface, link, tmp_path: Path) -> None:
    recorder = asmu.analyzer.Recorder(attached, tmp_path / "a.wav")
    attached.open()
    error = DiskError("disk full", code="disk_failed", where="a.wav")
    link.answers["job_stop"] = {"state": "failed", "error": error.to_wire()}
    with pytest.raises(DiskError, match="disk full"):
        attached.close()
    assert attached.stats()["state"] == "closed"
    attached.open()
    link.answers["job_stop"] = {"state": "failed"}
    with pytest.raises(DiskError, match="gave no reason"):
        recorder.close()


def test_player_asks_for_its_file(attached: asmu.Interface, link, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((10, 2)), 48000)
    player = asmu.generator.Player(attached, tmp_path / "a.wav", loop=True)
    assert len(player.outputs) == 2
    link.answers["status"] = {"state": "stopped"}
    attached.start()
    assert link.asked("play") == [{"node": player.name, "path": str(tmp_path / "a.wav"), "loop": True, "start": 0}]
    attached.start()
    assert len(link.asked("play")) == 2
    assert link.asked("job_stop") == [{"job": 2}]
    link.answers["job"] = {"state": "running"}
    assert not player.finished(timeout=0.05)
    link.answers["job"] = {"state": "finished"}
    assert player.finished()
    link.answers["job"] = {"state": "failed", "error": DiskError("cut short", code="file_unreadable").to_wire()}
    with pytest.raises(DiskError, match="cut short"):
        player.finished()


def test_files_that_cannot_be_played(tmp_path: Path) -> None:
    interface = asmu.Interface(device="virtual", samplerate=48000)
    soundfile.write(tmp_path / "slow.wav", np.zeros(10), 44100)
    (tmp_path / "text.wav").write_text("no sound")
    for name, code, words in (
        ("slow.wav", "file_format", "samplerate=44100"),
        ("text.wav", "file_unreadable", "text.wav"),
        ("none.wav", "file_unreadable", "there is no such file"),
    ):
        with pytest.raises(DiskError, match=words) as caught:
            asmu.generator.Player(interface, tmp_path / name)
        assert caught.value.code == code
    assert interface.processors == ()


def test_nothing_is_recorded_or_played_without_an_engine(tmp_path: Path) -> None:
    interface = asmu.Interface(device="virtual", samplerate=48000)
    soundfile.write(tmp_path / "a.wav", np.zeros(10), 48000)
    for use in (asmu.analyzer.Recorder(interface, "x.wav").record, asmu.generator.Player(interface, tmp_path / "a.wav").play):
        with pytest.raises(EngineError) as caught:
            use()
        assert caught.value.code == "engine_state"


# -- attached -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("key", "anna.key"), ("keep", True)])
def test_what_only_an_engine_to_attach_to_can_have(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} is for an engine to attach to") as caught:
        asmu.Interface(device="virtual", **{name: value})  # type: ignore[arg-type]
    assert caught.value.where == name


def test_what_is_kept_stays_in_the_engine(client, link) -> None:
    interface = asmu.Interface(engine=client, keep=True)
    sine = asmu.generator.Sine(interface, 1)
    with interface.start():
        sine.set_frequency(2)
    assert all(request["keep"] for request in link.asked("transaction"))
    assert "remove" not in [edit["op"] for edit in link.edits()]


def test_an_address_is_taken_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lets in only those with a key"):
        asmu.Interface(engine="tcp://127.0.0.1:5555")
    with pytest.raises(AccessError, match=r"none\.key"):
        asmu.Interface(engine="tcp://127.0.0.1:5555", key=tmp_path / "none.key")


def test_a_client_that_was_closed_is_replaced_only_on_this_machine(client, link) -> None:
    interface = asmu.Interface(engine=client)
    client.close()
    with pytest.raises(EngineError) as caught:
        interface.open()
    assert caught.value.code == "engine_unknown"  # looked for by its name
    link.remote = True
    with pytest.raises(EngineError) as caught:
        interface.open()
    assert caught.value.code == "engine_state"
