from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from asmu_control.cli.status import amount, duration, screen
from asmu_control.cli.unit import unit_text

_SPEC = importlib.util.spec_from_file_location("status_facts", Path(__file__).parents[1] / "host" / "status_facts.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
facts = _MODULE.facts


def shown(**changes: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=160, markup=False).print(screen(facts(**changes)))
    return text.getvalue()


@pytest.mark.parametrize(
    "expected",
    [
        "lab", "running", "virtual, 2 in, 1 out", "48000 Hz, blocks of 256", "up 1:02:05", "96300 frames = 0:00:02",
        "p50 0.4%, p99 1.0%, longest 10.0% of a block", "2 input overflow", "300 frames", "+37.00 ± 0.10 ppm over 0:01:00",
        "/data/friday", "256 device, 44 overrun", "0.50 s", "384.0 kB/s, 1.0 GB free, full in 0:43:20", "768.0 kB",
        "50.0 MB", "60.0 MB, replaced 1 ×",
    ],
)  # fmt: skip
def test_one_screen_has_it(expected: str) -> None:
    assert expected in shown()


def test_nothing_known_is_said_so() -> None:
    text = shown(clock_fit=None, device=None, jobs=[], state="stopped")
    assert "not enough is known yet" in text
    assert "no device" in text
    assert "recordings" not in text


def test_a_device_that_is_lost_says_why() -> None:
    assert "lost: lab is gone  no device" in shown(state="lost", reason="lab is gone", device=None)


def test_a_failed_job_says_why() -> None:
    error = {"code": "disk_failed", "family": "disk", "message": "the disk is full", "where": "", "retry": False}
    job = {"kind": "record", "job": 5, "node": "tap", "path": "/a.wav", "client": "", "state": "failed", "lost_frames": 3}
    text = shown(jobs=[{**job, "error": error}])
    assert "the disk is full" in text
    assert "3 any cause" in text


def test_durations_and_amounts() -> None:
    assert duration(86_399.9) == "23:59:59"
    assert amount(999_949) == "999.9 kB"
    assert amount(999_950) == "1.0 MB"


def test_a_unit_of_the_users_own() -> None:
    text = unit_text("lab", ["--config", "/etc/my settings/50%.toml"])
    lines = text.splitlines()
    assert f'ExecStart={sys.executable} -m asmu_engine --name lab --resume --config "/etc/my settings/50%%.toml"' in lines
    assert {"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=2", "WantedBy=default.target"} <= set(lines)
    assert not any(line.startswith("User=") for line in lines)


def test_a_unit_of_the_system() -> None:
    lines = unit_text("lab", [], "acoustics").splitlines()
    assert {
        "User=acoustics",
        "RuntimeDirectory=asmu",
        "Environment=ASMU_RUNTIME_DIR=%t/asmu",
        "WantedBy=multi-user.target",
    } <= set(lines)
