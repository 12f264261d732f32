"""The relay's socket and its subscribers' over 127.0.0.1: who comes in, who does not, and what they hear."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from relay_parts import make_key, ramp

from asmu_control.relay.packing import pack_frames
from asmu_control.relay.publisher import Publisher
from asmu_control.relay.subscriber import Subscriber
from asmu_control.relay.wire import Header, encode, topic_of
from asmu_engine.protocol.errors import AccessError, ConfigError, EngineError, ProtocolError, RingError
from asmu_engine.protocol.keys import ClientKey, KeyRing

PATIENCE = 10.0


class Running:
    """A publisher with a thread that answers each subscription with a message without samples, and sends what it is given."""

    def __init__(self, ring: KeyRing, queue: int = 200, answers: bool = True) -> None:
        self.publisher = Publisher("tcp://127.0.0.1:*", ring, queue)
        self.answers = answers
        self.heard: list[tuple[bytes, bool]] = []
        self.to_send: list = []
        self.expelled = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return self.publisher.endpoint

    def _run(self) -> None:
        while not self._end.is_set():
            for subscription in self.publisher.wait(0.005):
                self.heard.append(tuple(subscription))
                if subscription.wanted and self.answers:
                    self.publisher.send(Header(node="tap1", channels=2, samplerate=1.0, capacity=10, position=5))
            while self.to_send:
                item = self.to_send.pop(0)
                if isinstance(item, list):
                    self.publisher._socket.send_multipart(item)
                else:
                    self.publisher.send(*item)
            self.expelled += self.publisher.expel()

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.publisher.close()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


@pytest.fixture
def running(ring: KeyRing) -> Iterator[Running]:
    made = Running(ring)
    yield made
    made.close()


@contextlib.contextmanager
def subscribed(running: Running, key: ClientKey, node: str = "tap1") -> Iterator[Subscriber]:
    subscriber = Subscriber(running.endpoint, key, node)
    try:
        yield subscriber
    finally:
        subscriber.close()


def until(condition, what: str):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.002)
    return value


def numbers(subscriber: Subscriber, seconds: float) -> list[int]:
    """That of its next message, if one comes and has samples."""
    message = subscriber.receive(seconds)
    return [message[0].sequence] if message is not None and message[0].frames else []


def refused(running: Running, key: ClientKey) -> AccessError:
    with subscribed(running, key) as subscriber, pytest.raises(AccessError) as caught:
        subscriber.join(PATIENCE)
    return caught.value


def test_a_subscriber_with_a_key_gets_what_is_sent(ring: KeyRing, running: Running) -> None:
    with subscribed(running, make_key(ring, "anna")) as subscriber:
        header, data = subscriber.join(PATIENCE)
        assert (header.node, header.position, data) == ("tap1", 5, None)
        assert running.publisher.wanted(topic_of("tap1"))
        assert not running.publisher.wanted(topic_of("tap10"))
        frames = ramp(5, 3)
        running.to_send.append((Header(node="tap10", frames=3, channels=2), pack_frames(frames, "float32").payload))
        running.to_send.append((Header(node="tap1", frames=3, channels=2), pack_frames(frames, "float32").payload))
        header, data = subscriber.receive(PATIENCE)
        assert header.node == "tap1"
        np.testing.assert_array_equal(data, frames)
        assert subscriber.receive(0) is None
    until(lambda: len(running.heard) == 2, "the end of the subscription")
    assert not running.publisher.wanted(topic_of("tap1"))
    assert running.heard == [(b"tap1\0", True), (b"tap1\0", False)]


def test_each_subscriber_is_answered_and_the_last_one_switches_off(ring: KeyRing, running: Running) -> None:
    key = make_key(ring, "anna")
    with subscribed(running, key) as one:
        one.join(PATIENCE)
        with subscribed(running, key) as two:
            two.join(PATIENCE)
        assert one.receive(PATIENCE)[0].node == "tap1"  # the answer to the other
        assert running.publisher.wanted(topic_of("tap1"))
    until(lambda: len(running.heard) == 3, "the end of the subscriptions")
    assert not running.publisher.wanted(topic_of("tap1"))
    assert [wanted for _, wanted in running.heard] == [True, True, False]


def test_whom_it_does_not_know_hears_nothing(ring: KeyRing, running: Running, caplog: pytest.LogCaptureFixture) -> None:
    known = make_key(ring, "anna")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    with caplog.at_level(logging.WARNING):
        error = refused(running, ClientKey("eve", public, secret, known.server))
    assert error.code == "key_refused"
    assert "eve" in str(error)
    assert not running.heard
    until(lambda: "127.0.0.1" in caplog.text, "the address in the log")
    assert "is not known here" in caplog.text


def test_a_key_made_for_another_engine_is_refused(ring: KeyRing, running: Running, caplog: pytest.LogCaptureFixture) -> None:
    known = make_key(ring, "anna")
    with caplog.at_level(logging.WARNING):
        error = refused(running, ClientKey("anna", known.public, known.secret, zmq.curve_keypair()[0].decode()))
    assert error.code == "key_refused"
    until(lambda: "127.0.0.1" in caplog.text, "the address in the log")
    assert not running.heard


def test_who_shows_no_key_hears_nothing(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.subscribe(b"")
        socket.connect(running.endpoint)
        until(lambda: "it shows no key" in caplog.text, "the refusal in the log")
        assert "127.0.0.1" in caplog.text
        running.to_send.append((Header(node="tap1"), b""))
        until(lambda: not running.to_send, "the message to be sent")
        assert not socket.poll(50)
    assert not running.heard


def test_a_key_that_is_revoked_ends_the_connection_and_the_others_come_back(
    ring: KeyRing, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    anna, bert = make_key(ring, "anna"), make_key(ring, "bert")
    with caplog.at_level(logging.WARNING), subscribed(running, anna) as one, subscribed(running, bert) as two:
        one.join(PATIENCE)
        two.join(PATIENCE)
        endpoint = running.endpoint
        KeyRing(ring.folder).revoke("anna")
        until(lambda: running.expelled, "the revocation to be seen")
        assert (running.expelled, running.endpoint) == (1, endpoint)
        with pytest.raises(AccessError) as caught:
            until(lambda: one.receive(0.01) and None, "the refusal")
        assert caught.value.code == "key_refused"
        # ZeroMQ subscribes anew when the socket is next asked for something.
        until(lambda: two.receive(0.01) is None and len(running.heard) >= 3, "the other to subscribe anew")
        running.to_send.append((Header(node="tap1", position=99), b""))
        until(lambda: (message := two.receive(0.01)) and message[0].position == 99, "a message after it")
    assert "key revoked: anna" in caplog.text


def test_a_slow_subscriber_loses_and_the_others_do_not(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asmu_control.relay.subscriber.QUEUE_MESSAGES", 10)
    running = Running(ring, queue=10)
    try:
        key = make_key(ring, "anna")
        payload = bytes(4 * 2**18)
        with subscribed(running, key) as slow, subscribed(running, key) as quick:
            slow.join(PATIENCE)
            quick.join(PATIENCE)
            got: list[int] = []
            # 150 MB: far beyond what queues and the system's buffers on the way take.
            for number in range(150):
                running.to_send.append((Header(node="tap1", sequence=number, frames=2**16, channels=4), payload))
                got += until(lambda: numbers(quick, 0.05), "a message to the quick one")
            assert got == list(range(150))
            slow_got: list[int] = []
            later = itertools.count(150)

            def again() -> bool:
                running.to_send.append((Header(node="tap1", sequence=next(later), frames=2**16, channels=4), payload))
                slow_got.extend(numbers(slow, 0.2))
                return bool(slow_got) and slow_got[-1] >= 150

            until(again, "what is sent now")
            assert slow_got == sorted(set(slow_got))
            assert 10 <= sum(number < 150 for number in slow_got) < 150
    finally:
        running.close()


def test_nobody_there(ring: KeyRing) -> None:
    key = make_key(ring, "anna")
    with zmq.Context() as context, context.socket(zmq.REP) as free:
        port = free.bind_to_random_port("tcp://127.0.0.1")
    subscriber = Subscriber(f"tcp://127.0.0.1:{port}", key, "tap1")
    with pytest.raises(RingError, match="no relay answered") as caught:
        subscriber.join(0.2)
    assert (caught.value.code, caught.value.retry) == ("ring_timeout", True)
    subscriber.close()
    subscriber.close()


def test_a_refusal_is_raised_by_join(ring: KeyRing) -> None:
    running = Running(ring, answers=False)
    try:
        with subscribed(running, make_key(ring, "anna")) as subscriber:
            until(lambda: running.heard, "the subscription")
            error = RingError("no such tap", code="ring_unknown", where="tap1")
            running.to_send.append((Header(node="tap1", closed=True), b""))  # of another who had it before
            running.to_send.append((Header(node="tap1", error=error.to_wire()), b""))
            with pytest.raises(RingError, match="no such tap"):
                subscriber.join(PATIENCE)
    finally:
        running.close()


@pytest.mark.parametrize(
    "frames", [[b"tap1\0"], [b"tap1\0", b"x", b""], [*encode(Header(node="tap1", frames=3, channels=2), b"short")]]
)
def test_what_is_no_message_of_a_relay_is_refused(ring: KeyRing, running: Running, frames: list[bytes]) -> None:
    with subscribed(running, make_key(ring, "anna")) as subscriber:
        subscriber.join(PATIENCE)
        running.to_send.append(frames)
        with pytest.raises(ProtocolError) as caught:
            until(lambda: subscriber.receive(0.05), "the message")
        assert caught.value.code == "bad_message"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:5", "tcp://", "udp://1"])
def test_a_subscriber_needs_an_address(ring: KeyRing, endpoint: str) -> None:
    with pytest.raises(ConfigError, match="use tcp://HOST:PORT") as caught:
        Subscriber(endpoint, make_key(ring, "anna"), "tap1")
    assert caught.value.code == "bad_config"


@pytest.mark.parametrize("listen", ["5557", "tcp://", "tcp://*", "tcp://*:x", "tcp://*:70000", "ipc://here:1", "tcp://:5557"])
def test_a_publisher_needs_an_address(ring: KeyRing, listen: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Publisher(listen, ring)
    assert caught.value.code == "bad_config"


def test_an_address_that_cannot_be_had(ring: KeyRing, running: Running) -> None:
    for listen in (running.endpoint, "tcp://192.0.2.1:*"):
        with pytest.raises(EngineError, match="use another port") as caught:
            Publisher(listen, ring)
        assert caught.value.code == "engine_failed"
    with pytest.raises(ConfigError, match="is no address"):
        Publisher("tcp://no.such.host.invalid:5557", ring)


def test_subscribers_that_talk_nonsense_are_not_listened_to(ring: KeyRing, running: Running) -> None:
    key = make_key(ring, "anna")
    with zmq.Context() as context, context.socket(zmq.XSUB) as socket:
        socket.linger = 0
        socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
        socket.curve_serverkey = key.server.encode()
        socket.connect(running.endpoint)
        for message in (b"\2tap1", b"hello", b"\1" + b"x" * 300, b"\1tap9\0"):
            socket.send(message)
        until(lambda: running.heard, "the subscription")
        assert running.heard == [(b"tap9\0", True)]
        assert not running.publisher.wanted(topic_of("tap1"))
