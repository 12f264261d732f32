"""Nobody comes in over the network who should not: tried from outside with plain pyzmq, and seen in the engine's log."""

from __future__ import annotations

import os
import random
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from plain_engine import PlainClient, PlainEngine, add, connect, published, until
from remote_client import SHUT, RemoteClient, new_key
from typer.testing import CliRunner

from asmu_control.cli import main
from asmu_control.discovery import browse
from asmu_engine.protocol.keys import ClientKey, KeyRing, fingerprint

pytestmark = pytest.mark.e2e

SINE_TO_TAP = (add("sine1", "sine", 0, 1, frequency=1000.0), add("tap1", "tap", 1), connect("sine1", "tap1"))


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """Files that are made without a mode of their own are open to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def listening(**settings: Any) -> PlainEngine:
    return PlainEngine("far", listen="tcp://127.0.0.1:*", **settings)


def refused(engine: PlainEngine, why: str) -> bool:
    """After its end: whether the engine logged that it refused 127.0.0.1 for that reason."""
    return re.search(rf"WARNING: refused 127\.0\.0\.1[:,].*{why}", engine.words) is not None


def again(client: RemoteClient) -> bool:
    """Whether a client that may have lost its connection is heard again; it says hello, as a new one."""
    client.number += 1
    client.requests.send(msgpack.packb({"v": 1, "id": client.number, "type": "hello", "name": "anna", "beat": True}))
    while client.requests.poll(200):
        answer = msgpack.unpackb(client.requests.recv_multipart()[-1], strict_map_key=False)
        if answer.get("id") == client.number:  # else it is that of an earlier attempt, or only a sign of life
            return True
    return False


def clients(engine: PlainEngine) -> list[str]:
    return [client["name"] for client in engine.client.result("status")["clients"]]


def test_with_a_key_one_comes_in_with_its_role_and_gets_events() -> None:
    key = new_key("anna", "operator")
    with listening() as engine:
        anna = RemoteClient(engine, key, name="notebook")
        assert anna.facts["role"] == "operator"
        assert anna.facts["endpoints"]["events_port"] == int(engine.info["listen_events"].rpartition(":")[2])
        until(lambda: anna.result("announce", service="x", endpoint="") == {} and anna.events.poll(20), "the subscription")
        anna.edit(add("sine1", "sine", 0, 1))
        assert anna.event("patch", "edited")["author"] == "notebook"
        (seen,) = (client for client in engine.client.result("status")["clients"] if client["name"] == "notebook")
        assert (seen["role"], seen["address"]) == ("operator", "127.0.0.1")
    assert engine.words == ""


@pytest.mark.parametrize("who", ["no key", "unknown key", "revoked key", "key of another engine"])
def test_without_a_good_key_nobody_is_heard(who: str) -> None:
    known = new_key("anna", "admin")
    key: ClientKey | None = known
    if who == "no key":
        key, why = None, "it shows no key"
    elif who == "unknown key":
        key, why = new_key("eve", "admin", allow=False), r"its key [0-9a-f-]{19} is not known here"
    elif who == "revoked key":
        KeyRing().revoke("anna")
        why = "its key anna was revoked"
    else:
        other, _ = zmq.curve_keypair()
        key, why = ClientKey(known.name, known.public, known.secret, other.decode()), "was not meant for this engine's key"
    with listening() as engine:
        stranger = RemoteClient(engine, key)
        stranger.kept_out()
        assert clients(engine) == ["plain"]
        assert not stranger.events.poll(0)
    assert refused(engine, why), engine.words


def test_a_key_that_is_revoked_ends_its_connections_and_no_others() -> None:
    bad, good = new_key("bad", "admin"), new_key("good", "operator")
    with listening() as engine:
        eve = RemoteClient(engine, bad, name="eve", role="admin", beat=False)
        anna = RemoteClient(engine, good, name="anna")
        until(lambda: anna.result("announce", service="x", endpoint="") == {} and eve.events.poll(20), "the subscription")
        eve.told.clear()
        assert [key["name"] for key in engine.client.result("keys")["keys"]] == ["bad", "good"]
        facts = engine.client.result("keys", action="revoke", name="bad")["keys"][0]
        assert (facts["name"], bool(facts["revoked"])) == ("bad", True)
        # What it says in the moment before its connection ends is refused too, if it is still heard.
        eve.requests.send(msgpack.packb({"v": 1, "id": 2, "type": "shutdown"}))
        until(lambda: eve.reported(*SHUT), "the end of its connection")
        if eve.requests.poll(0):
            answer = eve.answer()
            assert (answer["family"], answer["code"]) == ("access", "key_refused")
        eve.kept_out()
        while eve.events.poll(0):
            eve.events.recv_multipart()
        until(lambda: again(anna), "the other one to be back")
        anna.edit(add("sine1", "sine", 0, 1))
        assert not eve.events.poll(0)
        assert "anna" in clients(engine)
    assert refused(engine, "its key bad was revoked")
    assert "key revoked: bad" in engine.words


def test_a_key_that_is_revoked_by_its_file_alone_is_noticed() -> None:
    key = new_key("bad", "admin")
    with listening() as engine:
        eve = RemoteClient(engine, key, name="eve", beat=False)
        eve.told.clear()
        KeyRing().revoke("bad")
        until(lambda: eve.reported(*SHUT), "the end of its connection")
        eve.kept_out()


def test_a_role_allows_so_much_and_no_more() -> None:
    observer, operator = new_key("watch", "observer"), new_key("work", "operator")
    with listening() as engine:
        engine.client.edit(*SINE_TO_TAP)
        before = engine.client.result("patch")
        watch = RemoteClient(engine, observer, name="watch", role="admin")
        assert watch.facts["role"] == "observer"
        work = RemoteClient(engine, operator, name="work")
        lesser = RemoteClient(engine, operator, name="lesser", role="observer")
        for client, kind, fields in (
            (watch, "transaction", {"edits": [{"op": "remove", "node": "sine1"}]}),
            (watch, "record", {"node": "tap1", "path": "take.wav"}),
            (watch, "start", {}),
            (lesser, "transaction", {"edits": [{"op": "remove", "node": "sine1"}]}),
            (work, "start", {}),
            (work, "shutdown", {}),
            (work, "keys", {"action": "revoke", "name": "watch"}),
        ):
            answer = client.ask(kind, **fields)
            assert (answer["type"], answer["family"], answer["code"]) == ("error", "access", "not_allowed"), (kind, answer)
        assert watch.result("patch") == before
        assert [key["revoked"] for key in engine.client.result("keys")["keys"]] == ["", ""]
        work.edit({"op": "remove", "node": "tap1"})
    assert refused(engine, "key 'watch': not_allowed")
    assert refused(engine, "key 'work': not_allowed")


def test_paths_from_elsewhere_stay_within_the_folder(folders: Any) -> None:
    root, outside = folders.base / "takes", folders.base / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.wav").write_bytes(b"secret")
    (root / "link.wav").symlink_to(outside / "secret.wav")
    (root / "dangling.wav").symlink_to(outside / "new.wav")
    (root / "folder").symlink_to(outside)
    key = new_key("anna", "operator")
    with listening(recordings=str(root)) as engine:
        engine.client.edit(*SINE_TO_TAP, add("feed1", "feed", 0, 1))
        engine.client.result("start")
        anna = RemoteClient(engine, key, name="anna")
        for path in (
            "../outside/secret.wav",
            "folder/../../outside/secret.wav",
            "folder/secret.wav",
            "link.wav",
            "dangling.wav",
            str(outside / "secret.wav"),
            "/etc/passwd",
            ".",
            "take.part.wav",
        ):
            for kind, node in (("record", "tap1"), ("play", "feed1")):
                answer = anna.ask(kind, node=node, path=path)
                assert (answer["type"], answer["code"]) == ("error", "path_forbidden"), (kind, path, answer)
        assert anna.ask("record", node="tap1", path="zero\0.wav")["code"] == "bad_message"
        assert engine.client.result("status")["processes"]["disk"] is None
        job = anna.result("record", node="tap1", path="take.wav")["job"]
        until(lambda: anna.result("job", job=job)["frames"] > 0, "some frames")
        assert anna.result("job_stop", job=job)["state"] == "finished"
        # A client of this machine goes where its user may.
        job = engine.client.result("record", node="tap1", path=str(outside / "mine.wav"))["job"]
        engine.client.result("job_stop", job=job)
    assert (outside / "secret.wav").read_bytes() == b"secret"
    assert {file.name for file in outside.iterdir()} == {"secret.wav", "mine.wav"}
    assert {file.name for file in root.iterdir()} == {"link.wav", "dangling.wav", "folder", "take.wav"}
    assert refused(engine, "key 'anna': path_forbidden")


def test_without_a_folder_no_path_from_elsewhere_is_taken(folders: Any) -> None:
    key = new_key("anna", "operator")
    with listening() as engine:
        engine.client.edit(*SINE_TO_TAP)
        anna = RemoteClient(engine, key, name="anna")
        for path in ("take.wav", str(folders.base / "take.wav")):
            answer = anna.ask("record", node="tap1", path=path)
            assert answer["code"] == "path_forbidden"
            assert "--recordings" in answer["message"]
    assert not (folders.base / "take.wav").exists()


def test_no_code_comes_in_over_the_wire(folders: Any) -> None:
    marker, plugin = folders.base / "was_here", folders.base / "evil.py"
    plugin.write_text(f"open({str(marker)!r}, 'w').close()\n")
    key = new_key("anna", "admin")
    with listening() as engine:
        anna = RemoteClient(engine, key, name="anna")
        before = anna.result("patch")
        for kind in (str(plugin), "evil", "evil:Core", "os.system", "asmu_engine.cores.sine"):
            answer = anna.ask("transaction", edits=[add("x", kind, 1, 1)])
            assert answer["type"] == "error", kind
            assert answer["code"] in ("unknown_kind", "bad_message")
        answer = anna.ask("start", plugins=[str(plugin)])
        assert (answer["type"], answer["code"]) == ("error", "bad_message")
        answer = anna.ask("start", config={"plugins": [str(plugin)]})
        assert (answer["type"], answer["code"]) == ("error", "bad_message")
        assert anna.result("patch") == before
    assert not marker.exists()
    assert refused(engine, "unknown_kind")


def test_a_key_file_that_others_can_write_lets_nobody_in(folders: Any) -> None:
    key = new_key("anna", "admin")
    (Path(KeyRing().folder) / "anna.json").chmod(0o666)
    with listening() as engine:
        RemoteClient(engine, key).kept_out()
        assert clients(engine) == ["plain"]
    assert "a key is left out" in engine.words
    assert "chmod 600" in engine.words
    assert refused(engine, "is not known here")


def test_the_server_key_is_not_used_when_others_can_read_it() -> None:
    new_key("anna", "admin")
    path = KeyRing().folder / "server.json"
    path.chmod(0o640)
    with listening() as engine:
        assert engine.greeting["error"]["code"] == "key_unreadable"
        assert str(path) in engine.greeting["error"]["message"]
        assert engine.end() == 1


def test_what_comes_in_is_private_whatever_the_umask(folders: Any, loose_umask: None) -> None:
    root = folders.base / "takes"
    key = new_key("anna", "operator")
    with listening(recordings=str(root), private=False) as engine:
        engine.client.edit(*SINE_TO_TAP)
        engine.client.result("start")
        anna = RemoteClient(engine, key, name="anna")
        job = anna.result("record", node="tap1", path="take.wav")["job"]
        until(lambda: anna.result("job", job=job)["frames"] > 0, "some frames")
        found = [
            path for folder in (folders.runtime, folders.shm, root, KeyRing().folder) for path in (folder, *folder.rglob("*"))
        ]
        kinds = {"requests.sock", "events.sock", "engine.json", "engine.log", "server.json", "anna.json", "take.part.wav"}
        assert kinds <= {path.name for path in found}
        assert any(path.parent == folders.shm for path in found)
        open_to_others = {str(path): oct(mode) for path in found if (mode := stat.S_IMODE(path.lstat().st_mode)) & 0o077}
        assert open_to_others == {}
        anna.result("job_stop", job=job)
        assert stat.S_IMODE((root / "take.wav").stat().st_mode) == 0o600
        engine.client.result("shutdown")


def test_a_port_in_use_and_addresses_of_elsewhere_are_said() -> None:
    new_key("anna", "admin")
    with listening() as engine:
        taken = engine.info["listen"]
        for listen, code, words in (
            (taken, "engine_failed", "in use"),
            ("tcp://192.0.2.1:7000", "engine_failed", "address of this machine"),
            ("tcp://127.0.0.1:65535", "bad_config", "1 to 65534"),
            ("tcp://127.0.0.1:0", "bad_config", "1 to 65534"),
        ):
            with PlainEngine("second", listen=listen) as second:
                assert second.greeting["error"]["code"] == code
                assert words in second.greeting["error"]["message"]
                assert second.end() == (2 if code == "bad_config" else 1)


def test_an_engine_that_announces_itself_is_found_in_the_network() -> None:
    new_key("anna", "admin")
    with listening(announce=True) as engine:
        found = until(lambda: [one for one in browse(0.5, ["127.0.0.1"]) if one.url == engine.info["listen"]], "it", 60)
        assert (found[0].name, f"tcp://127.0.0.1:{found[0].events_port}") == ("far", engine.info["listen_events"])
        assert found[0].fingerprint == fingerprint(KeyRing().server_public())
    assert engine.words == ""


def test_to_announce_one_must_listen() -> None:
    with PlainEngine("near", announce=True) as engine:
        assert "together with listen" in engine.greeting["error"]["message"]
        assert engine.end() == 2


def test_the_command_line_starts_an_engine_that_listens(folders: Any) -> None:
    runner = CliRunner()
    assert (
        runner.invoke(main.app, ["keys", "new", "anna", "--role", "operator", "--out", str(folders.base / "a.key")]).exit_code
        == 0
    )
    port = free_pair()
    started = runner.invoke(
        main.app,
        [
            "engine", "start", "far", "--device", "virtual", "--listen", f"tcp://127.0.0.1:{port}",
            "--recordings", str(folders.base / "takes"), "--journal", str(folders.base / "journal"),
        ],
    )  # fmt: skip
    assert started.exit_code == 0, started.output
    try:
        assert f"come in at tcp://127.0.0.1:{port}, each with a key" in started.output
        assert (published("far")["listen"], published("far")["listen_events"]) == (
            f"tcp://127.0.0.1:{port}",
            f"tcp://127.0.0.1:{port + 1}",
        )
        assert f"tcp://127.0.0.1:{port}" in runner.invoke(main.app, ["engine", "list"]).output
        with zmq.Context() as context:
            anna = RemoteClient(Ports(context, published("far")), ClientKey.load(folders.base / "a.key"), name="anna")
            assert anna.facts["role"] == "operator"
            anna.close()
        assert (folders.base / "takes").is_dir()
    finally:
        assert runner.invoke(main.app, ["engine", "stop", "far"]).exit_code == 0


class Ports:
    """What a client needs of an engine that it did not start."""

    def __init__(self, context: zmq.Context, info: dict[str, Any]) -> None:
        self.context, self.info = context, info
        self.clients: list[PlainClient] = []


def free_pair() -> int:
    """A port that is free, as is the one after it; the system gives neither to whoever asks for any free one meanwhile."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    others = [port for port in range(1024, 65_535) if port + 1 < first or port > last]
    while True:
        port = random.choice(others)
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
