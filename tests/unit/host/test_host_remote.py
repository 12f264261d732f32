"""The endpoint for other machines by itself: who is heard, what is logged, and how connections end with their key."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from asmu_engine.host import remote as remote_module
from asmu_engine.host.endpoint import Peer
from asmu_engine.host.events import Events
from asmu_engine.host.loop import Loop
from asmu_engine.host.remote import RemoteEndpoint
from asmu_engine.network import handshakes, listening
from asmu_engine.protocol.errors import ConfigError, EngineError
from asmu_engine.protocol.keys import KeyRing

PATIENCE = 15.0
Pair = tuple[bytes, bytes]


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.002)
    return value


class Remote:
    """An endpoint in a loop of its own, which answers every message with itself; and clients of it."""

    def __init__(self, listen: str) -> None:
        self.ring = KeyRing()
        self.loop = Loop()
        self.events = Events()
        self.peers: list[Peer] = []
        self.heard: list[tuple[Peer, list[bytes]]] = []
        self.endpoint = RemoteEndpoint(listen, self.ring)
        self.endpoint.serve(self.loop, self._read, self.events)
        self.context = zmq.Context()
        self.sockets: list[zmq.Socket] = []
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def _read(self, endpoint: RemoteEndpoint) -> bool:
        while (received := endpoint.receive()) is not None:
            peer, frames = received
            self.peers.append(peer)
            self.heard.append(received)
            endpoint.send(peer, frames)
        return endpoint.more

    def call(self, work: Callable[[], Any]) -> Any:
        """Do something in the loop."""
        done: list[Any] = []
        self.loop.post(lambda: done.append((work(),)))
        return until(lambda: done, "the loop")[0][0]

    def allow(self, name: str, role: Any = "operator") -> Pair:
        pair = zmq.curve_keypair()
        self.call(lambda: self.ring.allow(name, pair[0].decode(), role))
        return pair

    def client(self, pair: Pair | None, kind: int = zmq.DEALER, identity: bytes = b"") -> zmq.Socket:
        client = self.context.socket(kind)
        client.linger = 0
        client.reconnect_ivl = 20
        if identity:
            client.identity = identity
        if pair is not None:
            client.curve_publickey, client.curve_secretkey = pair
            client.curve_serverkey = self.endpoint.public_key.encode()
        client.connect(self.endpoint.requests_endpoint if kind == zmq.DEALER else self.endpoint.events_endpoint)
        self.sockets.append(client)
        return client

    def answers(self, client: zmq.Socket, message: bytes = b"hello") -> bool:
        """Ask again and again, as one does who reconnects, until there is an answer."""
        return bool(until(lambda: (client.send(message), client.poll(100))[1] and client.recv(), "an answer"))

    def answers_all(self, client: zmq.Socket) -> None:
        """The same until every question has its answer: none comes later."""
        questions: list[bytes] = []

        def answered() -> int:
            questions.append(b"%d" % len(questions))
            client.send(questions[-1])
            return client.poll(100)

        until(answered, "an answer")
        for question in questions:
            assert client.poll(PATIENCE * 1000)
            assert client.recv() == question

    def close(self) -> None:
        for client in self.sockets:
            client.close(0)
        self.context.term()
        self.loop.post(self.loop.stop)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self.endpoint.close(0)
        self.loop.close()


@pytest.fixture
def remote(caplog: pytest.LogCaptureFixture) -> Iterator[Remote]:
    caplog.set_level(logging.WARNING)
    remote = Remote("tcp://127.0.0.1:*")
    yield remote
    remote.close()


def test_a_peer_is_known_by_its_key_role_and_address(remote: Remote) -> None:
    client = remote.client(remote.allow("anna", "observer"), identity=b"anna-1")
    remote.answers(client)
    assert remote.peers[0] == Peer(b"anna-1", role="observer", user="anna", address="127.0.0.1")
    assert remote.peers[0].remote


@pytest.fixture
def unlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at the files of the keys, so no connection is ended."""
    monkeypatch.setattr(remote_module, "LOOK_SECONDS", 3600.0)


@pytest.mark.usefixtures("unlooked")
def test_a_role_that_changes_holds_from_the_next_message(remote: Remote) -> None:
    pair = remote.allow("anna", "admin")
    client = remote.client(pair)
    remote.answers(client)
    remote.call(lambda: remote.ring.revoke("anna"))
    client.send(b"after")
    peer = until(lambda: next((peer for peer, frames in remote.heard if frames == [b"after"]), None), "the next message")
    assert peer.role is None
    assert peer.user == "anna"
    assert peer.remote


def test_revocation_ends_connections_and_others_come_back(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = remote.allow("bad"), remote.allow("good")
    eve, anna = remote.client(bad), remote.client(good, identity=b"anna")
    watching, eavesdropping = remote.client(good, zmq.SUB), remote.client(bad, zmq.SUB)
    watching.subscribe(b"")
    eavesdropping.subscribe(b"")
    remote.answers(eve)
    remote.answers(anna)
    for subscriber in (watching, eavesdropping):
        until(lambda s=subscriber: (remote.call(lambda: remote.events.publish("engine", {})), s.poll(20))[1], "events")
    before = (remote.endpoint.requests_endpoint, remote.endpoint.events_endpoint)
    KeyRing().revoke("bad")
    until(lambda: "key revoked: bad" in caplog.text, "the files to be looked at")
    assert (remote.endpoint.requests_endpoint, remote.endpoint.events_endpoint) == before
    until(lambda: "refused 127.0.0.1: its key bad was revoked" in caplog.text, "the attempt to come back")
    remote.answers(anna)
    for socket_ in (watching, eavesdropping, eve):
        while socket_.poll(0):
            socket_.recv_multipart()
    until(lambda: (remote.call(lambda: remote.events.publish("engine", {})), watching.poll(20))[1], "events again")
    remote.peers.clear()
    with contextlib.suppress(zmq.Again):  # ZeroMQ gives up where it was told that it has no access
        eve.send(b"still there?", zmq.NOBLOCK)
    remote.answers(anna)
    assert {peer.user for peer in remote.peers} == {"good"}
    assert not eve.poll(0)
    assert not eavesdropping.poll(0)


def test_revoking_again_and_again(remote: Remote) -> None:
    anna = remote.client(remote.allow("anna"), identity=b"anna")
    for number in range(10):
        remote.allow(f"k{number}")
        remote.call(lambda number=number: remote.ring.revoke(f"k{number}"))
        remote.call(remote.endpoint.look)
        remote.answers(anna)
    assert threading.active_count() < 20


def test_when_sockets_cannot_be_made_anew_it_is_tried_again(
    remote: Remote, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = remote.client(remote.allow("anna"), identity=b"anna")
    remote.allow("bad")
    remote.answers(anna)
    bind = RemoteEndpoint._bind
    tries: list[Any] = []

    def fail_once(endpoint: RemoteEndpoint, made: zmq.Socket, listener: socket.socket) -> None:
        tries.append(made)
        if len(tries) == 2:
            raise OSError("too many open files")
        bind(endpoint, made, listener)

    monkeypatch.setattr(RemoteEndpoint, "_bind", fail_once)
    remote.call(lambda: remote.ring.revoke("bad"))
    until(lambda: "too many open files" in caplog.text, "the failure")
    remote.answers(anna)
    assert len(tries) == 4


def test_who_takes_up_an_identity_gets_no_answers_of_another_key(remote: Remote) -> None:
    anna = remote.client(remote.allow("anna"), identity=b"same")
    remote.answers_all(anna)
    anna.close(0)
    eve = remote.client(remote.allow("eve"), identity=b"same")
    remote.answers_all(eve)
    first, second = remote.peers[0], remote.peers[-1]
    assert (first.identity, first.user, second.identity, second.user) == (b"same", "anna", b"same", "eve")
    sent = remote.call(lambda: (remote.endpoint.send(first, [b"secret"]), remote.endpoint.send(second, [b"own"])))
    assert sent == (False, True)
    assert until(lambda: eve.poll(100) and eve.recv(), "its own") == b"own"
    assert not eve.poll(0)


def test_send_tells_whether_the_peer_is_there(remote: Remote) -> None:
    client = remote.client(remote.allow("anna"))
    remote.answers(client)
    assert remote.call(lambda: remote.endpoint.send(remote.peers[0], [b"more"])) is True
    assert client.poll(PATIENCE * 1000)
    assert remote.call(lambda: remote.endpoint.send(Peer(b"nobody"), [b"?"])) is False


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (b"", "it shows no key, but left or fell silent"),
        (b"\x03\x00NULL" + bytes(48), "it shows no key"),
        (b"\x03\x00PLAIN" + bytes(47), "it shows no key"),
        (
            b"\x03\x00CURVE" + bytes(47) + b"\x04\xc8\x05HELLO\x01\x00" + bytes(192),
            "what it sent was not meant for this engine's key",
        ),
        (b"\x03\x00CURVE" + bytes(47) + b"\x04\x06\x05READY", "it does not keep to the protocol"),
    ],
)
def test_strangers_are_logged_with_their_address(remote: Remote, caplog: pytest.LogCaptureFixture, then: bytes, why: str) -> None:
    port = int(remote.endpoint.requests_endpoint.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"\xff" + bytes(8) + b"\x7f")
        assert stranger.recv(1) == b"\xff"
        stranger.sendall(then)
        if then:
            until(lambda: _ended(stranger), "the engine to hang up")
    until(lambda: f"refused 127.0.0.1: {why}" in caplog.text, "the log")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 8, b"\xff" * 100, bytes(100_000)])
def test_what_is_not_zeromq_does_no_harm(remote: Remote, sent: bytes) -> None:
    port = int(remote.endpoint.requests_endpoint.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as stranger, contextlib.suppress(ConnectionError):
        stranger.sendall(sent)
    anna = remote.client(remote.allow("anna"))
    remote.answers(anna)
    assert {peer.user for peer in remote.peers} == {"anna"}


def _ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(4096)
    except ConnectionError:
        return True


def test_plain_and_null_clients_are_kept_out_however_busy_the_host_is(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    busy = threading.Event()

    def work() -> None:
        while not busy.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        null = remote.client(None)
        null.send(b"hello")
        until(lambda: "refused 127.0.0.1: it shows no key" in caplog.text, "the log")
        assert "unknown address" not in caplog.text
        assert not null.poll(0)
    finally:
        busy.set()
        thread.join()


def test_too_many_connections_are_shut_again(
    remote: Remote, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "MAX_CONNECTIONS", 3)
    port = int(remote.endpoint.requests_endpoint.rpartition(":")[2])
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    for stranger in strangers:
        assert stranger.recv(1)
    with socket.create_connection(("127.0.0.1", port)) as fourth:
        until(lambda: _ended(fourth), "the engine to hang up")
    until(lambda: "there are 3 connections already" in caplog.text, "the log")
    for stranger in strangers:
        stranger.close()
    remote.answers(remote.client(remote.allow("anna")))


def test_with_nobody_at_the_door_nobody_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HANDSHAKE_MS", 300)
    remote = Remote("tcp://127.0.0.1:*")
    pair = remote.allow("anna")
    remote.call(lambda: (remote.loop.remove_socket(remote.endpoint._door.socket), remote.endpoint._door.close()))
    client = remote.client(pair)
    reports = client.get_monitor_socket()
    client.send(b"hello")
    failed = False
    while not failed:
        assert reports.poll(PATIENCE * 1000)
        report = reports.recv_multipart()[0]
        failed = int.from_bytes(report[:2], "little") in (zmq.EVENT_DISCONNECTED, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    client.disable_monitor()
    reports.close(0)
    assert remote.peers == []
    # Put it back for the end.
    remote.call(lambda: remote.loop.add_socket(remote.endpoint._door.socket, lambda: None))
    remote.close()


# -- addresses --------------------------------------------------------------------------------------------------------


def free_pair() -> int:
    """A port that is free, as is the one after it."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


def with_free_pair(work: Callable[[int], Any]) -> Any:
    """Do something with such a port, and with others where somebody takes one of the two meanwhile."""
    for left in reversed(range(20)):
        try:
            return work(free_pair())
        except (EngineError, OSError) as error:
            if "in use" not in str(error) or not left:
                raise
    raise AssertionError


def test_events_have_the_port_after_the_requests() -> None:
    port, endpoint = with_free_pair(lambda port: (port, RemoteEndpoint(f"tcp://localhost:{port}", KeyRing())))
    assert endpoint.requests_endpoint in (f"tcp://127.0.0.1:{port}", f"tcp://[::1]:{port}")
    assert endpoint.events_port == port + 1
    endpoint.close(0)


def test_all_addresses_and_free_ports() -> None:
    endpoint = RemoteEndpoint("tcp://*:*", KeyRing())
    assert endpoint.requests_endpoint.startswith("tcp://0.0.0.0:")
    assert endpoint.events_endpoint.endswith(f":{endpoint.events_port}")
    assert endpoint.requests_endpoint != endpoint.events_endpoint
    endpoint.close(0)


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 address")
    remote = Remote("tcp://[::1]:*")
    try:
        client = remote.context.socket(zmq.DEALER)
        client.ipv6 = True
        pair = remote.allow("anna")
        client.curve_publickey, client.curve_secretkey = pair
        client.curve_serverkey = remote.endpoint.public_key.encode()
        remote.sockets.append(client)
        client.connect(remote.endpoint.requests_endpoint)
        remote.answers(client)
        assert remote.peers[0].address == "::1"
    finally:
        remote.close()


@pytest.mark.parametrize(
    ("listen", "error", "words"),
    [
        ("tcp://127.0.0.1:0", ConfigError, "from 1 to 65534"),
        ("tcp://127.0.0.1:65535", ConfigError, "from 1 to 65534"),
        ("tcp://127.0.0.1:99999", ConfigError, "from 1 to 65534"),
        ("tcp://no.such.host.invalid:7000", ConfigError, "is no address"),
        ("tcp://192.0.2.1:*", EngineError, "an address of this machine"),
    ],
)
def test_addresses_that_are_none(listen: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        RemoteEndpoint(listen, KeyRing())
    assert caught.value.where == "listen"  # type: ignore[attr-defined]


def test_a_taken_port_leaves_nothing_bound() -> None:
    def work(port: int) -> None:
        with socket.create_server(("127.0.0.1", port + 1)):
            with pytest.raises(EngineError, match=r"port \d+: ") as caught:
                RemoteEndpoint(f"tcp://127.0.0.1:{port}", KeyRing())
            if f"port {port}: " in str(caught.value):
                raise caught.value  # it was not this one that was taken here
            assert f"port {port + 1}: " in str(caught.value)
            socket.create_server(("127.0.0.1", port)).close()

    with_free_pair(work)
