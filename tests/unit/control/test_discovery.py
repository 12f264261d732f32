"""Engines that announce themselves are found, over the loopback interface alone."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zeroconf
from typer.testing import CliRunner

from asmu_control import discovery
from asmu_control.cli import main
from asmu_control.discovery import NetworkEngine, browse
from asmu_engine import __version__
from asmu_engine.host import announce as announce_module
from asmu_engine.host.announce import Announcement, announce
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.keys import fingerprint
from asmu_engine.protocol.runtime import SERVICE_TYPE

LOOPBACK = ["127.0.0.1"]
KEY = "009c61o!#m2NH?C3>iWS5d]J*6CRx17-skh9337x"
PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
    return value


def named(name: str) -> NetworkEngine | None:
    return next((found for found in browse(0.5, LOOPBACK) if found.name == name), None)


@pytest.fixture
def announced() -> Iterator[Announcement]:
    announcement = Announcement("lab.1", "tcp://127.0.0.1:7000", "tcp://127.0.0.1:7001", KEY)
    yield announcement
    announcement.close()


def test_an_engine_is_found_with_what_a_client_needs_and_gone_after_its_end(announced: Announcement) -> None:
    found = until(lambda: named("lab.1"), "the announcement")
    host = socket.gethostname().split(".")[0]
    assert found == NetworkEngine("lab.1", "tcp://127.0.0.1:7000", 7001, host, __version__, fingerprint(KEY))
    announced.close()
    until(lambda: named("lab.1") is None, "the end of the announcement")
    assert not any(thread.name == "announce" for thread in threading.enumerate())


def test_announcing_needs_ports_and_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="together with listen") as caught:
        announce("lab", None)
    assert caught.value.where == "announce"
    monkeypatch.setattr(announce_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"asmu-control\[discovery\]"):
        announce("lab", object())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(ConfigError, match=r"asmu-control\[discovery\]"):
        browse(0.1, LOOPBACK)


def test_a_network_that_refuses_is_logged_and_no_more(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(zeroconf, "Zeroconf", refuse)
    announcement = Announcement("lab", "tcp://127.0.0.1:7000", "tcp://127.0.0.1:7001", KEY)
    announcement._thread.join(PATIENCE)
    announcement.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no network" in caplog.text


class Info:
    """What the network says of one engine."""

    def __init__(self, addresses: list[str], port: int | None, properties: dict[bytes, bytes | None]) -> None:
        self.port, self.properties, self.server = port, properties, "there.local."
        self._addresses = addresses

    def parsed_scoped_addresses(self) -> list[str]:
        return self._addresses


FACTS: dict[bytes, bytes | None] = {b"name": b"lab", b"events": b"7001", b"version": b"1", b"key": b"ab-cd"}


def test_addresses_are_those_of_a_url() -> None:
    found = discovery._engine(Info(["fe80::1%eth0", "192.0.2.7"], 7000, FACTS))
    assert found == NetworkEngine("lab", "tcp://192.0.2.7:7000", 7001, "there", "1", "ab-cd")
    found = discovery._engine(Info(["2001:db8::1"], 7000, FACTS))
    assert found is not None
    assert found.url == "tcp://[2001:db8::1]:7000"


@pytest.mark.parametrize(
    "info",
    [
        Info([], 7000, FACTS),
        Info(["192.0.2.7"], None, FACTS),
        Info(["192.0.2.7"], 7000, {}),
        Info(["192.0.2.7"], 7000, {b"events": None}),
        Info(["192.0.2.7"], 7000, {b"events": b"\xff-1"}),
        Info(["192.0.2.7"], 7000, {b"\xff": b"\xff", b"events": "²".encode()}),
    ],
)
def test_announcements_that_make_no_sense_are_left_out(info: Info) -> None:
    assert discovery._engine(info) is None


def test_command_lists_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = NetworkEngine("lab", "tcp://192.0.2.7:7000", 7001, "there", "1", "ab-cd")
    asked: list[float] = []
    monkeypatch.setattr(discovery, "browse", lambda seconds: asked.append(seconds) or [engine])
    runner = CliRunner()
    table = runner.invoke(main.app, ["engine", "list", "--network", "--seconds", "0.5"]).output
    assert "tcp://192.0.2.7:7000" in table
    assert json.loads(runner.invoke(main.app, ["engine", "list", "--network", "--json"]).output)[0]["fingerprint"] == "ab-cd"
    monkeypatch.setattr(discovery, "browse", lambda seconds: [])
    assert "--announce" in runner.invoke(main.app, ["engine", "list", "--network"]).output
    assert asked == [0.5, 2.0]


def test_the_type_is_a_valid_one() -> None:
    assert zeroconf.ServiceInfo(SERVICE_TYPE, f"a on b.{SERVICE_TYPE}", port=1).type == SERVICE_TYPE
