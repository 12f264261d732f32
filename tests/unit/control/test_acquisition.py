"""Recordings into folders as a script begins and ends them; what the engine makes of it is tested end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.exceptions import ConfigError, DiskError, EngineError, PatchError

RUNNING = {"job": 3, "kind": "acquire", "node": "tap1", "state": "running", "frames": 0, "lost_frames": 0}


@pytest.fixture
def engine(link, client):
    link.answers["acquire"] = dict(RUNNING)
    link.answers["job"] = {**RUNNING, "frames": 512}
    link.answers["job_stop"] = {**RUNNING, "state": "finished", "frames": 768}
    return link, client


def test_one_line_makes_the_tap_connects_it_and_begins(engine, tmp_path: Path) -> None:
    link, client = engine
    interface = asmu.Interface(engine=client)
    interface.open()
    interface.iinput(ch=2, name="microphone", cPa=2.0)
    recording = interface.record(tmp_path / "friday", "2-3", rollover="90min,2GB", aligned=True, tags={"title": "t"})
    assert [edit["op"] for edit in link.edits()] == ["add", "connect", "connect"]
    assert len(link.asked("transaction")) == 1
    assert [(edit["source"], edit["output"], edit["input"]) for edit in link.edits()[1:]] == [("in", 1, 0), ("in", 2, 1)]
    (asked,) = link.asked("acquire")
    assert asked == {
        "node": recording.name,
        "folder": str(tmp_path / "friday"),
        "channels": [
            {"name": "microphone", "device_channel": 2, "unit": "Pa", "factor": 2.0, "calibration": {"cPa": 2.0}},
            {"name": "", "device_channel": 3},
        ],
        "settings": {
            "format": "WAV",
            "subtype": "",
            "rollover_seconds": 5400.0,
            "rollover_bytes": 2_000_000_000,
            "aligned": True,
            "tags": {"title": "t"},
        },
    }
    assert recording.path == tmp_path / "friday"
    assert recording.status()["frames"] == 512
    assert recording.stop()["frames"] == 768
    assert recording.close() == recording.status() == {**RUNNING, "state": "finished", "frames": 768}
    assert len(link.asked("job_stop")) == 1
    interface.close()


def test_it_begins_with_the_interface_and_only_once(engine, tmp_path: Path) -> None:
    link, client = engine
    interface = asmu.Interface(engine=client)
    recording = interface.record(tmp_path / "friday", [1])
    assert recording.status() == {"state": "waiting", "path": str(tmp_path / "friday"), "frames": 0, "lost_frames": 0}
    assert link.asked("acquire") == []
    with interface:
        interface.start()
        assert recording.status()["state"] == "running"
    assert recording.status()["state"] == "finished"
    interface.start()  # the folder holds a recording, which another one would not go into
    assert len(link.asked("acquire")) == 1
    recording.record(at=96_000, folder=tmp_path / "saturday")
    assert [(asked["folder"], asked.get("at")) for asked in link.asked("acquire")] == [
        (str(tmp_path / "friday"), None),
        (str(tmp_path / "saturday"), 96_000),
    ]
    assert recording.path == tmp_path / "saturday"
    interface.close()


def test_one_that_waits_begins_when_it_is_told_to(engine, tmp_path: Path) -> None:
    link, client = engine
    interface = asmu.Interface(engine=client)
    recording = interface.record(tmp_path / "friday", 1, wait=True)
    with pytest.raises(EngineError) as caught:
        recording.record()
    assert caught.value.code == "engine_state"
    interface.start()
    assert link.asked("acquire") == []
    recording.record(at=480)
    assert link.asked("acquire")[0]["at"] == 480
    with pytest.raises(PatchError, match="records 1 channels already"):
        recording.input(1)
    interface.close()


@pytest.mark.parametrize("how", ["recording", "interface", "edit"])
def test_one_that_is_kept_goes_on_without_the_script(engine, tmp_path: Path, how: str) -> None:
    link, client = engine
    interface = asmu.Interface(engine=client, keep=how == "interface")
    interface.open()
    if how == "edit":
        with interface.edit(keep=True):
            recording = interface.record(tmp_path / "friday", [1])
    else:
        recording = interface.record(tmp_path / "friday", [1], keep=how == "recording")
    assert link.asked("acquire")[0]["keep"] is True
    assert all(request.get("keep") for request in link.asked("transaction") if request["edits"])
    interface.close()
    assert link.asked("job_stop") == []
    assert recording.name in link.nodes()
    assert recording.status()["state"] == "running"
    facts = {name: {**node, "parameters": {}} for name, node in link.nodes().items()}
    link.answers["patch"] = {"nodes": facts, "connections": [["in", 0, recording.name, 0]]}
    interface.open()  # and is found again
    assert len(link.asked("acquire")) == 1
    recording.stop()
    interface.close()
    assert len(link.asked("job_stop")) == 1


def test_the_scripts_own_engine_keeps_nothing(tmp_path: Path) -> None:
    interface = asmu.Interface(device="virtual")
    with pytest.raises(ConfigError, match="asmu engine start"):
        interface.record(tmp_path / "friday", [1], keep=True)
    assert interface.processors == ()


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {"rollover_seconds": 3600.0}),
        ({"rollover": None}, {}),
        ({"rollover": 60, "seconds": "3d"}, {"rollover_seconds": 60.0, "seconds": 259_200.0}),
        ({"rollover": "4096B", "format": "FLAC", "subtype": "PCM_24"}, {"rollover_bytes": 4096}),
        ({"on_full": "drop_oldest", "minimum_free": "1GB"}, {"on_full": "drop_oldest", "minimum_free": 10**9}),
        ({"second_folder": "/backup"}, {"second_folder": "/backup", "on_full": "second_folder"}),
        ({"sync_seconds": "500ms", "fill_seconds": 0}, {"sync_seconds": 0.5, "fill_seconds": 0.0}),
        ({"warn_seconds": "2h", "clock_seconds": 10}, {"warn_seconds": 7200.0, "clock_seconds": 10.0}),
    ],
)
def test_settings(tmp_path: Path, options: dict[str, Any], settings: dict[str, Any]) -> None:
    recording = asmu.analyzer.Acquisition(asmu.Interface(device="virtual"), tmp_path / "friday", **options)
    expected = {"format": "WAV", "subtype": "", "rollover_seconds": 3600.0, **settings}
    if "rollover" in options and "rollover_seconds" not in settings:
        del expected["rollover_seconds"]
    if "format" in options:
        expected.update(format="FLAC", subtype="PCM_24")
    assert recording.settings == expected


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"rollover": "hourly"}, "rollover"),
        ({"rollover": "10B"}, "rollover_bytes"),
        ({"rollover": None, "aligned": True}, "aligned"),
        ({"rollover": "2GB", "aligned": True}, "aligned"),
        ({"seconds": 0}, "seconds"),
        ({"sync_seconds": "1ms"}, "sync_seconds"),
        ({"minimum_free": "much"}, "minimum_free"),
        ({"on_full": "explode"}, "on_full"),
        ({"on_full": "second_folder"}, "second_folder"),
        ({"second_folder": "/a", "on_full": "stop"}, "second_folder"),
        ({"tags": {"title": "x" * 5000}}, "tags.title"),
        ({"tags": 5}, "tags"),
        ({"tags": ["title"]}, "tags"),
        ({"minimum_free": np.array([1.0, 2.0])}, "minimum_free"),
        ({"sync": 1}, "sync"),
    ],
)
def test_settings_that_are_wrong_are_refused_before_anything_is_done(tmp_path, options: dict[str, Any], where: str) -> None:
    interface = asmu.Interface(device="virtual")
    with pytest.raises(ConfigError) as caught:
        interface.record(tmp_path / "friday", [1], **options)
    assert caught.value.where == where
    assert interface.processors == ()


@pytest.mark.parametrize("device", ["virtual:inputs=3", "offline:inputs=3,outputs=1"])
def test_without_channels_it_is_all_that_the_device_has(tmp_path: Path, device: str) -> None:
    interface = asmu.Interface(device=device)
    assert len(interface.record(tmp_path / "friday").inputs) == 3
    assert interface.inputs == (1, 2, 3)


def test_or_those_in_use(tmp_path: Path) -> None:
    interface = asmu.Interface(device="virtual:inputs=8", inputs=[7])
    interface.iinput(ch=2)
    recording = interface.record(tmp_path / "friday")
    assert [each.connected_output.port for each in recording.inputs] == [("in", 1), ("in", 6)]


def test_or_those_of_the_engine(engine, tmp_path: Path) -> None:
    link, client = engine
    link.answers["status"] = {**link.answers["status"], "device": {"inputs": [1, 2, 5]}}
    interface = asmu.Interface(engine=client)
    recording = interface.record(tmp_path / "friday")
    assert [each.connected_output.channel for each in recording.inputs] == [1, 2, 5]
    assert repr(recording).startswith("<Acquisition ")


def test_where_nobody_knows_them_they_are_to_be_named(engine, tmp_path: Path) -> None:
    _, client = engine
    for interface in (asmu.Interface(engine=client), asmu.Interface(device="file:a.wav")):
        with pytest.raises(ConfigError, match=r"name them: record\(folder, channels=\[1, 2\]\)"):
            interface.record(tmp_path / "friday")


def test_portaudio_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def query(device: object, kind: str) -> dict[str, Any]:
        asked.append((device, kind))
        return {"max_input_channels": 2}

    monkeypatch.setattr("asmu_control.devicelist.query_devices", query)
    for device in ("portaudio:Fireface", "portaudio:3|Speakers"):
        assert len(asmu.Interface(device=device).record(tmp_path / "friday").inputs) == 2
    assert asked == [("Fireface", "input"), (3, "input")]


def test_a_recording_that_failed_says_so_where_it_is_ended(engine, tmp_path: Path) -> None:
    link, client = engine
    error = DiskError("cannot write friday: disk full", code="file_unwritable", where="friday")
    link.answers["job_stop"] = {**RUNNING, "state": "failed", "error": error.to_wire()}
    interface = asmu.Interface(engine=client)
    interface.open()
    with pytest.raises(DiskError, match="disk full"), interface.record(tmp_path / "friday", [1]):
        pass
    interface.record(tmp_path / "saturday", [1])
    with pytest.raises(DiskError, match="disk full"):
        interface.close()


def test_but_not_over_what_went_wrong_before(engine, tmp_path: Path) -> None:
    link, client = engine
    link.answers["job_stop"] = DiskError("the disk does not answer", code="disk_failed")
    interface = asmu.Interface(engine=client)
    interface.open()
    with pytest.raises(ZeroDivisionError) as caught, interface.record(tmp_path / "friday", [1]):
        _ = 1 / 0
    assert caught.value.__notes__ == ["ending the recording then failed as well: the disk does not answer"]
    interface.close()


def test_waiting_for_the_end(engine, tmp_path: Path) -> None:
    link, client = engine
    interface = asmu.Interface(engine=client)
    interface.open()
    recording = interface.record(tmp_path / "friday", [1], seconds=1)
    assert not recording.wait(0.0)
    link.answers["job"] = {**RUNNING, "state": "finished", "frames": 48_000}
    assert recording.wait()
    assert recording.status()["frames"] == 48_000
    interface.close()


def test_on_another_machine_a_folder_is_within_the_engines(engine, link, tmp_path: Path, monkeypatch) -> None:
    _, client = engine
    link.remote = True
    interface = asmu.Interface(engine=client)
    interface.open()
    interface.record("friday", [1])
    interface.record(tmp_path / "saturday", [1])
    assert [asked["folder"] for asked in link.asked("acquire")] == ["friday", str(tmp_path / "saturday")]
    interface.close()


def test_a_client_of_ones_own_can_ask_for_it(engine) -> None:
    link, client = engine
    status = client.acquire("tap1", Path("/data/friday"), {"format": "CAF"}, channels=[{"name": "a"}], at=5, keep=True)
    assert status["job"] == 3
    assert link.asked("acquire") == [
        {
            "node": "tap1",
            "folder": "/data/friday",
            "settings": {"format": "CAF"},
            "channels": [{"name": "a"}],
            "at": 5,
            "keep": True,
            "resume": False,
        }
    ]
    assert Client.acquire.__doc__.startswith("Write the tap `node` to a folder")
