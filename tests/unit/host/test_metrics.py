from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from status_facts import facts

from asmu_engine.host import web
from asmu_engine.host.health import health
from asmu_engine.host.loop import Loop
from asmu_engine.host.metrics import render
from asmu_engine.host.web import MetricsServer, loopback
from asmu_engine.protocol.errors import ConfigError


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """As Prometheus's own parser reads the page."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


RECORDING = (("job", "3"), ("path", "/data/friday"))


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("asmu_frames_total", (), 96_300),
        ("asmu_device_lost_frames_total", (), 300),
        ("asmu_deadline_misses_total", (), 1),
        ("asmu_xruns_total", (("kind", "input_overflow"),), 2),
        ("asmu_callback_load_ratio", (("quantile", "0.99"),), 53.3e-6 / (256 / 48_000)),
        ("asmu_state", (("asmu_state", "running"),), 1),
        ("asmu_state", (("asmu_state", "lost"),), 0),
        ("asmu_clients", (("role", "operator"),), 1),
        ("asmu_process_restarts_total", (("process", "audio"),), 1),
        ("asmu_process_resident_bytes", (("process", "host"),), 50_000_000),
        ("asmu_clock_ppm", (), 37.0),
        ("asmu_recording_lost_frames_total", (("cause", "overrun"), *RECORDING), 44),
        ("asmu_recording_ring_fill_ratio", RECORDING, 0.05),
        ("asmu_disk_write_bytes_per_second", RECORDING, 384_000),
        ("asmu_disk_full_in_seconds", RECORDING, 2600),
    ],
)
def test_each_figure_of_the_issue_is_on_the_page(name: str, labels: tuple[tuple[str, str], ...], value: float) -> None:
    assert samples(render(facts(), 10.0))[name, labels] == pytest.approx(value)


def test_what_is_not_known_is_not_on_the_page() -> None:
    page = samples(render(facts(clock_fit=None, device=None, jobs=[]), 10.0))
    names = {name for name, _ in page}
    assert "asmu_clock_ppm" not in names
    assert not any(name.startswith(("asmu_recording", "asmu_disk")) for name in names)
    assert ("asmu_process_resident_bytes", (("process", "disk"),)) not in page


def test_health_names_each_reason() -> None:
    failed = {
        "job": 4, "kind": "acquire", "state": "failed", "path": "/data/x", "node": "tap", "client": "", "error": {
            "code": "disk_failed", "family": "disk", "message": "disk full", "where": "", "retry": False}
    }  # fmt: skip
    assert health(facts()) == (True, {"engine": "lab", "state": "running", "well": True, "reasons": []})
    well, page = health(facts(state="failed", jobs=[failed]))
    assert not well
    assert page["reasons"] == [
        "the audio process died again and again and is not started any more",
        "job 4 to /data/x failed: disk full",
    ]
    status = facts()
    status["processes"]["audio"] = None
    assert health(status)[1]["reasons"] == ["the audio process is being replaced"]


@contextmanager
def serving(status: Any, address: str = "0") -> Iterator[http.client.HTTPConnection]:
    loop = Loop()
    thread = threading.Thread(target=loop.run)
    server = MetricsServer(address, loop, status, 10.0)
    host, _, port = server.url.removeprefix("http://").removesuffix("/metrics").rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=10)
    running = threading.Event()
    loop.post(running.set)  # a stop before it runs would be lost
    thread.start()
    assert running.wait(10)
    try:
        yield connection
    finally:
        connection.close()
        server.close()
        loop.stop()
        thread.join()
        loop.close()


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, str, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read()


@pytest.mark.parametrize("address", ["0", "localhost:0", "127.0.0.1:0", "[::1]:0"])
def test_pages_are_served_on_the_loopback(address: str) -> None:
    with serving(facts, address) as connection:
        status, kind, page = get(connection, "/metrics")
        assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
        assert page.endswith(b"# EOF\n")
        assert samples(page)["asmu_frames_total", ()] == 96_300
        connection.close()
        status, kind, page = get(connection, "/healthz?x=1")
        assert (status, kind, json.loads(page)["well"]) == (200, "application/json", True)
        connection.close()
        assert get(connection, "/etc/passwd")[0] == 404


def test_an_engine_that_is_not_well_answers_503() -> None:
    with serving(lambda: facts(state="lost", reason="device lab is gone")) as connection:
        status, _, page = get(connection, "/healthz")
        assert (status, json.loads(page)["reasons"]) == (503, ["the device is lost: device lab is gone"])
        connection.close()
        assert get(connection, "/metrics")[0] == 200


def test_a_host_that_does_not_answer_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PATIENCE_SECONDS", 0.01)
    go_on = threading.Event()

    def hangs() -> dict[str, Any]:
        go_on.wait()
        return facts()

    with serving(hangs) as connection:
        status, _, page = get(connection, "/healthz")
        assert (status, json.loads(page)["reasons"]) == (503, ["the engine does not answer"])
        connection.close()
        assert get(connection, "/metrics")[0] == 503
        go_on.set()


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "example.org:80", "*:1", "x", "127.0.0.1", "70000", "-1", ""])
def test_no_other_address_than_the_loopbacks(address: str) -> None:
    with pytest.raises(ConfigError, match="loopback") as caught:
        loopback(address)
    assert caught.value.where == "metrics"


def test_a_port_that_is_taken_is_refused() -> None:
    with serving(facts) as connection, closing(Loop()) as loop, pytest.raises(ConfigError, match="choose another port"):
        MetricsServer(str(connection.port), loop, facts, 10.0)


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "find_spec", lambda name: None)
    with closing(Loop()) as loop, pytest.raises(ConfigError, match=r"pip install 'asmu-control\[metrics\]'"):
        MetricsServer("0", loop, facts, 10.0)
