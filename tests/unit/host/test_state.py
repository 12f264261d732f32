"""What an engine leaves for its successor: written whole, read whole, refused by name where it is damaged."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asmu_engine.config import EngineConfig
from asmu_engine.host import resume as resume_module
from asmu_engine.host import state as state_module
from asmu_engine.host.resume import UTC_SECONDS, axis_now, dead_position, resumed
from asmu_engine.host.state import SavedAxis, State, boot_name, read_state, remove_state, write_axis, write_state
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.shm.segment import remove_segments
from asmu_engine.shm.status import StatusPage, create_status

TAPS = Array("f4", (2,), struct.pack("<2f", 1, 0.5))
AXIS = SavedAxis(position=1000, monotonic_ns=5, utc_ns=7, boot="x", rate=48_001.5, uncertainty=2.5, ppm=0.1)
STATE = State(
    config={"name": "lab", "samplerate": 48_000.0, "blocksize": 64, "device": {"kind": "file", "data": TAPS}},
    path="/a:/b",
    axis_name="0123",
    revision=7,
    edits=[
        {"op": "add", "node": "fir", "kind": "fir", "inputs": 1, "outputs": 1, "parameters": {"taps": TAPS}},
        {"op": "connect", "source": "in", "output": 0, "target": "fir", "input": 0},
    ],
    run={"message": {"inputs": None}, "known": {}, "end": None, "device": {}},
    acquisitions=[{"node": "tap", "client": "anna", "command": {"folder": "/x"}}],
    axis=AXIS,
)
PATIENCE = 10.0


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.002)
    return value


def where(folders: Any) -> Path:
    return Path(folders.base) / "state" / "lab"


# -- the files --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_with_its_arrays(folders: Any) -> None:
    assert read_state("lab") is None
    write_state("lab", STATE)
    write_axis("lab", AXIS)
    assert read_state("lab") == STATE
    assert {file.name: file.stat().st_mode & 0o777 for file in where(folders).iterdir()} == {
        "state.json": 0o600,
        "axis.json": 0o600,
    }
    assert where(folders).stat().st_mode & 0o777 == 0o700
    remove_state("lab")
    assert read_state("lab") is None
    remove_state("lab")


def test_a_state_without_its_axis_is_one(folders: Any) -> None:
    write_state("lab", STATE)
    state = read_state("lab")
    assert state is not None
    assert state.axis is None
    (where(folders) / "axis.json").write_text('{"position": 1')
    assert read_state("lab") == state


def test_a_writer_that_dies_leaves_the_former_state(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state("lab", STATE)
    monkeypatch.setattr(state_module, "to_plain", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_state("lab", State(config={}, path="", axis_name=""))
    monkeypatch.undo()
    assert json.loads((where(folders) / "state.json").read_text())["revision"] == 7


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ('{"version": 2}', "it is of version 2, and this is version 1"),
        ('{"version": 1}', "'config'"),
        ("[]", "list indices"),
    ],
)
def test_one_that_is_damaged_is_refused_with_its_path(folders: Any, text: str, reason: str) -> None:
    where(folders).mkdir(parents=True)
    (where(folders) / "state.json").write_text(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_state("lab")
    assert caught.value.where == str(where(folders) / "state.json")
    assert "without --resume" in str(caught.value)


# -- going on with it -------------------------------------------------------------------------------------------------


def test_settings_that_are_given_come_before_those_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASMU_BLOCKSIZE", "512")
    monkeypatch.setenv("PYTHONPATH", "/b")
    write_state("lab", STATE)
    config, state = resumed(EngineConfig(name="lab", ring_seconds=3))
    assert (config.samplerate, config.blocksize, config.ring_seconds) == (48_000, 64, 3)
    assert config.device == {"kind": "file", "data": TAPS}
    assert state is not None
    assert state.revision == 7
    assert resume_module.os.environ["PYTHONPATH"] == "/b:/a", "plugins are found where they were"
    assert resumed(EngineConfig(name="lab", samplerate=48_000))[0].samplerate == 48_000
    with pytest.raises(ConfigError, match=r"'lab' ran at 48000 Hz"):
        resumed(EngineConfig(name="lab", samplerate=44_100))


def test_where_there_is_nothing_the_engine_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASMU_BLOCKSIZE", "512")
    config, state = resumed(EngineConfig(name="lab", samplerate=96_000))
    assert state is None
    assert (config.samplerate, config.blocksize) == (96_000, 512)


def test_the_axis_runs_on_by_the_monotonic_clock_within_one_run_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume_module, "boot_name", lambda: "x")
    axis = axis_now(AXIS)
    assert axis is not None
    assert (axis.position, axis.monotonic_ns, axis.rate, axis.uncertainty, axis.ppm) == (1000, 5, 48_001.5, 2.5, 0.1)
    assert axis_now(AXIS.model_copy(update={"rate": 0.0})) is None


@pytest.mark.parametrize("boot", ["y", ""])
def test_else_by_utc_and_less_surely(monkeypatch: pytest.MonkeyPatch, boot: str) -> None:
    monkeypatch.setattr(resume_module, "boot_name", lambda: boot)
    monkeypatch.setattr(resume_module.time, "time_ns", lambda: 10_000_000_007)
    monkeypatch.setattr(resume_module.time, "monotonic_ns", lambda: 3_000_000_000)
    axis = axis_now(AXIS)
    assert axis is not None
    assert axis.at(3_000_000_000) == 1000 + 480_015, "ten seconds later"
    assert axis.uncertainty == 2.5 + UTC_SECONDS * 48_001.5
    monkeypatch.setattr(resume_module.time, "time_ns", lambda: 0)
    axis = axis_now(AXIS)
    assert axis is not None
    assert axis.at(3_000_000_000) == 1000, "a clock that was put back does not turn the axis round"


def test_a_monotonic_clock_that_is_behind_is_of_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume_module, "boot_name", lambda: "x")
    monkeypatch.setattr(resume_module.time, "monotonic_ns", lambda: 4)
    axis = axis_now(AXIS)
    assert axis is not None
    assert axis.uncertainty > UTC_SECONDS * 48_001


def test_the_counters_of_the_dead_say_where_they_stood() -> None:
    assert dead_position("lab") == 0
    create_status("lab").close()
    page = StatusPage.attach("lab")
    page.words[page.word("frame_position")] = 2**33
    page.close()
    assert dead_position("lab") == 2**33
    remove_segments("lab")


def test_the_run_of_the_machine_has_a_name() -> None:
    assert boot_name() == boot_name()
