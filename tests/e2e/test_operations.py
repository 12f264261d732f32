"""An engine that is looked after: its figures, its health, its log, its unit, its exit statuses."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plain_engine import PATIENCE, ROOT, PlainEngine, until
from prometheus_client.openmetrics.parser import text_string_to_metric_families

pytestmark = pytest.mark.e2e


def get(url: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://").removesuffix("/metrics"), timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def figures(url: str) -> dict[str, float]:
    status, page = get(url, "/metrics")
    assert status == 200
    return {sample.name: sample.value for family in text_string_to_metric_families(page) for sample in family.samples}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_figures_health_and_log_of_a_running_engine(tmp_path: Path) -> None:
    log = tmp_path / "lab.jsonl"
    with PlainEngine(metrics="0", log=str(log), device="virtual:inputs=2,outputs=2,name=watched,buffer_s=60") as engine:
        client = engine.client
        url = engine.info["metrics"]
        assert get(url, "/healthz")[0] == 200
        client.ask("start")
        until(lambda: figures(url)["asmu_frames_total"] > 0, "frames on the page")
        client.ask("fault", fault="lose", frames=100)
        until(lambda: figures(url)["asmu_device_lost_frames_total"] == 100, "the loss on the page")
        client.ask("fault", fault="gone")
        until(lambda: get(url, "/healthz")[0] == 503, "the loss of the device to be told")
        assert json.loads(get(url, "/healthz")[1])["reasons"] == ["the device is lost: device watched is gone"]

        def logged() -> list[dict[str, Any]]:
            return [json.loads(line) for line in log.read_text().splitlines()]

        until(lambda: any(line["message"] == "device_lost" for line in logged()), "the log")
        xrun = next(line for line in logged() if line["message"] == "xrun")
        assert (xrun["level"], xrun["fields"]["lost"]) == ("warning", 100)
        shown = run("asmu_control", "status", "lab", "--once")
        assert shown.returncode == 0
        assert "lost: device watched is gone  no device" in shown.stdout.splitlines()[0]
        assert "100 frames" in shown.stdout
        assert json.loads(run("asmu_control", "status", "lab", "--json").stdout)["state"] == "lost"


def test_systemd_hears_when_the_engine_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        engine = subprocess.Popen(
            [sys.executable, "-m", "asmu_engine", "--name", "unit", "--device", "virtual", "--resume"], cwd=ROOT, env=environment
        )
        try:
            assert systemd.recv(100) == b"READY=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            engine.send_signal(signal.SIGTERM)
            # To be read all the while: the socket holds few messages, and those that it has no room for are not sent.
            while (said := systemd.recv(100)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"
            assert engine.wait(PATIENCE) == 0
        finally:
            engine.kill()
            engine.wait()


@pytest.mark.parametrize(
    "arguments",
    [("--samplerate", "0"), ("--device", "virtual:no_such_option=1"), ("--metrics", "0.0.0.0:1"), ("--config", "missing.toml")],
)
def test_wrong_settings_end_with_status_2(arguments: tuple[str, ...]) -> None:
    done = run("asmu_engine", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("asmu_engine: ")


def test_the_unit_starts_this_engine(tmp_path: Path) -> None:
    settings = tmp_path / "lab.toml"
    settings.write_text('name = "weeks"\ndevice = "virtual"\n')
    unit = run("asmu_control", "engine", "unit", "--config", str(settings)).stdout
    command = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).removeprefix("ExecStart=")
    engine = subprocess.Popen(command.split(), cwd=ROOT)
    try:
        until(lambda: "weeks" in run("asmu_control", "engine", "list").stdout, "the engine")
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(PATIENCE) == 0
    finally:
        engine.kill()
        engine.wait()
