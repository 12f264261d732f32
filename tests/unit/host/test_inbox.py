"""What waits at a ROUTER: everybody's in turn, a bounded number of each, and no end of the host when a flood breaks off."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from asmu_engine.host import inbox as inbox_module
from asmu_engine.host.endpoint import LocalEndpoint
from asmu_engine.host.inbox import end_connection

PATIENCE = 15.0

Open = Callable[..., zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def endpoint(context: zmq.Context[Any], tmp_path: Path) -> Iterator[LocalEndpoint]:
    endpoint = LocalEndpoint(context, tmp_path)
    yield endpoint
    endpoint.close(0)


@pytest.fixture
def opened(context: zmq.Context[Any], endpoint: LocalEndpoint) -> Iterator[Open]:
    """Opens clients' sockets, with their identities."""
    sockets: list[zmq.Socket[bytes]] = []

    def make(identity: bytes) -> zmq.Socket[bytes]:
        sockets.append(made := context.socket(zmq.DEALER))
        made.identity = identity
        made.sndhwm = 0
        made.connect(endpoint.requests_endpoint)
        return made

    yield make
    for each in sockets:
        each.close(0)


def received(endpoint: LocalEndpoint) -> tuple[bytes, bytes]:
    """The next message, whenever it comes: from whom, and what."""
    deadline = time.monotonic() + PATIENCE
    while (found := endpoint.receive()) is None:
        assert time.monotonic() < deadline
        endpoint.requests.poll(10)
    peer, frames = found
    return peer.identity, frames[0]


def test_nobody_waits_behind_a_flood(endpoint: LocalEndpoint, opened: Open) -> None:
    flood, quiet = opened(b"flood"), opened(b"quiet")
    for number in range(5000):
        flood.send(b"%d" % number)
    assert received(endpoint) == (b"flood", b"0")
    quiet.send(b"hello")
    got = [received(endpoint)]
    while got[-1][0] != b"quiet":
        got.append(received(endpoint))
    # It comes with the next messages that are taken from the socket, and is handled next.
    assert [what for whose, what in got if whose == b"flood"] == [b"%d" % number for number in range(1, len(got))]
    assert endpoint.more
    rest = [received(endpoint) for _ in range(5000 - len(got))]
    assert [what for _, what in rest] == [b"%d" % number for number in range(len(got), 5000)]
    assert not endpoint.more
    assert endpoint.receive() is None


@pytest.mark.parametrize("limit", ["MAX_WAITING", "MAX_WAITING_BYTES"])
def test_who_sends_more_than_may_wait_loses_the_connection_and_comes_back(
    endpoint: LocalEndpoint, opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: str
) -> None:
    monkeypatch.setattr(inbox_module, limit, 100 if limit == "MAX_WAITING" else 1000)
    flood = opened(b"flood")
    ends = flood.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    for number in range(1000):
        flood.send(b"%05d" % number)
    got = [received(endpoint)]
    deadline = time.monotonic() + PATIENCE
    while not ends.poll(0):
        assert time.monotonic() < deadline
        if (found := endpoint.receive()) is not None:
            got.append((found[0].identity, found[1][0]))
        assert sum(len(sender.messages) for sender in endpoint._inbox._waiting.values()) <= 100
    flood.disable_monitor()
    ends.close(0)
    assert {whose for whose, _ in got} == {b"flood"}
    assert caplog.text.count("its connection was ended") == 1
    flood.send(b"again")  # over the next connection
    while got[-1][1] != b"again":
        got.append(received(endpoint))
    numbers = [int(what) for _, what in got[:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[:90] == list(range(90))
    assert len(numbers) < 1000


SMALL = """
import psutil, zmq
from pathlib import Path
from asmu_engine.host.endpoint import LocalEndpoint
context, strangers = zmq.Context(), zmq.Context()
endpoint = LocalEndpoint(context, Path({folder!r}))
client = strangers.socket(zmq.DEALER)
client.connect(endpoint.requests_endpoint)
client.send(b"x")
while not endpoint.receive():
    pass
inbox, before = endpoint._inbox, psutil.Process().memory_info().rss
waiting = 0
for number in range(1, 4001):  # one by one, so that each comes with a read of its own
    client.send(b"x" * 50)
    while waiting < number:
        inbox._take()
        waiting = sum(len(sender.messages) for sender in inbox._waiting.values())
print((psutil.Process().memory_info().rss - before) // 4000)
client.close(0)
endpoint.close(0)
context.term()
strangers.term()
"""


def test_a_small_message_that_waits_takes_little(tmp_path: Path) -> None:
    code = SMALL.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < 2048  # bytes each


def test_a_single_message_may_be_larger_than_what_may_wait(
    endpoint: LocalEndpoint, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MAX_WAITING_BYTES", 1000)
    opened(b"one").send(bytes(5000))
    assert received(endpoint) == (b"one", bytes(5000))


@pytest.mark.parametrize("local", [True, False])
def test_a_connection_is_ended_by_its_message_and_no_other_is(context: zmq.Context[Any], tmp_path: Path, local: bool) -> None:
    with context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as one, context.socket(zmq.DEALER) as other:
        router.bind(f"ipc://{tmp_path}/here" if local else "tcp://127.0.0.1:*")
        for each in (one, other):
            each.linger = 0
            each.connect(router.getsockopt_string(zmq.LAST_ENDPOINT))
        ends = [each.get_monitor_socket(zmq.EVENT_DISCONNECTED) for each in (one, other)]
        one.send(b"end me")
        assert router.poll(PATIENCE * 1000)
        frame = router.recv_multipart(copy=False)[-1]
        assert end_connection(frame)
        assert ends[0].poll(PATIENCE * 1000)
        other.send(b"stay")
        assert router.poll(PATIENCE * 1000)
        assert router.recv_multipart()[-1] == b"stay"
        assert not ends[1].poll(0)
        for each, end in zip((one, other), ends, strict=True):
            each.disable_monitor()
            end.close(0)


def test_a_message_from_within_has_no_connection_to_end(context: zmq.Context[Any]) -> None:
    with context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("inproc://here")
        other.connect("inproc://here")
        other.send(b"x")
        assert not end_connection(one.recv(copy=False))


BREAKS_OFF = """
import sys, time, zmq
from pathlib import Path
from asmu_engine.host.endpoint import LocalEndpoint
context, strangers = zmq.Context(), zmq.Context()
endpoint = LocalEndpoint(context, Path({folder!r}))
client = strangers.socket(zmq.{kind})
client.linger = client.sndhwm = 0
{send}
end = time.monotonic() + 1
while time.monotonic() < end:  # all of it has come, and nobody has read it
    time.sleep(0.1)
strangers.destroy(linger=0)
end = time.monotonic() + 2.5  # heartbeats fall due
while time.monotonic() < end:
    time.sleep(0.1)
count = 0
while endpoint.receive():
    count += 1
print(count)
endpoint.close(0)
context.term()
"""
REQUESTS = """
client.connect(endpoint.requests_endpoint)
for number in range(5000):
    client.send(b"x" * 100)
"""
SUBSCRIPTIONS = """
client.connect(endpoint.events_endpoint)
for number in range(5000):
    client.subscribe(b"%d" % number)
"""


@pytest.mark.parametrize(("kind", "send", "count"), [("DEALER", REQUESTS, 5000), ("SUB", SUBSCRIPTIONS, 0)])
def test_a_flood_that_breaks_off_unread_does_not_end_the_host(tmp_path: Path, kind: str, send: str, count: int) -> None:
    """ZeroMQ ends the process when a heartbeat falls due on a broken connection whose queue was full."""
    code = BREAKS_OFF.format(folder=str(tmp_path), kind=kind, send=send)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{count}\n", "")
