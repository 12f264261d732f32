"""A host that dies under SIGKILL: its successor goes on with patch, axis, device and recordings, all accounted for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from acquired import axis_error
from folder_account import RAMP, Folder, account_of, count
from plain_engine import PlainEngine, add, alive, connect, segments, until

from asmu_engine.recording.manifest import read_manifest

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.name != "posix", reason="SIGKILL")]


def killed(engine: PlainEngine, pids: list[int] | None = None) -> None:
    """SIGKILL of the host alone, at once where its processes are known; wait until its children have ended by themselves."""
    pids = pids or engine.pids()
    engine.process.kill()
    engine.process.wait()
    until(lambda: not any(map(alive, pids)), "the end of the children")
    let_go(engine)


def let_go(engine: PlainEngine) -> None:
    """Of one that has ended: close what this process still has of it."""
    for client in engine.clients:
        client.close()
    engine.context.destroy(linger=0)
    for pipe in (engine.process.stdin, engine.process.stdout, engine.process.stderr):
        pipe.close()


@pytest.fixture
def engines() -> Iterator[Callable[..., PlainEngine]]:
    """Start engines; each that still runs is shut down in the end."""
    made: list[PlainEngine] = []

    def start(**settings: Any) -> PlainEngine:
        made.append(PlainEngine(private=False, **settings))
        return made[-1]

    yield start
    for engine in made:
        if engine.process.poll() is None:
            engine.client.result("shutdown")
            engine.end()


def resume(engines: Callable[..., PlainEngine], **settings: Any) -> PlainEngine:
    return engines(resume=True, **settings)


def kept() -> dict[str, Any]:
    """What the engine has on the disk for its successor."""
    path = Path(os.environ["ASMU_STATE_DIR"]) / "lab" / "state.json"
    return json.loads(path.read_text()) if path.exists() else {"acquisitions": [], "run": None, "edits": [], "revision": -1}


def recorded(
    tmp_path: Path, *folders: str, start: Callable[..., PlainEngine], config: Any = None, **settings: Any
) -> PlainEngine:
    """An engine that records a ramp into folders; when it is returned some of that is there, and known to a successor."""
    plugin = tmp_path / "ramp_plugin.py"
    plugin.write_text(RAMP)
    engine = start(plugins=[str(plugin)], **(config or {}))
    client = engine.client
    client.edit(
        add("ramp", "ramp", 0, 2),
        add("tap", "tap", 2),
        add("gain", "gain", 1, 1, gain=[0.5]),
        connect("ramp", "tap"),
        connect("ramp", "tap", 1, 1),
        connect("ramp", "gain"),
    )
    client.result("start")
    for folder in folders:
        client.result("acquire", node="tap", folder=str(tmp_path / folder), keep=True, settings=settings)
    until(lambda: all((job.get("frames") or 0) > 9600 for job in jobs(engine)), "frames")
    until(lambda: len(kept()["acquisitions"]) == len(folders), "the state")
    return engine


def jobs(engine: PlainEngine) -> list[dict[str, Any]]:
    """How each is now; one that is tried once more under another number may be gone meanwhile."""
    answers = [engine.client.ask("job", job=job["job"]) for job in engine.client.result("status")["jobs"]]
    return [answer["result"] for answer in answers if answer["type"] == "reply"]


def goes_on(engine: PlainEngine, count: int = 1) -> list[dict[str, Any]]:
    """Wait until so many recordings have taken frames of the new engine; their facts."""

    def running() -> list[dict[str, Any]]:
        found = jobs(engine)
        new = [job for job in found if (job.get("gap_count") or 0) > 0 and job["position"] > sum(job["gaps"][-1][:2]) + 4800]
        return found if len(new) == count else []

    return until(running, "the recordings")


def host_gaps(path: Path) -> tuple[Folder, list[dict[str, Any]]]:
    """The account of a folder, in which nothing is lost but what the hosts' deaths have cost; those gaps."""
    folder = account_of(path)
    gaps = folder.of("gap")
    assert {gap["cause"] for gap in gaps} == {"host"}
    assert count(folder.lost) == sum(gap["frames"] for gap in gaps)
    return folder, gaps


def test_patch_axis_device_and_recording_go_on_in_the_same_folder(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    first = recorded(tmp_path, "friday", start=engines, rollover_seconds=0.5)
    folder = tmp_path / "friday"
    before = first.client.hello()
    killed(first)
    position = read_manifest(folder).position
    second = resume(engines)
    (job,) = goes_on(second)
    assert job["path"] == str(folder)
    after = second.client.hello()
    status = second.client.result("status")
    patch = second.client.result("patch")
    assert status["state"] == "running"
    assert status["device"]["inputs"] == [1, 2]
    assert len(segments()) == 2, "counters and tap, and nothing of the dead engine"
    assert patch["revision"] >= before["revision"]
    assert patch["nodes"].keys() == {"ramp", "gain", "tap"}
    assert patch["nodes"]["gain"]["parameters"]["gain"] == [0.5]
    assert patch["connections"] == [["ramp", 0, "tap", 0], ["ramp", 1, "tap", 1], ["ramp", 0, "gain", 0]]
    ended = second.client.result("job_stop", job=job["job"])
    assert ended["state"] == "finished"
    _, (gap,) = host_gaps(folder)
    assert gap["position"] == position, "what the rings held when the host died is on the disk"
    assert ended["lost"] == {"host": gap["frames"]}
    assert gap["uncertainty"] >= 256
    assert abs(axis_error(before["clock"], after["clock"])) <= gap["uncertainty"] + 256


def test_a_second_death_and_a_folder_that_is_gone(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    """The one goes on through both, the other is reported, and is no longer tried."""
    first = recorded(tmp_path, "a", "b", start=engines, fill_seconds=0.0)
    killed(first)
    (tmp_path / "b").rename(tmp_path / "elsewhere")
    second = resume(engines)
    failed = until(lambda: [job for job in jobs(second) if job["state"] == "failed"], "the report")
    assert [(job["path"], job["error"]["code"]) for job in failed] == [(str(tmp_path / "b"), "file_unreadable")]
    until(lambda: [job for job in jobs(second) if job["state"] == "running" and job.get("gap_count") == 1], "the other")
    until(lambda: len(kept()["acquisitions"]) == 1, "the state")
    killed(second)
    third = resume(engines)
    (job,) = until(lambda: [job for job in jobs(third) if job.get("gap_count") == 2 and job["segments"] == 2], "both gaps")
    third.client.result("job_stop", job=job["job"])
    _, gaps = host_gaps(tmp_path / "a")
    assert [gap["filled"] for gap in gaps] == [False, False]
    assert len(read_manifest(tmp_path / "a").segments) == 3


def test_what_was_stopped_does_not_go_on(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    first = recorded(tmp_path, "a", start=engines)
    (job,) = jobs(first)
    first.client.result("job_stop", job=job["job"])
    first.client.result("stop")
    until(lambda: not kept()["acquisitions"] and kept()["run"] is None, "the state")
    position = first.client.result("status")["frame_position"]
    killed(first)
    second = resume(engines)
    status = second.client.result("status")
    assert (status["state"], status["jobs"], status["frame_position"]) == ("stopped", [], position)
    assert second.client.result("patch")["nodes"].keys() == {"ramp", "gain", "tap"}
    assert read_manifest(tmp_path / "a").state == "finished"


def test_a_death_at_once_after_an_answer(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    """What was begun goes on, and what was ended does not, as the answers said."""
    engine = recorded(tmp_path, "a", start=engines)
    folders = [str(tmp_path / name) for name in "ab"]
    pids = engine.pids()
    engine.client.result("acquire", node="tap", folder=folders[1], keep=True)
    killed(engine, pids)
    assert [one["command"]["folder"] for one in kept()["acquisitions"]] == folders
    engine = resume(engines)
    numbers = {job["path"]: job["job"] for job in goes_on(engine, 2)}
    assert sorted(numbers) == folders
    pids = engine.pids()
    engine.client.result("job_stop", job=numbers[folders[0]])
    killed(engine, pids)
    engine = resume(engines)
    paths = until(lambda: [job["path"] for job in jobs(engine) if job.get("gap_count") == 2], "the other")
    assert paths == folders[1:]
    (job,) = jobs(engine)
    engine.client.result("job_stop", job=job["job"])
    assert [read_manifest(Path(folder)).state for folder in folders] == ["finished", "finished"]
    assert len(host_gaps(tmp_path / "b")[1]) == 2


def test_settings_of_the_dead_engine_hold_unless_others_are_given(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    first = engines(samplerate=96_000.0, device="virtual:inputs=3,outputs=1", autostart=True)
    until(lambda: kept()["run"], "the state")
    killed(first)
    second = resume(engines, blocksize=64)
    facts = second.client.facts
    assert (facts["samplerate"], facts["blocksize"]) == (96_000, 64)
    assert until(lambda: second.client.result("status")["device"], "the device")["inputs"] == [1, 2, 3]


def test_another_samplerate_is_refused_and_spoils_nothing(engines: Callable[..., PlainEngine]) -> None:
    first = engines()
    until(lambda: kept()["revision"] == 0, "the state")
    first.client.edit(add("gain", "gain", 1, 1))
    until(lambda: kept()["revision"] == 1, "the state")
    killed(first)
    other = resume(engines, samplerate=44_100.0)
    other.process.wait()
    assert other.greeting["error"]["code"] == "bad_config"
    assert "48000 Hz" in other.greeting["error"]["message"]
    let_go(other)
    assert resume(engines).client.result("patch")["nodes"].keys() == {"gain"}


def test_an_engine_that_ended_in_order_leaves_nothing_to_go_on_with(engines: Callable[..., PlainEngine]) -> None:
    first = engines()
    first.client.edit(add("gain", "gain", 1, 1))
    until(lambda: kept()["edits"], "the state")
    first.client.result("shutdown")
    first.end()
    assert not (Path(os.environ["ASMU_STATE_DIR"]) / "lab").exists()
    second = resume(engines)
    assert second.client.result("patch")["nodes"] == {}
    assert len(segments()) == 1, "its counters"


def test_a_flac_that_the_dead_engine_still_encodes_is_waited_for(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    """And the engine has everything back by the command line."""
    first = recorded(tmp_path, "a", start=engines, format="FLAC", subtype="PCM_24", fill_seconds=0.0)
    killed(first)
    command = [sys.executable, "-m", "asmu_control", "engine", "start", "lab", "--resume"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "with 3 nodes" in told.stdout
    command[-3:] = ["stop", "lab"]
    status = [*command[:-2], "status", "lab", "--json"]

    def going() -> bool:
        facts = json.loads(subprocess.run(status, capture_output=True, check=True).stdout)
        return any((job.get("gap_count") or 0) == 1 for job in facts["jobs"])

    until(going, "the recording")
    subprocess.run(command, check=True, capture_output=True)
    host_gaps(tmp_path / "a")
    assert [file.suffix for file in sorted((tmp_path / "a").glob("0*"))] == [".flac", ".flac"]


def test_a_device_that_is_not_there_yet_is_waited_for(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    """As a sound card that its system has not found yet; the recording goes on without it, and gets its frames later."""
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros((4800, 1), np.float32), 48_000)
    config = {"device": f"file:{sound},loop=1"}
    first = recorded(tmp_path, "a", start=engines, config=config, fill_seconds=0.0)
    killed(first)
    sound.rename(tmp_path / "elsewhere.wav")
    second = resume(engines)
    until(lambda: [job for job in jobs(second) if job["state"] == "running"], "the recording")
    assert second.client.result("status")["state"] == "lost"
    (tmp_path / "elsewhere.wav").rename(sound)
    (job,) = goes_on(second)
    assert second.client.result("status")["state"] == "running"
    second.client.result("job_stop", job=job["job"])
    host_gaps(tmp_path / "a")


def test_after_a_restart_of_the_machine_utc_says_how_long_it_was_off(engines: Callable[..., PlainEngine], tmp_path: Path) -> None:
    """What is kept is that of another run of the machine, an hour ago."""
    first = recorded(tmp_path, "a", start=engines)
    path = Path(os.environ["ASMU_STATE_DIR"]) / "lab" / "axis.json"
    killed(first)
    axis = json.loads(path.read_text())
    path.write_text(json.dumps({**axis, "boot": "another", "utc_ns": axis["utc_ns"] - 3600 * 10**9}))
    second = resume(engines)
    (job,) = goes_on(second)
    second.client.result("job_stop", job=job["job"])
    _, (gap,) = host_gaps(tmp_path / "a")
    assert 3600 * 48_000 < gap["frames"] < 3700 * 48_000
    assert gap["uncertainty"] >= 48_000, "a second"
