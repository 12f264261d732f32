"""``asmu verify`` and ``asmu repair`` as they are typed, on folders that an engine wrote, or was killed over."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from asmu_command import ASMU, PATIENCE, VIRTUAL, asmu_command, environment, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, module_folders: object) -> Path:
    """A whole recording of 2 s, in four segments."""
    folder = tmp_path_factory.mktemp("recorded") / "take"
    asmu_command("record", "--out", folder, *VIRTUAL, "--rollover", "0.5", "--seconds", "2")
    return folder


def test_a_whole_recording(recorded: Path, tmp_path: Path) -> None:
    text = asmu_command("verify", recorded, "--plot", tmp_path / "plot.png").stdout
    assert text.startswith(f"{recorded}: whole: every frame is there\n")
    assert "96000 frames (0:00:02.000)" in text
    assert "4 segments" in text
    assert "checksums are right" in text
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    quick = json.loads(asmu_command("verify", recorded, "--quick", "--json").stdout)
    assert (quick["outcome"], quick["exit_status"], quick["frames"], quick["hashed"]) == ("whole", 0, 96_000, False)
    assert "- nothing to repair" in asmu_command("repair", recorded).stdout
    assert not (recorded.parent / "take.repaired").exists()


def test_a_changed_byte(recorded: Path, tmp_path: Path) -> None:
    path = sorted(recorded.glob("*.wav"))[1]
    content = path.read_bytes()
    path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    try:
        text = asmu_command("verify", recorded, status=5).stdout
        assert f"damaged: {path} was changed since it was written" in text
        asmu_command("repair", recorded)
    finally:
        path.write_bytes(content)


def test_wrong_arguments_and_what_is_no_recording(recorded: Path, tmp_path: Path) -> None:
    assert "asmu: " in asmu_command("verify", tmp_path / "none", status=1).stderr
    assert "has neither manifest.json nor ledger.jsonl" in asmu_command("verify", tmp_path, status=1).stderr
    assert "has neither manifest.json nor ledger.jsonl" in asmu_command("repair", tmp_path, status=1).stderr
    asmu_command("verify", status=2)
    asmu_command("verify", recorded, "--plot", "plot.txt", status=2)
    asmu_command("repair", recorded, "--in-place", "--out", tmp_path / "x", status=2)
    assert "cannot write" in asmu_command("verify", recorded, "--plot", tmp_path / "none" / "plot.png", status=1).stderr


def test_progress_on_a_terminal(recorded: Path) -> None:
    own, other = pty.openpty()
    process = subprocess.Popen(
        [*ASMU, "verify", str(recorded)],
        stdin=other,
        stdout=other,
        stderr=other,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(other)
    text = b""
    while True:
        try:
            data = os.read(own, 65_536)
        except OSError:  # the terminal is closed
            break
        if not data:
            break
        text += data
    os.close(own)
    assert process.wait(PATIENCE) == 0
    assert b"checksums" in text
    assert b"whole: every frame is there" in text


@pytest.mark.parametrize("in_place", [False, True])
def test_everything_is_killed_and_the_recording_repaired(module_folders: Any, tmp_path: Path, in_place: bool) -> None:
    folder = tmp_path / "take"
    process = subprocess.Popen(
        [*ASMU, "record", "--out", str(folder), *VIRTUAL, "--rollover", "0.5", "--json"],
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: len(list(folder.glob("000004*"))), "the fourth segment")
        going = asmu_command("verify", folder, status=6).stdout
        assert "being recorded; right so far" in going
        assert "is being written" in asmu_command("repair", folder, status=1).stderr
    finally:
        every = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        # All at once: none is to see another's end.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for each in every:
                each.send_signal(number)
        process.wait()
        psutil.wait_procs(every, PATIENCE)
        for left in [*module_folders.shm.iterdir(), *(each for each in module_folders.runtime.rglob("*") if each.is_socket())]:
            left.unlink()  # as the next engine would
    assert "`asmu repair` makes it whole" in asmu_command("verify", folder, status=6).stdout
    result = json.loads(asmu_command("repair", folder, "--json", *(["--in-place"] if in_place else [])).stdout)
    repaired = Path(result["path"])
    assert repaired == (folder if in_place else tmp_path / "take.repaired")
    verdict = json.loads(asmu_command("verify", repaired, "--json").stdout)
    assert verdict["outcome"] == "whole"
    assert verdict["frames"] == verdict["delivered"] > 72_000
    assert [problem for problem in verdict["problems"] if problem["severity"] != "note"] == []
    asmu_command("verify", folder, status=0 if in_place else 6)
    sums = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=repaired, check=False)
    assert sums.returncode == 0
