"""The link to an engine in another process, against a bare ROUTER and PUB."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

import asmu_control as asmu
from asmu_control.aio import AsyncClient
from asmu_control.client import Client
from asmu_control.exceptions import AccessError, ConfigError, EngineError, EngineTimeout
from asmu_control.link import ZmqLink
from asmu_control.timeouts import Timeouts
from asmu_control.zmqlink import split_url
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.keys import ClientKey
from asmu_engine.protocol.messages import event, refusal, reply
from asmu_engine.protocol.runtime import EngineClaim, EngineInfo

HELLO = {"name": "one", "client": "c1", "role": "admin", "token": "t", "numbers": {"patch": 0, "xrun": 0, "engine": 0}}
SNAPSHOT = {"status": {}, "patch": {}, "scheduled": [], "numbers": HELLO["numbers"]}


class Host:
    """Answers with a thread: by type a result, an error, or None for silence; keeps what it was asked."""

    def __init__(self, context: zmq.Context, bind: Callable[[zmq.Socket, str], str], **options: Any) -> None:
        self.answers: dict[str, Any] = {"hello": HELLO, "ping": {}, "goodbye": {}, "snapshot": SNAPSHOT}
        self.asked: list[dict[str, Any]] = []
        self.identities: list[bytes] = []
        self.said = 0
        self._context, self._bind, self._options = context, bind, options
        self._wanted: list[Callable[[], None]] = []
        self._open()
        self._ending = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _open(self) -> None:
        self.router, self.publisher = self._context.socket(zmq.ROUTER), self._context.socket(zmq.PUB)
        self.publisher.sndhwm = 20
        for made in (self.router, self.publisher):
            made.linger = 0
            for name, value in self._options.items():
                setattr(made, name, value)
        self.router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.requests = self._bind(self.router, "requests")
        self.events = self._bind(self.publisher, "events")

    def _serve(self) -> None:
        while not self._ending:
            while self._wanted:
                self._wanted.pop(0)()
            if self.router.poll(5):
                identity, data = self.router.recv_multipart()
                message = unpack(data)
                self.asked.append(message)
                self.identities.append(identity)
                answer = self.answers.get(message["type"], {})
                if isinstance(answer, Exception):
                    self.router.send_multipart([identity, pack(refusal(message["id"], answer))])  # type: ignore[arg-type]
                elif answer is not None:
                    self.router.send_multipart([identity, pack(reply(message["id"], answer))])
        self.router.close()
        self.publisher.close()

    def do(self, what: Callable[[], None]) -> None:
        """Have it done by the thread to which the sockets belong."""
        done = threading.Event()
        self._wanted.append(lambda: (what(), done.set()))  # type: ignore[func-returns-value, arg-type]
        assert done.wait(10)

    def publish(self, topic: str, **fields: Any) -> None:
        self.said += 1
        data = pack(event(self.said, topic, fields))
        self.do(lambda: self.publisher.send_multipart([topic.encode(), data]))

    def restart(self, *, elsewhere: bool = False) -> None:
        """Every connection ends; at the same place, or elsewhere, there is another pair of sockets."""

        def again() -> None:
            bound = self.requests, self.events
            self.router.close()
            self.publisher.close()
            before = self._bind
            if not elsewhere:
                self._bind = lambda socket, what: bind_again(socket, bound[what == "events"])
            self._open()
            self._bind = before

        self.do(again)

    def end(self) -> None:
        self._ending = True
        self._thread.join(10)


def bind_again(socket: zmq.Socket, endpoint: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.bind(endpoint)
            return endpoint
        except zmq.ZMQError:
            if time.monotonic() > deadline:
                raise


def types(host: Host) -> list[str]:
    return [message["type"] for message in host.asked]


@pytest.fixture
def host(folders) -> Iterator[Host]:
    def bind(socket: zmq.Socket, what: str) -> str:
        socket.bind(f"ipc://{folders.runtime}/{what}.sock")
        return socket.last_endpoint.decode().rstrip("\0")

    with zmq.Context() as context:
        host = Host(context, bind)
        yield host
        host.end()
    for name in ("requests.sock", "events.sock"):
        Path(folders.runtime / name).unlink(missing_ok=True)


def local(host: Host, alive: Callable[[], bool] | None = lambda: True) -> ZmqLink:
    return ZmqLink(EngineInfo("one", 1, "0", host.requests, host.events, private=False), alive)


def test_requests_and_events_travel(host: Host) -> None:
    host.answers["status"] = {"state": "running"}
    with Client(local(host)) as client:
        assert client.facts == HELLO
        assert client.request({"type": "status"}) == {"state": "running"}
        events = client.events("xrun")
        assert next(events).topic == "snapshot"
        host.publish("xrun", lost=3)
        seen = next(events)
        assert (seen.topic, seen.number, seen["lost"]) == ("xrun", 1, 3)
        assert client.link.connections == 1
    assert types(host) == ["hello", "status", "snapshot", "goodbye"]


def test_events_by_topic_and_from_the_first_on(host: Host) -> None:
    """Nothing is lost between the snapshot and the first event, however often one joins."""
    with Client(local(host)) as client:
        for number in range(1, 31):
            with client.events("xrun", timeout=10, snapshot=False) as events:
                host.publish("patch")
                host.publish("xrun", lost=number)
                assert next(events)["lost"] == number


def test_event_subscribes_to_everything(host: Host) -> None:
    with Client(local(host)) as client:
        assert client.event(0) is None
        seen = None
        while seen is None:  # a subscription takes a moment to arrive
            host.publish("xrun", lost=3)
            seen = client.event(0.05)
        assert (seen["topic"], seen["lost"]) == ("xrun", 3)


def test_a_slow_reader_is_told_what_it_lost(host: Host) -> None:
    with Client(local(host)) as client, client.events("xrun", queue=5, snapshot=False) as events:
        # The system's own buffers hold some too; to fill them takes bulk.
        bulk = bytes(100_000)
        for number in range(200):
            host.publish("xrun", number_said=number, bulk=bulk)
        got = []
        while not any(event.topic == "lost" for event in got):
            event = events.next(0.1)
            if event is None:
                host.publish("xrun", number_said=host.said, bulk=b"")
            else:
                got.append(event)
        lost = next(event for event in got if event.topic == "lost")
        before = [event.number for event in got if event.topic == "xrun" and event.number < lost["from"]]
        assert before == list(range(1, lost["from"]))
        assert events.next(10).number == lost["from"] + lost["count"]  # type: ignore[union-attr]


def test_an_engine_whose_lock_is_free_is_gone(host: Host) -> None:
    claim = EngineClaim("one")
    claim.take()
    link = local(host, None)
    assert link.alive()
    claim.release()
    host.answers["hello"] = None
    with pytest.raises(EngineError) as caught:
        Client(link)
    assert caught.value.code == "engine_gone"
    link.close()


def test_a_client_whose_connection_broke_goes_on_as_the_same(host: Host) -> None:
    with Client(local(host)) as client:
        host.restart()
        host.answers["status"] = {"state": "running"}
        assert client.status()["state"] == "running"
        assert client.link.connections == 2
        assert len(set(host.identities)) == 1


def test_a_forgotten_client_says_hello_again(host: Host) -> None:
    with Client(local(host)) as client:
        host.restart()
        forgotten = ProtocolError("hello first", code="hello_first")
        host.answers["status"] = forgotten
        with pytest.raises(ProtocolError):
            client.status()
        asked = {message["id"]: message for message in host.asked}  # one that went out twice over is one
        assert [message.get("resume") for message in asked.values() if message["type"] == "hello"] == [None, "t"]
        assert [message["type"] for message in asked.values()].count("status") == 2


def test_a_client_that_only_listens_is_known_again_after_its_connection_broke(host: Host) -> None:
    with Client(local(host)) as client, client.events("xrun", snapshot=False) as events:
        host.restart()
        deadline = time.monotonic() + 20
        while "ping" not in types(host):
            assert events.next(0.05) is None
            assert time.monotonic() < deadline
        seen = None
        while seen is None:
            host.publish("xrun", lost=1)
            seen = events.next(0.05)
        assert seen.topic in ("xrun", "lost")


def test_a_fork_cannot_use_its_parents_connection(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(local(host)) as client, client.events("xrun", snapshot=False) as events:
        with monkeypatch.context() as patch:
            patch.setattr("os.getpid", lambda: 1)
            for use in (client.ping, events.next, client.events, lambda: client.event(0)):
                with pytest.raises(EngineError, match="of which this one is a fork") as caught:
                    use()
                assert caught.value.code == "engine_state"
            client.link.close()  # of the parent's sockets nothing is closed
        client.ping()


def test_too_many_requests_for_nobody(folders) -> None:
    link = ZmqLink(EngineInfo("one", 1, "0", f"ipc://{folders.runtime}/nobody", "ipc://x", private=False), lambda: True)
    for _ in range(1000):
        link.send(b"x")
    with pytest.raises(EngineTimeout, match="takes no more requests"):
        link.send(b"x")
    link.close()
    link.close()
    assert link.connections == 0


def test_an_endpoint_that_cannot_be(folders) -> None:
    with pytest.raises(EngineError, match="no connection to nowhere://x"):
        ZmqLink(EngineInfo("one", 1, "0", "nowhere://x", "", private=False))


def test_the_awaited_client_waits_on_the_socket(host: Host) -> None:
    async def main() -> None:
        async with AsyncClient(local(host)) as client:
            host.answers["status"] = {"state": "running"}
            both = await asyncio.gather(*(client.status() for _ in range(20)))
            assert both == [{"state": "running"}] * 20
            async with client.events("xrun") as events:
                assert (await events.next()).topic == "snapshot"  # type: ignore[union-attr]
                waiting = asyncio.ensure_future(events.next())
                await asyncio.sleep(0)
                assert not waiting.done()
                await asyncio.to_thread(host.publish, "xrun", lost=4)
                seen = await asyncio.wait_for(waiting, 10)
                assert seen is not None
                assert seen["lost"] == 4

    asyncio.run(main())
    assert types(host)[-1] == "goodbye"


def test_the_awaited_client_in_an_event_loop_that_watches_no_sockets(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise NotImplementedError

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        async with AsyncClient(local(host)) as client:
            await client.ping()

    asyncio.run(main())


# -- from elsewhere -------------------------------------------------------------------------------------------------------


def pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


@pytest.fixture
def curve() -> Iterator[tuple[Host, ClientKey, ThreadAuthenticator]]:
    """A host that lets in whose key is allowed; events not at the port after that of the requests."""
    server, client = pair(), pair()

    def bind(socket: zmq.Socket, what: str) -> str:
        socket.bind("tcp://127.0.0.1:*")
        return socket.last_endpoint.decode().rstrip("\0")

    with zmq.Context() as context:
        authenticator = ThreadAuthenticator(context)
        authenticator.start()
        authenticator.configure_curve_callback("global", Allowing({client[0].encode()}))
        options = {"curve_server": True, "curve_publickey": server[0].encode(), "curve_secretkey": server[1].encode()}
        host = Host(context, bind, zap_domain=b"global", **options)
        host.answers["hello"] = {**HELLO, "endpoints": {"events_port": int(host.events.rpartition(":")[2])}}
        yield host, ClientKey("anna", *client, server[0]), authenticator
        host.end()
        authenticator.stop()


class Allowing:
    """What ThreadAuthenticator asks."""

    def __init__(self, keys: set[bytes]) -> None:
        self.keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        return key in self.keys


def test_with_a_key_over_the_network(curve, tmp_path: Path) -> None:
    host, key, _ = curve
    key.save(tmp_path / "anna.key")
    with asmu.connect(host.requests, tmp_path / "anna.key", name="anna") as client:
        assert client.remote
        assert client.engine == "one"
        assert host.asked[0]["grace"] == 10.0
        assert key.secret not in repr(client) + repr(client.facts)
        with client.events("xrun") as events:
            assert next(events).topic == "snapshot"
            host.publish("xrun", lost=3)
            assert next(events)["lost"] == 3


def test_a_key_that_is_not_allowed(curve) -> None:
    host, key, _ = curve
    public, secret = pair()
    with pytest.raises(AccessError, match="refuses key 'eve': it is not allowed there, or was revoked") as caught:
        asmu.connect(host.requests, ClientKey("eve", public, secret, key.server))
    assert caught.value.code == "key_refused"
    assert host.asked == []


def test_a_key_for_another_engine(curve) -> None:
    host, key, _ = curve
    with pytest.raises(AccessError, match="refuses key 'anna': it is made for another engine") as caught:
        asmu.connect(host.requests, ClientKey("anna", key.public, key.secret, pair()[0]))
    assert caught.value.code == "key_refused"


def test_a_key_that_is_revoked_while_it_is_in_use(curve) -> None:
    host, key, authenticator = curve
    with asmu.connect(host.requests, key, timeout=20) as client, client.events("xrun", snapshot=False) as events:
        authenticator.configure_curve_callback("global", Allowing(set()))
        host.restart()
        with pytest.raises(AccessError, match="was revoked"):
            client.status()
        with pytest.raises(AccessError, match="was revoked"):
            events.next(20)


def test_nobody_at_the_address() -> None:
    key = ClientKey("anna", *pair(), pair()[0])
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens there
        url = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EngineTimeout, match=f"no connection to engine '{url}' within 0.3 s: nothing answers there"):
            asmu.connect(url, key, timeout=Timeouts(connect=0.3))


def test_an_engine_elsewhere_counts_as_gone_when_it_would_not_remember(curve, monkeypatch: pytest.MonkeyPatch) -> None:
    host, key, _ = curve
    with asmu.connect(host.requests, key) as client:
        assert client.alive()
        host.restart(elsewhere=True)
        deadline = time.monotonic() + 10
        monkeypatch.setattr("asmu_control.zmqlink.RESUME_SECONDS", 0.05)
        while client.alive():
            assert time.monotonic() < deadline
        with pytest.raises(EngineError) as caught:
            client.status()
        assert caught.value.code == "engine_gone"


@pytest.mark.parametrize(
    "url", ["tcp://", "tcp://host", "tcp://host:0", "tcp://host:65536", "udp://a:1", "tcp://a b:1", "tcp://::1:5"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="use tcp://HOST:PORT"):
        asmu.connect(url)


def test_an_address_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="asmu keys new NAME --out FILE") as caught:
        asmu.connect("tcp://localhost:5555")
    assert caught.value.where == "key"


def test_an_address_is_no_name() -> None:
    with pytest.raises(ConfigError, match="tcp://localhost:5555"):
        asmu.connect("localhost:5555")


def test_addresses() -> None:
    assert split_url("tcp://192.168.1.7:5555") == ("192.168.1.7", 5555)
    assert split_url("tcp://[fe80::1%eth0]:5555") == ("[fe80::1%eth0]", 5555)


@pytest.mark.parametrize("seconds", [0, -1, True, "3", float("nan")])
def test_bad_timeouts(seconds: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Timeouts(request=seconds)  # type: ignore[arg-type]
    assert caught.value.where == "request"
