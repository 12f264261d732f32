"""``asmu`` as it is typed: on a device, and with rings, that lose nothing on a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import plain_engine

PATIENCE = 30.0
"""Seconds in which a command must do what is waited for."""

until = partial(plain_engine.until, patience=PATIENCE)

ASMU = [sys.executable, "-W", "error", "-m", "asmu_control"]
VIRTUAL = ["--device", "virtual:inputs=2,speed=4,buffer_s=60", "--samplerate", "48000", "--blocksize", "256"]


def environment(**more: str) -> dict[str, str]:
    """With rings in which a disk process may fall behind for long."""
    return {**os.environ, "ASMU_RING_SECONDS": "60", **more}


def asmu_command(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """What it said; it must end with this exit status."""
    done = subprocess.run(
        [*ASMU, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done
