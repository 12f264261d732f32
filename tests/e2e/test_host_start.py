"""Starting a host: what keeps it from starting is said once, with its code, and nothing is left."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq
from plain_engine import ROOT, PlainClient, PlainEngine, published, until

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("settings", "family", "code", "text"),
    [
        ({"plugins": ["/nonexistent/mine.py"]}, "plugin", "plugin_unreadable", "/nonexistent/mine.py"),
        ({"device": "virtual:spouts=1"}, "config", "bad_device_text", "spouts"),
        ({"samplerate": -1.0}, "config", "bad_config", "samplerate"),
        ({"blocksize": 0}, "config", "bad_config", "blocksize"),
        ({"name": "a/b"}, "config", "bad_config", "name"),
        ({"colour": "red"}, "config", "bad_config", "known settings"),
    ],
)
def test_engine_that_cannot_start_says_why(settings: dict[str, Any], family: str, code: str, text: str) -> None:
    name = settings.pop("name", "lab")
    with PlainEngine(name, **settings) as engine:
        error = engine.greeting["error"]
        assert (error["family"], error["code"]) == (family, code)
        assert text in error["message"]
        assert engine.process.wait(15) == (2 if family == "config" else 1)
    assert engine.words == ""


def test_host_without_settings_on_its_stdin_refuses() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asmu_engine", "--stdin"],
        input=b"\x05\x00\x00\x00hello",
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert b"bad_" in done.stdout
    assert done.stderr == b""


def test_engine_by_arguments_and_file(tmp_path: Path) -> None:
    settings = tmp_path / "engine.toml"
    settings.write_text('name = "filed"\ndevice = "virtual"\nsamplerate = 8000\nblocksize = 64\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "asmu_engine", "--config", str(settings), "--blocksize", "128", "--autostart"], cwd=ROOT
    )
    try:
        until((Path(os.environ["ASMU_RUNTIME_DIR"]) / "filed" / "engine.json").exists, "the engine")
        info = published("filed")
        assert (info["pid"], info["private"]) == (process.pid, False)
        context = zmq.Context()
        lab = PlainClient(context, info)
        lab.hello()
        until(lambda: lab.result("status")["state"] == "running", "the autostart")
        status = lab.result("status")
        assert (status["samplerate"], status["blocksize"]) == (8000.0, 128)
        lab.close()
        context.term()
    finally:
        process.terminate()
        assert process.wait(15) == 0


def test_folder_and_what_is_in_it_belong_to_the_user_alone() -> None:
    with PlainEngine("lab"):
        root = Path(os.environ["ASMU_RUNTIME_DIR"])
        assert stat.S_IMODE(root.stat().st_mode) == stat.S_IMODE((root / "lab").stat().st_mode) == 0o700
        for file in ("requests.sock", "events.sock"):
            assert stat.S_IMODE((root / "lab" / file).stat().st_mode) == 0o600
        for segment in Path(os.environ["ASMU_SHM_DIR"]).iterdir():
            assert stat.S_IMODE(segment.stat().st_mode) == 0o600


def test_many_engines_start_at_the_same_time() -> None:
    names = [f"lab{number}" for number in range(4)]
    script = (
        "import sys, os; sys.path.insert(0, os.path.dirname(sys.argv[1])); sys.path.insert(0, sys.argv[2])\n"
        "from plain_engine import PlainEngine\n"
        "with PlainEngine(sys.argv[3]) as engine: print(engine.greeting, flush=True); sys.stdin.read()\n"
    )
    helper = Path(__file__).with_name("plain_engine.py")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(helper), str(ROOT), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    greetings = []
    for process in processes:
        assert process.stdout is not None
        greetings.append(process.stdout.readline())
    for process in processes:
        process.communicate("", timeout=20)
    assert all("'ready': True" in greeting for greeting in greetings), greetings
