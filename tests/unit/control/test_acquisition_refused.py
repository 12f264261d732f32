"""Recordings into folders whose device is missing, or does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import asmu_control as asmu
from asmu_control.devicelist import DeviceList
from asmu_control.exceptions import ConfigError, DeviceError
from asmu_control.session import Session
from asmu_engine.recording.ledger import Ended, entry_line

RUNNING = {"job": 3, "kind": "acquire", "node": "tap1", "state": "running", "frames": 0, "lost_frames": 0}


def test_a_device_that_is_not_there_is_named_with_those_that_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = {"index": 0, "name": "Fireface", "hostapi_name": "ALSA", "max_input_channels": 2, "default_input": True}
    monkeypatch.setattr("asmu_control.devicelist._list", lambda: DeviceList([device]))
    with pytest.raises(DeviceError, match="there is no input device 'nosuch'; devices: 0: Fireface, ALSA"):
        asmu.Interface(device="portaudio:nosuch").record(tmp_path / "friday")

    def missing() -> DeviceList:
        raise DeviceError("no PortAudio", code="portaudio_missing")

    monkeypatch.setattr("asmu_control.devicelist._list", missing)
    with pytest.raises(ConfigError, match="name them"):
        asmu.Interface(device="portaudio:nosuch").record(tmp_path / "friday")


@pytest.mark.parametrize("frames", [0, 5])
def test_a_start_that_failed_leaves_no_folder_without_frames(
    link, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    folder = tmp_path / "week" / "friday"

    def request(session: Session, message: dict[str, Any], *timeout: Any) -> dict[str, Any]:
        if message["type"] == "acquire":  # as the engine does
            folder.mkdir(parents=True)
            (folder / "manifest.json").write_text("{}")
            (folder / "ledger.jsonl").write_bytes(entry_line(Ended(noted_ns=1, position=None, reason="stopped")))
        return asked(session, message, *timeout)

    def start(session: Session, *arguments: object) -> None:
        raise DeviceError("no such channel", code="device_channels")

    asked = Session.request
    monkeypatch.setattr(Session, "request", request)
    monkeypatch.setattr(Session, "start", start)
    link.answers["acquire"] = dict(RUNNING)
    link.answers["job"] = {**RUNNING, "frames": frames}
    link.answers["job_stop"] = {**RUNNING, "state": "finished"}
    interface = asmu.Interface(engine=client)
    recording = interface.record(folder, [1])
    with pytest.raises(DeviceError, match="no such channel"):
        interface.start()
    assert (tmp_path / "week").exists() == bool(frames)
    if not frames:
        assert recording.status()["state"] == "waiting"
        with pytest.raises(DeviceError, match="no such channel"):
            interface.start()
        assert len(link.asked("acquire")) == 2
