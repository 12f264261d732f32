from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from asmu_engine.host.notify import ALIVE, READY, notify, watchdog_seconds


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"asmu-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        notify(READY, ALIVE)
        systemd.settimeout(5)
        assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"


def test_nobody_to_hear_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(READY)
    assert not caplog.records
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with caplog.at_level(logging.WARNING):
        notify(READY)
    assert "could not be told READY=1" in caplog.text


@pytest.mark.parametrize(
    ("given", "process", "seconds"),
    [("30000000", "", 15.0), ("30000000", "me", 15.0), ("30000000", "1", None), ("0", "", None), ("", "", None), ("x", "", None)],
)
def test_how_often_systemd_is_told(monkeypatch: pytest.MonkeyPatch, given: str, process: str, seconds: float | None) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", given)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "me" else process)
    assert watchdog_seconds() == seconds
