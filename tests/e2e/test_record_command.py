"""``asmu record`` as it is typed, with its signals, its exit status and what it leaves."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from asmu_command import ASMU, PATIENCE, VIRTUAL, asmu_command, environment, until

import asmu_control as asmu
from asmu_control.launch import start_detached
from asmu_engine.config import EngineConfig

pytestmark = pytest.mark.e2e

RATE = 48_000
COMMAND = [*ASMU, "record"]
run = partial(asmu_command, "record")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def lab() -> Iterator[asmu.client.Client]:
    """A client of an engine that stays, with a virtual device that runs."""
    device = "virtual:inputs=4,speed=2,buffer_s=60"
    config = EngineConfig(name="lab", device=device, samplerate=RATE, blocksize=256, ring_seconds=60.0, autostart=True)
    start_detached(config)
    with asmu.connect("lab") as client:
        yield client
        client.request({"type": "shutdown"}, 15)


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self._own, other = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment(TERM="xterm-256color", COLUMNS="100", LINES="24"),
            start_new_session=True,
        )
        os.close(other)
        self.text = ""

    def read(self) -> str:
        """All that was written so far, without colours."""
        while select.select([self._own], [], [], 0.02)[0]:
            try:
                data = os.read(self._own, 65_536)
            except OSError:
                break
            if not data:
                break
            self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode("utf-8", "replace"))
        return self.text

    def end(self, number: int | None = None) -> int:
        """Its exit status, after a signal."""
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self.read()
        self.read()
        os.close(self._own)
        return self.process.returncode


def progress(command: Terminal, what: str = "friday", more: str = "") -> bool:
    """Whether it has shown a recording of a second or longer, however long it was by then, and `more` of it."""
    return re.search(rf"{what}  0:(?!00:00)\d\d:\d\d  {more}", command.read()) is not None


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Makes them; the test ends each."""
    made: list[Terminal] = []

    def make(*arguments: object) -> Terminal:
        made.append(Terminal(*arguments))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def test_a_length_of_an_own_device(tmp_path: Path) -> None:
    done = run(*VIRTUAL, "--out", tmp_path / "friday", "--seconds", "1.5s", "--rollover", "1s", "--tag", "title=take 1")
    assert f"{tmp_path}/friday: 0:00:01, 72000 frames of 2 channels" in done.stdout
    assert done.stdout.splitlines()[-1] == "complete: nothing is missing"
    assert done.stderr == ""
    facts = manifest(tmp_path / "friday")
    assert [segment["frames"] for segment in facts["segments"]] == [48_000, 24_000]
    assert facts["state"] == "finished"
    first = soundfile.SoundFile(tmp_path / "friday" / facts["segments"][0]["file"])
    with first:
        assert (first.format, first.subtype, first.frames, first.title) == ("WAV", "FLOAT", 48_000, "take 1")
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "friday", capture_output=True, check=False)
    assert sums.returncode == 0, sums.stderr


def test_the_end_of_a_file_device_is_the_end(tmp_path: Path) -> None:
    sound = np.random.default_rng(1).uniform(-1, 1, (RATE, 2)).astype(np.float32)
    soundfile.write(tmp_path / "sound.wav", sound, RATE, "FLOAT")
    device = ["--device", f"file:{tmp_path / 'sound.wav'}", "--samplerate", RATE, "--blocksize", 1000]
    done = run(*device, "--channels", "2", "--out", tmp_path / "friday", "--format", "flac", "--json")
    status = json.loads(done.stdout)
    assert (status["state"], status["frames"], status["lost_frames"], status["format"]) == ("finished", RATE, 0, "FLAC")
    (segment,) = manifest(tmp_path / "friday")["segments"]
    data, _ = soundfile.read(tmp_path / "friday" / segment["file"])
    assert np.abs(data - sound[:, 1]).max() <= 2**-23


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(tmp_path: Path, terminal: Callable[..., Terminal], number: int) -> None:
    command = terminal(*VIRTUAL, "--out", tmp_path / "friday", "--channels", "1-2")
    until(lambda: progress(command, more=r"[\d.]+ [kM]B  segment 1  lost 0"), "the progress line")
    until(lambda: re.search(r"  1 [█ ]{6} +-∞   2 ", command.read()), "the levels of both channels, which are silent")
    until(lambda: re.search(r"disk [\d.]+ [GTM]B free, full in \d", command.read()), "the forecast")
    assert command.end(number) == 0, command.text
    assert "complete: nothing is missing" in command.text
    facts = manifest(tmp_path / "friday")
    assert (facts["state"], len(facts["segments"])) == ("finished", 1)
    assert soundfile.info(tmp_path / "friday" / facts["segments"][0]["file"]).frames == facts["segments"][0]["frames"] > 0


def test_losses_have_an_exit_status_of_their_own(
    tmp_path: Path, terminal: Callable[..., Terminal], lab: asmu.client.Client
) -> None:
    command = terminal("--engine", "lab", "--out", tmp_path / "friday", "--channels", "1")
    until(lambda: progress(command), "the progress line")
    lab.request({"type": "fault", "fault": "lose", "frames": 77})
    until(lambda: "lost 77 frames in 1 gap (device 77)" in command.read(), "the loss")
    assert command.end(signal.SIGINT) == 4
    assert "missing: 77 frames in 1 gap (device 77)" in command.text


def test_what_is_kept_goes_on_and_is_watched_and_stopped(
    tmp_path: Path, terminal: Callable[..., Terminal], lab: asmu.client.Client
) -> None:
    command = terminal("--engine", "lab", "--channels", "1-3", "--rollover", "1h", "--out", tmp_path / "friday", "--keep")
    until(lambda: progress(command), "the progress line")
    assert command.end(signal.SIGINT) == 0
    assert f"asmu record --engine lab --out {tmp_path}/friday --stop" in command.text.replace("\r\n", "")
    (job,) = lab.status()["jobs"]
    assert (job["state"], job["kind"], job["path"]) == ("running", "acquire", str(tmp_path / "friday"))
    watching = terminal("--engine", "lab", "--out", tmp_path / "friday", "--watch")
    until(lambda: progress(watching), "the progress line")
    assert watching.end(signal.SIGINT) == 0
    assert "goes on" in watching.text
    assert lab.job(job["job"])["state"] == "running"
    done = run("--engine", "lab", "--out", tmp_path / "friday", "--stop", "--json")
    status = json.loads(done.stdout)
    assert (status["state"], status["lost_frames"]) == ("finished", 0)
    assert manifest(tmp_path / "friday")["state"] == "finished"
    assert lab.patch()["nodes"] == {}
    done = run("--engine", "lab", "--out", tmp_path / "saturday", "--stop", status=1)
    assert "records nothing into" in done.stderr


def test_sigkill_of_the_command_ends_only_what_was_not_kept(
    tmp_path: Path, terminal: Callable[..., Terminal], lab: asmu.client.Client
) -> None:
    commands = [
        terminal("--engine", "lab", "--channels", "1", "--out", tmp_path / name, *more)
        for name, more in (("kept", ["--keep"]), ("other", []))
    ]
    for name, command in zip(("kept", "other"), commands, strict=True):
        until(lambda name=name, command=command: progress(command, name), f"the progress line of {name}")
    for command in commands:
        assert command.end(signal.SIGKILL) == -signal.SIGKILL

    def states() -> dict[str, str]:
        return {Path(job["path"]).name: job["state"] for job in lab.status()["jobs"]}

    until(lambda: states() == {"kept": "running", "other": "finished"}, "the end of the one")
    before = next(job for job in lab.status()["jobs"] if job["state"] == "running")
    until(lambda: lab.job(before["job"])["frames"] > before["frames"], "more frames")
    assert lab.stop_job(before["job"])["lost_frames"] == 0


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(*VIRTUAL, "--out", tmp_path / "file" / "friday", status=1)
    assert done.stderr.startswith("asmu: ")
    assert len(done.stderr.splitlines()) == 1
    done = run("--engine", "nowhere", "--out", tmp_path / "friday", status=1)
    assert "no engine" in done.stderr
    assert not (tmp_path / "friday").exists()


def test_where_the_engine_is_killed_it_says_what_to_do(tmp_path: Path, terminal: Callable[..., Terminal], folders: Any) -> None:
    command = terminal(*VIRTUAL, "--out", tmp_path / "friday")
    until(lambda: progress(command), "the progress line")
    (host,) = [child for child in psutil.Process(command.process.pid).children() if "asmu_engine" in child.cmdline()]
    children = host.children(recursive=True)
    host.kill()
    assert command.end() == 1
    text = command.text.replace("\r\n", "")
    assert f"{tmp_path}/friday holds what was recorded so far; check it with: asmu verify {tmp_path}/friday" in text
    assert "ended without a word" in text or "ended before it answered" in text
    # Its children make whole what there is, and end; a file has its final name before the ledger says so.
    until(lambda: {file.name for file in found(tmp_path)} == set(whole(tmp_path)), "whole files")
    assert psutil.wait_procs(children, PATIENCE)[1] == []
    assert {file.name: soundfile.info(file).frames for file in found(tmp_path)} == whole(tmp_path)
    # Of the killed one, segments of shared memory are left to the next engine of this user.
    run(*VIRTUAL, "--out", tmp_path / "saturday", "--seconds", "0.1")
    assert list(folders.shm.iterdir()) == []


def found(base: Path) -> list[Path]:
    return sorted(path for path in (base / "friday").iterdir() if path.name[0].isdigit())


def whole(base: Path) -> dict[str, int]:
    """Files and frames that are whole, as the ledger says; of a line that is being written nothing is taken."""
    text = (base / "friday" / "ledger.jsonl").read_text()
    lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return {line["file"]: line["frames"] for line in lines if line["entry"] == "segment_whole"}


def test_a_start_that_fails_leaves_the_folder_free(tmp_path: Path) -> None:
    folder = tmp_path / "friday"
    assert "input channel 3" in run(*VIRTUAL, "--channels", "1-3", "--out", folder, "--seconds", 1, status=1).stderr
    assert not folder.exists()
    run(*VIRTUAL, "--channels", "1-2", "--out", folder, "--seconds", 1)
    again = run(*VIRTUAL, "--out", folder, "--seconds", 1, status=1)
    assert "holds a recording already; go on with it (--resume), or choose another folder" in again.stderr
    assert manifest(folder)["state"] == "finished"
