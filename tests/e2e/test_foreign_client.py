"""What the page says is enough: a client in forty lines that has nothing of this library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plain_engine import PlainEngine

pytestmark = pytest.mark.e2e

CLIENT = Path(__file__).with_name("foreign_client.py")


def test_a_foreign_client_plays_a_tone_of_one_second_to_the_sample(tmp_path: Path) -> None:
    program = CLIENT.read_text()
    assert len(program.splitlines()) <= 40
    assert {line.split()[1] for line in program.splitlines() if line.startswith("import ")} == {
        "itertools",
        "sys",
        "msgpack",
        "zmq",
    }
    # A second of audio is four of the clock: whatever it schedules is there in time.
    with PlainEngine("foreign", device="virtual:inputs=2,outputs=2,speed=0.25") as engine:
        done = subprocess.run(
            [sys.executable, "-I", str(CLIENT), engine.info["requests"], engine.info["events"]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "48000 frames, 0 late\n", "")
        assert engine.client.result("patch")["nodes"] == {}
