"""Several clients of one engine, on its machine and over a network that fails: transactions, leases, events, coming back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.exceptions import AccessError, EngineError, PatchError
from asmu_control.launch import start_detached
from asmu_engine.config import make_config
from asmu_engine.protocol.keys import ClientKey, KeyRing
from asmu_engine.protocol.request import Role
from asmu_engine.protocol.runtime import EngineInfo, is_running

pytestmark = pytest.mark.e2e

ROOT = Path(asmu.__file__).resolve().parent.parent
PATIENCE = 20.0


def add(node: str, value: float = 0.5) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": "constant", "inputs": 0, "outputs": 1, "parameters": {"value": value}}


def change(node: str, value: float) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": {"value": value}}


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
    return value


@pytest.fixture
def lab() -> Iterator[EngineInfo]:
    settings = {"device": "virtual:inputs=2,outputs=2", "samplerate": 48000, "blocksize": 256}
    info = start_detached(make_config(name="lab", listen="tcp://127.0.0.1:*", **settings))
    yield info
    if is_running("lab"):
        with asmu.connect("lab") as client:
            client.shutdown()
    psutil.wait_procs([psutil.Process(info.pid)] if psutil.pid_exists(info.pid) else [], timeout=10)


def new_key(name: str, role: Role = "admin") -> ClientKey:
    ring = KeyRing()
    server = ring.server_key(zmq.curve_keypair)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    ring.allow(name, public, role)
    return ClientKey(name, public, secret, server.public)


def nodes(client: Client) -> list[str]:
    return sorted(client.patch()["nodes"])


def test_clients_see_each_other_come_and_go(lab: EngineInfo) -> None:
    with asmu.connect("lab", name="watcher") as watcher, watcher.events("client", "patch", timeout=PATIENCE) as events:
        assert next(events).topic == "snapshot"
        with asmu.connect("lab", name="worker", role="operator") as worker:
            joined = next(events)
            assert (joined.what, joined["name"], joined["id"]) == ("joined", "worker", worker.id)
            assert (worker.role, watcher.role) == ("operator", "admin")
            assert [client["name"] for client in watcher.clients()] == ["watcher", "worker"]
            worker.edit([add("one")])
            worker.edit([add("kept")], keep=True)
            owners = {name: node["owner"] for name, node in watcher.patch()["nodes"].items()}
            assert owners == {"one": worker.id, "kept": ""}
            edited = next(events)
            assert (edited.what, edited["author"], edited["client"], edited["edits"]) == ("edited", "worker", worker.id, 1)
            with pytest.raises(AccessError, match="takes the role admin"):
                worker.start()
        assert nodes(watcher) == ["kept"]
        assert [client["name"] for client in watcher.clients()] == ["watcher"]
        assert [event.what for event in (next(events), next(events), next(events))] == ["edited", "edited", "left"]


def test_a_lease_keeps_others_out(lab: EngineInfo) -> None:
    with asmu.connect("lab", name="one") as one, asmu.connect("lab", name="two") as two:
        one.edit([add("mine")])
        with one.lease(nodes=["mine"], outputs=[1]) as lease:
            assert lease.held()
            with pytest.raises(AccessError, match=one.id) as caught:
                two.edit([change("mine", 1.0)])
            assert caught.value.code == "leased"
            with pytest.raises(AccessError):
                two.lease(outputs=[1, 2])
            one.edit([change("mine", 0.75)])
        assert not lease.held()
        two.edit([change("mine", 1.0)])
        assert one.value("mine", "value") in (1.0, [1.0])


def test_optimistic_locking_and_keys(lab: EngineInfo) -> None:
    with asmu.connect("lab") as one, asmu.connect("lab") as two:
        revision = one.edit([add("one")])["revision"]
        two.edit([change("one", 0.25)])
        with pytest.raises(PatchError) as caught:
            one.edit([change("one", 0.75)], if_revision=revision)
        assert caught.value.code == "revision_changed"
        first = one.edit([change("one", 1.0)], key="a-key", if_revision=revision + 1)
        assert two.edit([change("one", 1.0)], key="a-key", if_revision=revision + 1) == first
        assert one.patch()["revision"] == first["revision"]


def test_history_and_undo(lab: EngineInfo) -> None:
    with asmu.connect("lab", name="anna") as client:
        revision = client.edit([add("one", 0.25)])["revision"]
        changed = client.edit([change("one", 0.75)])["revision"]
        assert client.undo(changed)["revision"] == changed + 1
        assert client.value("one", "value") in (0.25, [0.25])
        entries = client.history(since=revision)
        assert [(entry["revision"], entry["author"], entry["edits"]) for entry in entries] == [
            (changed, "anna", 1),
            (changed + 1, "anna", 1),
        ]
        assert len(client.history(limit=1)) == 1


def test_scheduled_transactions_are_listed_and_cancelled(lab: EngineInfo) -> None:
    with asmu.connect("lab") as client, client.events("patch", timeout=PATIENCE) as events:
        client.edit([add("one", 0.25)])
        waiting = client.edit([change("one", 0.75)], at=10**12)
        assert waiting["at"] == 10**12
        (entry,) = client.scheduled()
        assert (entry["scheduled"], entry["at"], entry["client"]) == (waiting["scheduled"], 10**12, client.id)
        client.cancel(waiting["scheduled"])
        assert client.scheduled() == []
        with pytest.raises(PatchError) as caught:
            client.cancel(waiting["scheduled"])
        assert caught.value.code == "scheduled_unknown"
        assert [next(events).topic for _ in range(1)] == ["snapshot"]
        assert [next(events).what for _ in range(2)] == ["edited", "cancelled"]


def test_whoever_joins_misses_nothing_after_the_snapshot(lab: EngineInfo) -> None:
    """Snapshot and events together are every revision, however busy the patch is; what is not is told as lost."""
    stop = threading.Event()
    with asmu.connect("lab") as editor, asmu.connect("lab") as client:
        editor.edit([add("one")])

        def hammer() -> None:
            value = 0
            while not stop.is_set():
                value += 1
                editor.edit([change("one", value % 7 / 7)])

        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            for _ in range(20):
                with client.events("patch", timeout=PATIENCE) as events:
                    snapshot = next(events)
                    revision = snapshot["patch"]["revision"]
                    assert snapshot["status"]["revision"] == revision
                    for _ in range(5):
                        event = next(events)
                        revision += event["count"] if event.topic == "lost" else 1
                        assert event.topic == "lost" or event["revision"] == revision
        finally:
            stop.set()
            thread.join(10)


def test_a_script_that_is_killed_leaves_nothing_but_what_it_kept(lab: EngineInfo) -> None:
    program = (
        "import sys, time\n"
        "import asmu_control as asmu\n"
        "client = asmu.connect('lab', name='doomed')\n"
        f"client.edit([{add('gone')!r}])\n"
        f"client.edit([{add('kept')!r}], keep=True)\n"
        "client.lease(outputs=[1])\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n"
    )
    with asmu.connect("lab", name="watcher") as watcher, watcher.events("client", timeout=PATIENCE) as events:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True) as script:
            assert script.stdout is not None
            assert script.stdout.readline() == "ready\n"
            assert nodes(watcher) == ["gone", "kept"]
            script.send_signal(signal.SIGKILL)
        assert "left" in [event.what for event in until_event(events, "left")]
        assert nodes(watcher) == ["kept"]
        watcher.lease(outputs=[1]).release()


def until_event(events: asmu.client.Events, what: str) -> list[asmu.client.Event]:
    seen = []
    for event in events:
        seen.append(event)
        if event.what == what:
            break
    return seen


def test_awaited(lab: EngineInfo) -> None:
    async def main() -> None:
        async with asmu.connect_async("lab", name="anna") as anna, asmu.connect_async("lab", name="ben") as ben:
            async with anna.events("patch", timeout=PATIENCE) as events:
                await ben.edit([add("one")])
                await asyncio.gather(*(ben.edit([change("one", value / 50)]) for value in range(50)))
                seen = []
                async for event in events:
                    seen.append(event)
                    if event.get("revision") == 51:
                        break
            assert [event.number for event in seen[1:]] == list(range(1, 52))
            await anna.start()
            assert (await ben.status())["state"] == "running"
            await anna.stop()
        client = await asmu.connect_async("lab")
        assert await client.patch() == {"revision": 52, "nodes": {}, "connections": []}
        await client.close()
        with pytest.raises(EngineError) as caught:
            await asmu.connect_async("attic")
        assert caught.value.code == "engine_unknown"

    asyncio.run(main())


def test_the_end_of_the_engine_is_seen_by_all(lab: EngineInfo) -> None:
    with asmu.connect("lab") as one, asmu.connect("lab") as two:
        events = one.events("patch", "engine")
        two.shutdown()
        assert "ending" in [event.what for event in events]
        until(lambda: not one.alive(), "the end")
        with pytest.raises(EngineError) as caught:
            one.ping()
        assert caught.value.code == "engine_gone"


# -- over the network -----------------------------------------------------------------------------------------------------


class Proxy:
    """A way to a port that can be cut, and mended."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._open = True
        self._ending = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection, and let none come about."""
        with self._lock:
            self._open = False
            self._drop()

    def mend(self) -> None:
        """Let connections come about again."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        self._ending = True
        self._thread.join(10)
        self._drop()
        self._listener.close()

    def _drop(self) -> None:
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs = []

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                ends = {end: other for one, two in self._pairs for end, other in ((one, two), (two, one))}
                readable, _, _ = select.select([self._listener, *ends], [], [], 0.002)
                for end in readable:
                    if end is self._listener:
                        self._accept()
                    elif end.fileno() >= 0 and not self._pass(end, ends[end]):
                        self._pairs = [pair for pair in self._pairs if end not in pair]
                        end.close()
                        ends[end].close()
            time.sleep(0)  # let whoever waits for the lock have it

    def _accept(self) -> None:
        end, _ = self._listener.accept()
        if self._open:
            with contextlib.suppress(OSError):
                self._pairs.append((end, socket.create_connection(self._target)))
                return
        end.close()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> bool:
        try:
            data = source.recv(65536)
            target.sendall(data)
        except OSError:
            return False
        return bool(data)


@pytest.fixture
def way(lab: EngineInfo) -> Iterator[Proxy]:
    proxy = Proxy(lab.listen)
    yield proxy
    proxy.close()


def test_a_client_elsewhere(lab: EngineInfo, tmp_path: Path) -> None:
    new_key("anna", "operator").save(tmp_path / "anna.key")
    with asmu.connect(lab.listen, tmp_path / "anna.key", name="notebook") as client:
        assert (client.engine, client.role, client.remote) == ("lab", "operator", True)
        with client.events("patch", timeout=PATIENCE) as events:
            assert next(events).topic == "snapshot"
            client.edit([add("one")])
            assert next(events)["author"] == "notebook"
        with pytest.raises(AccessError) as caught:
            client.start()
        assert caught.value.code == "not_allowed"
        with asmu.connect("lab") as here:
            (seen,) = (one for one in here.clients() if one["name"] == "notebook")
            assert (seen["role"], seen["address"]) == ("operator", "127.0.0.1")


def test_an_observer_that_asks_for_more_gets_no_more(lab: EngineInfo) -> None:
    with asmu.connect(lab.listen, new_key("eve", "observer")) as eve:
        assert eve.role == "observer"
        with pytest.raises(AccessError, match="observer"):
            eve.edit([add("one")])
        assert eve.patch()["nodes"] == {}


def test_a_connection_that_broke_goes_on(lab: EngineInfo, way: Proxy) -> None:
    with asmu.connect("lab") as here, asmu.connect(way.url, new_key("anna"), grace=60) as away:
        away.edit([add("one")])
        way.cut()
        # An engine that was never told better waits for it.
        assert nodes(here) == ["one"]
        until(lambda: next(one["away"] for one in here.clients() if one["id"] == away.id), "its absence to be noticed")
        way.mend()
        assert away.edit([change("one", 0.25)])["revision"] == 2
        assert away.lapses == 0
        assert [one["away"] for one in here.clients()] == [False, False]


def test_one_that_broke_for_too_long_is_begun_anew(lab: EngineInfo, way: Proxy) -> None:
    with asmu.connect("lab") as here, asmu.connect(way.url, new_key("anna"), grace=0) as away:
        identifier = away.id
        away.edit([add("one")])
        lease = away.lease(outputs=[1])
        way.cut()
        until(lambda: nodes(here) == [], "what it owned to be removed")
        way.mend()
        assert away.edit([add("two")])["revision"] == 3
        assert (away.id, away.lapses) == (identifier, 1)
        assert not lease.held()
        assert nodes(here) == ["two"]


def test_a_listener_comes_back_by_itself(lab: EngineInfo, way: Proxy) -> None:
    with (
        asmu.connect("lab") as here,
        asmu.connect(way.url, new_key("anna"), name="logger") as away,
        away.events("patch", snapshot=False) as events,
    ):
        way.cut()
        until(lambda: "logger" not in [one["name"] for one in here.clients() if not one["away"]], "its absence")
        way.mend()

        def back() -> bool:
            events.next(0.05)
            return "logger" in [one["name"] for one in here.clients() if not one["away"]]

        until(back, "its return")


def test_each_transaction_is_done_once_however_the_network_fails(lab: EngineInfo, way: Proxy) -> None:
    stop, through = threading.Event(), threading.Event()

    def cut() -> None:
        way.cut()
        time.sleep(0.01)
        way.mend()

    def tear() -> None:
        """Cut in the midst of the edits, each time once one of them got through since the last time."""
        while not stop.is_set():
            if through.wait(0.01):
                stop.wait(0.05)
                cut()
                through.clear()

    with asmu.connect("lab") as here, asmu.connect(way.url, new_key("anna"), grace=60, timeout=60) as away:
        away.edit([add("one")])
        cut()
        revisions: list[int] = []
        thread = threading.Thread(target=tear)
        thread.start()
        try:
            deadline = time.monotonic() + 60
            while len(revisions) < 100 or away.link.connections < 5:
                assert time.monotonic() < deadline, f"{len(revisions)} edits over {away.link.connections} connections"
                revisions.append(away.edit([change("one", len(revisions) % 100 / 100)])["revision"])
                through.set()
        finally:
            stop.set()
            thread.join(10)
            way.mend()
        assert revisions == list(range(2, len(revisions) + 2))
        assert here.patch()["revision"] == revisions[-1]


def test_a_revoked_key_ends_the_connection(lab: EngineInfo) -> None:
    with asmu.connect("lab") as here, asmu.connect(lab.listen, new_key("anna"), timeout=PATIENCE) as away:
        away.ping()
        here.revoke_key("anna")
        (key,) = here.keys()
        assert (key["name"], bool(key["revoked"])) == ("anna", True)
        with pytest.raises(AccessError) as caught:
            until(away.ping, "the refusal")
        assert caught.value.code == "key_refused"
    with pytest.raises(AccessError) as caught:
        asmu.connect(lab.listen, new_key("ben").__class__("anna", *key_pair(), server_public()))
    assert caught.value.code == "key_refused"


def key_pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def server_public() -> str:
    return KeyRing().server_key(zmq.curve_keypair).public


def test_an_interface_elsewhere(lab: EngineInfo) -> None:
    with asmu.connect("lab") as here, asmu.connect(lab.listen, new_key("anna")) as away:
        interface = asmu.Interface(engine=away)
        sine = asmu.generator.Sine(interface, 100)
        sine.output().connect(interface.ioutput(ch=1))
        with interface.start() as stream:
            assert stream.active
            assert nodes(here) == [sine.name]
        assert nodes(here) == []


def test_an_interface_by_address_that_leaves_its_patch(lab: EngineInfo, tmp_path: Path) -> None:
    new_key("anna").save(tmp_path / "anna.key")
    interface = asmu.Interface(engine=lab.listen, key=tmp_path / "anna.key", keep=True)
    sine = asmu.generator.Sine(interface, 100)
    sine.output().connect(interface.ioutput(ch=1))
    with interface.start():
        assert interface.client.remote
    with asmu.connect("lab") as here:
        assert nodes(here) == [sine.name]
        assert [client["id"] for client in here.clients()] == [here.id]
