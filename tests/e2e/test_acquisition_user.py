"""Recordings into folders as a script makes them: what is in the files is what the device gave, and the rest is in the ledger."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.exceptions import DiskError
from asmu_control.launch import start_detached
from asmu_control.testing import FakeLink
from asmu_engine.config import EngineConfig

pytestmark = pytest.mark.e2e

RATE, BLOCK = 48_000, 256
RAMP = (np.arange(1, 2**16 + 1, dtype=np.float32) / 2**17)[:, None]
"""A sound that says of each sample where it was."""


def until(condition: Callable[[], Any], what: str, patience: float = 20.0) -> Any:
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience:g} s for {what}"
        time.sleep(0.01)
    return value


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def entries(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "ledger.jsonl").read_text().splitlines())
    return [line for line in lines if line["entry"] == kind]


def rows(folder: Path) -> np.ndarray:
    """All rows of all segments, which follow one another without a gap."""
    parts, position = [], None
    for segment in manifest(folder)["segments"]:
        assert segment["state"] == "whole"
        data, rate = soundfile.read(folder / segment["file"], dtype="float32", always_2d=True)
        assert (rate, len(data)) == (RATE, segment["frames"])
        assert position in (None, segment["first"])
        position = segment["first"] + len(data)
        parts.append(data)
    return np.concatenate(parts)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "ramp.wav"
    soundfile.write(path, RAMP, RATE, "FLOAT")
    return path


def test_one_line_records_the_interface_sample_for_sample(tmp_path: Path, sound: Path) -> None:
    with asmu.Interface(device=f"file:{sound}", samplerate=RATE, blocksize=BLOCK) as interface:
        interface.iinput(ch=1, name="microphone", cPa=12.5, gain=20.0)
        recording = interface.record(tmp_path / "friday", rollover=0.5)
        stream = interface.start(drop=0)
        assert stream.wait(30)
        status = recording.stop()
        assert recording.status() == status
    # The last block of the file is filled up with silence.
    blocks = -(-len(RAMP) // BLOCK) * BLOCK
    assert (status["state"], status["frames"], status["lost_frames"]) == ("finished", blocks, 0)
    assert status["path"] == str(tmp_path / "friday")
    data = rows(tmp_path / "friday")
    np.testing.assert_array_equal(data[: len(RAMP)], RAMP)
    assert not data[len(RAMP) :].any()
    facts = manifest(tmp_path / "friday")
    assert [segment["frames"] for segment in facts["segments"]] == [24_000, 24_000, blocks - 48_000]
    assert (facts["state"], facts["samplerate"]) == ("finished", RATE)
    (channel,) = facts["channels"]
    assert (channel["name"], channel["device_channel"], channel["unit"], channel["factor"]) == ("microphone", 1, "Pa", 1.25)
    assert channel["calibration"] == {"cPa": 12.5, "gain": 20.0}
    assert entries(tmp_path / "friday", "gap") == []


def test_a_length_is_exact_to_the_frame(tmp_path: Path) -> None:
    with asmu.Interface(device="virtual:inputs=2,speed=4,buffer_s=60", samplerate=RATE, blocksize=BLOCK) as interface:
        recording = interface.record(tmp_path / "friday", "2,1", seconds=1.0001, rollover=None)
        interface.start()
        assert recording.wait(30)
        status = recording.status()
        assert interface.stats()["state"] == "running"
        assert recording.stop() == status
    assert (status["state"], status["frames"], status["lost_frames"]) == ("finished", 48_005, 0)
    assert status.get("reason") in (None, "")
    assert rows(tmp_path / "friday").shape == (48_005, 2)
    assert [channel["device_channel"] for channel in manifest(tmp_path / "friday")["channels"]] == [2, 1]


def test_what_the_device_loses_is_in_the_ledger(tmp_path: Path) -> None:
    with asmu.Interface(device="virtual:inputs=1,speed=4,buffer_s=60", samplerate=RATE, blocksize=BLOCK) as interface:
        recording = interface.record(tmp_path / "friday")
        interface.start()
        until(lambda: recording.status()["frames"] > 0, "frames")
        for frames in (100, 3000):
            before = recording.status()["lost_frames"]
            interface.fault("lose", frames=frames)
            until(lambda wanted=before + frames: recording.status()["lost_frames"] == wanted, f"{frames} lost frames")
        assert interface.stats()["lost_frames"] == 3100
        status = recording.stop()
    assert (status["state"], status["lost"], status["gap_count"]) == ("finished", {"device": 3100}, 2)
    gaps = entries(tmp_path / "friday", "gap")
    assert [(gap["frames"], gap["cause"], gap["filled"], gap["uncertainty"]) for gap in gaps] == [
        (100, "device", True, 0),
        (3000, "device", True, 0),
    ]
    assert len(rows(tmp_path / "friday")) == status["frames"]


def test_a_folder_holds_one_recording(tmp_path: Path) -> None:
    with asmu.Interface(device="virtual:inputs=1,speed=4,buffer_s=60", samplerate=RATE, blocksize=BLOCK) as interface:
        recording = interface.record(tmp_path / "friday")
        interface.start()
        until(lambda: recording.status()["frames"] > 0, "frames")
        with pytest.raises(DiskError) as caught:
            interface.record(tmp_path / "friday")
        assert caught.value.code == "file_unwritable"
        recording.record(folder=tmp_path / "saturday")
        until(lambda: recording.status()["frames"] > 0, "frames")
    assert [manifest(tmp_path / day)["state"] for day in ("friday", "saturday")] == ["finished", "finished"]
    assert recording.status()["state"] == "finished"


def test_a_recording_that_is_kept_goes_on_without_the_script(tmp_path: Path) -> None:
    info = start_detached(
        EngineConfig(name="lab", device="virtual:inputs=4,speed=2,buffer_s=60", samplerate=RATE, blocksize=BLOCK, autostart=True)
    )
    assert info.name == "lab"
    try:
        with asmu.Interface(engine="lab") as interface:
            kept = interface.record(tmp_path / "kept", "3-4", rollover="1h", keep=True)
            interface.start()
            gone = interface.record(tmp_path / "gone", [1])
            until(lambda: gone.status()["frames"] > 0, "frames")
            number, before = kept.status()["job"], kept.status()["frames"]
        assert gone.status()["state"] == "finished"
        with asmu.connect("lab") as client:
            assert client.status()["state"] == "running"
            until(lambda: client.job(number)["frames"] > before + RATE / 4, "more frames")
            status = client.stop_job(number)
        assert (status["state"], status["lost_frames"]) == ("finished", 0)
        assert rows(tmp_path / "kept").shape == (status["frames"], 2)
    finally:
        with asmu.connect("lab") as client:
            client.request({"type": "shutdown"}, 15)


def test_the_engine_in_memory_records_as_well(tmp_path: Path) -> None:
    link = FakeLink("fake", RATE, BLOCK)
    with Client(link) as client:
        interface = asmu.Interface(engine=client)
        recording = interface.record(tmp_path / "friday", [2, 1], keep=True)
        interface.start(drop=0)
        indata = np.arange(8 * BLOCK, dtype=np.float32).reshape(-1, 2) / 2**12
        link.run(2, indata)
        interface.close()
        link.run(2, indata[2 * BLOCK :])
        interface.open()
        status = recording.stop()
        interface.close()
    assert (status["state"], status["frames"], status["lost_frames"]) == ("finished", 4 * BLOCK, 0)
    np.testing.assert_array_equal(rows(tmp_path / "friday"), indata[:, ::-1])


def test_the_example_says_what_was_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "asmu_control.examples.acquisition", "--out", str(tmp_path / "friday")]
    device = ["--device", "virtual:inputs=2,buffer_s=60", "--seconds", "6"]
    done = subprocess.run([*command, *device], capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"288000 frames of 2 channels in [5-8] segments", lines[0])
    assert lines[1] == "100 frames are missing"
    assert re.fullmatch(r"  from frame \d+ on 100: device", lines[2])
    files = [line for line in lines if line.endswith(".wav")]
    assert files == sorted(path.name for path in (tmp_path / "friday").glob("*.wav"))
    assert [channel["unit"] for channel in manifest(tmp_path / "friday")["channels"]] == ["Pa", "Pa"]
