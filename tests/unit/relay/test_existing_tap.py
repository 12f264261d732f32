"""From a client, a node or a handle to whatever reads that tap."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from relay_parts import KEY

from asmu_control import existingtap, remotetap
from asmu_control.analyzer import Tap
from asmu_control.existingtap import ExistingTap, reader_from
from asmu_control.relay.relay import _offered
from asmu_engine.protocol.errors import RingError


class Remote:
    """A client of an engine on another machine, with these services."""

    remote = True
    engine = "lab"
    link = SimpleNamespace(url="tcp://far.away:5555", key=KEY)

    def __init__(self, *services: dict[str, Any]) -> None:
        self.services = services

    def status(self) -> dict[str, Any]:
        return {"services": list(self.services)}


def relay(endpoint: str, taps: str = "all", service: str = "relay") -> dict[str, Any]:
    return {"service": service, "endpoint": endpoint, "facts": {"taps": taps}}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """With what remote readers were made."""
    calls: list[tuple] = []
    monkeypatch.setattr(remotetap, "RemoteReader", lambda *arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize(
    ("services", "endpoint"),
    [
        ([relay("tcp://*:5557")], "tcp://far.away:5557"),
        ([relay("tcp://10.0.0.7:5557")], "tcp://10.0.0.7:5557"),
        (
            [relay("tcp://*:1", service="logger"), relay("tcp://*:2", "other"), relay("tcp://*:3", "other,tap1")],
            "tcp://far.away:3",
        ),
    ],
)
def test_the_relay_that_publishes_the_tap_is_used(opened: list[tuple], services: list, endpoint: str) -> None:
    ExistingTap(Remote(*services), "tap1").reader(500)
    assert opened == [(endpoint, KEY, "tap1", 500)]


@pytest.mark.parametrize("services", [[], [relay("tcp://*:2", "other")], [relay("tcp://*:1", service="logger")]])
def test_without_one_the_remedy_is_named(services: list) -> None:
    tap = ExistingTap(Remote(*services), "tap1")
    with pytest.raises(RingError, match="asmu relay --engine lab") as caught:
        tap.blocks(10)
    assert (caught.value.code, caught.value.where, caught.value.retry) == ("ring_unknown", "tap1", True)
    assert repr(tap) == "<ExistingTap tap1 of engine 'lab'>"


@pytest.mark.parametrize(("start", "expected"), [("1234", 1234), ("0", "newest")])
def test_a_handle_of_a_remote_tap(opened: list[tuple], start: str, expected: object) -> None:
    Tap.attach(f"tcp://far.away:5557/tap1@{start}", key=KEY)
    assert opened == [("tcp://far.away:5557", KEY, "tap1", expected)]


@pytest.mark.parametrize("handle", ["tcp://far.away:5557", "tcp://far.away:5557/tap1", "tcp://far:1/tap1@x", "tcp://tap1@5", "x"])
def test_a_text_that_is_no_handle(handle: str) -> None:
    with pytest.raises(RingError, match="looks like") as caught:
        reader_from(handle, KEY)
    assert caught.value.code == "ring_unknown"


def test_a_remote_handle_takes_a_key() -> None:
    with pytest.raises(RingError, match="key=FILE") as caught:
        existingtap.reader_from("tcp://far.away:5557/tap1@5", None)
    assert caught.value.code == "ring_access"


@pytest.mark.parametrize(
    ("bound", "offered"),
    [
        ("tcp://0.0.0.0:5557", "tcp://*:5557"),
        ("tcp://[::]:5557", "tcp://*:5557"),
        ("tcp://127.0.0.1:5557", "tcp://127.0.0.1:5557"),
        ("tcp://[fe80::1]:5557", "tcp://[fe80::1]:5557"),
    ],
)
def test_what_a_relay_announces(bound: str, offered: str) -> None:
    assert _offered(bound) == offered
