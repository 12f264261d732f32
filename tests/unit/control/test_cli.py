"""The command line, in this process; what it does to engines is tested end to end."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import asmu_control
from asmu_control import devicelist
from asmu_control.cli import engine, main
from asmu_control.exceptions import DeviceError

runner = CliRunner()


def test_version_and_help() -> None:
    assert runner.invoke(main.app, ["--version"]).output.strip() == asmu_control.__version__
    for arguments in (["--help"], ["engine", "--help"], ["engine", "start", "--help"], ["devices", "--help"]):
        result = runner.invoke(main.app, arguments)
        assert result.exit_code == 0, result.output
    assert runner.invoke(main.app, ["engine", "explode"]).exit_code == 2


def device(index: int, name: str, **more: object) -> dict:
    return {
        "index": index,
        "name": name,
        "hostapi": 0,
        "hostapi_name": "ALSA",
        "max_input_channels": 2,
        "max_output_channels": 0,
        "default_samplerate": 48000.0,
        "default_input": True,
        "default_output": False,
        **more,
    }


def test_devices_as_table_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found = devicelist.DeviceList([device(0, "Interface [USB]"), device(1, "Other", default_output=True)])
    monkeypatch.setattr(devicelist, "_list", lambda: found)
    table = runner.invoke(main.app, ["devices"])
    assert table.exit_code == 0
    assert "Interface [USB]" in table.output
    assert "in/out" in table.output
    assert json.loads(runner.invoke(main.app, ["devices", "--json"]).output) == list(found)
    monkeypatch.setattr(devicelist, "_list", devicelist.DeviceList)
    assert "no sound device" in runner.invoke(main.app, ["devices"]).output


def test_errors_are_one_line_and_exit_status_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise DeviceError("PortAudio cannot be loaded; install it", code="portaudio_missing")

    monkeypatch.setattr(devicelist, "_list", fail)
    monkeypatch.setattr("sys.argv", ["asmu", "devices"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "asmu: PortAudio cannot be loaded; install it\n"


def test_ctrl_c_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupt)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 130


def test_status_table_of_an_idle_and_a_busy_engine() -> None:
    facts = {
        "name": "lab",
        "version": "0",
        "protocol": 1,
        "state": "stopped",
        "samplerate": 48000,
        "blocksize": 256,
        "revision": 0,
    }
    rows = engine._rows(facts)
    assert ("device", "none open") in rows
    busy = {
        **facts,
        "uptime": 3661.5,
        "device": {"name": "virtual"},
        "counters": {"callback_us": {"p50": 1.5}, "blocks": 7, "lost_frames": 3},
        "realtime": {"audio_thread": "SCHED_FIFO 70", "memory": True},
        "processes": {"audio": {"pid": 7, "rss": 2**20, "restarts": 2}, "disk": None},
        "clients": [{"id": "c1", "name": "", "pid": 5}],
        "jobs": [{"job": 1, "kind": "record", "path": "/a.wav", "state": "running", "frames": 9}],
    }
    shown = [f"{key}: {value}" for key, value in engine._rows(busy)]
    for line in (
        "device: virtual",
        "callback: p50 1.5 µs",
        "lost: 3 frames",
        "audio thread: SCHED_FIFO 70",
        "memory: yes",
        "audio process: 7, 1.0 MiB, restarted 2 times",
        "client: c1 (process 5)",
        "job: 1: record /a.wav, running, 9 frames, 0 lost",
    ):
        assert line in shown
    assert any("up 1:01:01" in line for line in shown)
