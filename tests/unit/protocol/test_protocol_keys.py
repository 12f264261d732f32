"""Files of keys: their modes, what is refused, who may come in, and how a change is noticed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from zmq.utils import z85

from asmu_engine.protocol.errors import AccessError, ConfigError
from asmu_engine.protocol.keyfiles import read_private, replace_private
from asmu_engine.protocol.keys import AllowedKey, ClientKey, KeyPair, KeyRing, fingerprint, key_text, keys_folder

posix = pytest.mark.skipif(os.name != "posix", reason="files have modes and owners on POSIX systems")
ROOT = Path(__file__).resolve().parents[3]


def public() -> str:
    return zmq.curve_keypair()[0].decode()


def client_key(name: str = "anna") -> ClientKey:
    one, two = (key.decode() for key in zmq.curve_keypair())
    return ClientKey(name, one, two, public())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "settings" / "keys")


def test_text_of_a_key_is_what_zeromq_makes_of_it() -> None:
    text, _ = zmq.curve_keypair()
    assert key_text(z85.decode(text)) == text.decode()


def test_importing_keys_loads_no_zmq() -> None:
    script = "import sys, asmu_engine.protocol.keys, asmu_engine.protocol.zap\nprint('zmq' in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"


def test_folder_is_the_variable_or_that_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASMU_KEYS_DIR", str(tmp_path / "k"))
    assert keys_folder() == tmp_path / "k"
    assert KeyRing().folder == tmp_path / "k"
    monkeypatch.delenv("ASMU_KEYS_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert keys_folder() == tmp_path / "asmu" / "keys"
    assert keys_folder().name == "keys"


# -- the client's file ------------------------------------------------------------------------------------------------


def test_client_key_comes_back_from_its_file_of_mode_0600(tmp_path: Path, loose_umask: None) -> None:
    key = client_key()
    key.save(tmp_path / "anna.key")
    assert ClientKey.load(tmp_path / "anna.key") == key
    if os.name == "posix":
        assert mode(tmp_path / "anna.key") == 0o600


@pytest.fixture
def loose_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


def test_secrets_are_not_shown() -> None:
    key = client_key()
    assert key.secret not in repr(key)
    assert repr(KeyPair("PUBLIC", "SECRET")) == "KeyPair('PUBLIC')"


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    first = client_key()
    first.save(tmp_path / "anna.key")
    with pytest.raises(AccessError, match="never overwritten") as caught:
        client_key().save(tmp_path / "anna.key")
    assert caught.value.code == "key_exists"
    assert ClientKey.load(tmp_path / "anna.key") == first
    with pytest.raises(AccessError, match="cannot be written: No such file") as caught:
        first.save(tmp_path / "nowhere" / "anna.key")
    assert caught.value.code == "key_unreadable"


@posix
@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_key_that_others_can_touch_is_not_used(tmp_path: Path, open_to: int) -> None:
    path = tmp_path / "anna.key"
    client_key().save(path)
    path.chmod(open_to)
    with pytest.raises(AccessError, match=f"chmod 600 {path}") as caught:
        ClientKey.load(path)
    assert (caught.value.code, caught.value.where) == ("key_unreadable", str(path))


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only the administrator can give files away")
def test_files_of_other_users(tmp_path: Path) -> None:
    path = tmp_path / "anna.key"
    client_key().save(path)
    os.chown(path, 65534, -1)
    assert ClientKey.load(path).name == "anna"  # the administrator reads it
    with pytest.raises(AccessError, match="belongs to another user"):
        read_private(path)  # but lets nobody in by it


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 10_000, "is no JSON"),
        (b"[1]", "holds no key"),
        (b"{}", "is no key file of a client"),
        (b" " * 20_000 + b"{}", "is no JSON"),
    ],
)
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "anna.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(AccessError, match=words) as caught:
        ClientKey.load(path)
    assert caught.value.code == "key_unreadable"


@pytest.mark.parametrize("field", ["name", "public", "secret", "server"])
@pytest.mark.parametrize("value", ["", "x", "../etc", None, 5])
def test_each_field_of_a_client_key_is_checked(tmp_path: Path, field: str, value: Any) -> None:
    key = client_key()
    data = {**key.__dict__, field: value}
    if (field, value) == ("name", "x"):
        data[field] = "x y"
    replace_private(tmp_path / "anna.key", data)
    with pytest.raises(AccessError, match="asmu keys new"):
        ClientKey.load(tmp_path / "anna.key")


def test_what_is_no_file_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="cannot be read: No such file"):
        ClientKey.load(tmp_path / "none.key")
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(AccessError, match="is not a file"):
            ClientKey.load(tmp_path / "pipe")


# -- the ring ---------------------------------------------------------------------------------------------------------


def test_server_key_is_made_once_and_is_private(ring: KeyRing, loose_umask: None) -> None:
    assert ring.server_public() == ""
    pair = ring.server_key(zmq.curve_keypair)
    assert KeyRing(ring.folder).server_key(lambda: pytest.fail("made again")) == pair
    assert ring.server_public() == pair.public
    assert zmq.curve_public(pair.secret.encode()).decode() == pair.public
    if os.name == "posix":
        assert mode(ring.folder) == 0o700
        assert {path.name: mode(path) for path in ring.folder.iterdir()} == {"server.json": 0o600, ".lock": 0o600}


def test_a_server_file_without_a_key_is_refused(ring: KeyRing) -> None:
    ring.server_key(zmq.curve_keypair)
    replace_private(ring.folder / "server.json", {"public": public(), "secret": "short"})
    with pytest.raises(AccessError, match="holds no key pair"):
        ring.server_key(zmq.curve_keypair)


def test_who_is_allowed_is_found_by_key_until_revoked(ring: KeyRing, loose_umask: None) -> None:
    one, two = public(), public()
    assert ring.find(one) is None
    made = ring.allow("anna", one, "operator")
    ring.allow("bert", two, "observer")
    assert ring.find(one) == made == AllowedKey("anna", one, "operator", made.made)
    assert [key.name for key in ring.all()] == ["anna", "bert"]
    assert ring.name_of(one) == "anna"
    assert made.made.endswith("+00:00")
    if os.name == "posix":
        assert mode(ring.folder / "anna.json") == 0o600
    revoked = ring.revoke("anna")
    assert ring.find(one) is None
    assert ring.find(two) is not None
    assert (revoked.name, revoked.public, bool(revoked.revoked)) == ("anna", one, True)
    assert ring.name_of(one) == "anna"
    assert ring.revoke("anna") == revoked
    assert ring.take_gone() == {one}
    assert ring.take_gone() == set()


def test_facts_show_no_key(ring: KeyRing) -> None:
    key = ring.allow("anna", public(), "admin")
    assert key.facts() == {
        "name": "anna", "role": "admin", "made": key.made, "revoked": "", "fingerprint": fingerprint(key.public)
    }  # fmt: skip


def test_names_and_keys_are_taken_once(ring: KeyRing) -> None:
    one = public()
    ring.allow("anna", one, "operator")
    for name, key in (("anna", public()), ("ANNA", public()), ("bert", one)):
        with pytest.raises(AccessError, match="key 'anna' is there, as operator") as caught:
            ring.allow(name, key, "admin")
        assert (caught.value.code, caught.value.where) == ("key_exists", "anna")
    ring.revoke("anna")
    with pytest.raises(AccessError, match="key 'anna' was revoked"):
        ring.allow("bert", one, "admin")  # a key that was revoked stays so
    again = ring.allow("anna", public(), "observer")  # the name may be used for another
    assert ring.find(again.public) == again
    assert ring.name_of(one) == "anna"


@pytest.mark.parametrize("name", ["server", "Server", "", "a b", "../up", ".hidden", "a/b", "a\n", "x" * 64])
def test_names_that_are_none(ring: KeyRing, name: str) -> None:
    with pytest.raises(ConfigError, match="use letters, digits") as caught:
        ring.allow(name, public(), "observer")
    assert caught.value.where == "name"
    assert not ring.folder.exists()


def test_roles_and_keys_that_are_none(ring: KeyRing) -> None:
    with pytest.raises(ConfigError, match="use one of observer, operator, admin"):
        ring.allow("anna", public(), "root")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="40 characters"):
        ring.allow("anna", "short", "admin")


def test_revoking_what_is_not_there_names_what_is(ring: KeyRing) -> None:
    ring.allow("anna", public(), "operator")
    for name in ("bert", "server", "../anna", ""):
        with pytest.raises(AccessError, match="keys: anna") as caught:
            ring.revoke(name)
        assert caught.value.code == "key_unknown"
    assert [path.name for path in sorted(ring.folder.iterdir())] == [".lock", "anna.json"]


def test_changes_by_other_processes_are_noticed(ring: KeyRing) -> None:
    other = KeyRing(ring.folder)
    ring.refresh()
    key = other.allow("anna", public(), "operator")
    assert ring.find(key.public) is None
    ring.refresh()
    assert ring.find(key.public) == key
    replace_private(ring.folder / "anna.json", {**replace(key, role="observer").__dict__})
    ring.refresh()
    found = ring.find(key.public)
    assert found is not None
    assert found.role == "observer"
    assert ring.take_gone() == set()
    (ring.folder / "anna.json").unlink()
    ring.refresh()
    assert (ring.find(key.public), ring.take_gone()) == (None, {key.public})


def test_another_key_of_the_same_name_leaves_the_first_outside(ring: KeyRing) -> None:
    first = ring.allow("anna", public(), "operator")
    other = KeyRing(ring.folder)
    other.revoke("anna")
    second = other.allow("anna", public(), "operator")
    ring.refresh()
    assert (ring.find(first.public), ring.find(second.public)) == (None, second)
    assert ring.take_gone() == {first.public}


def test_files_that_cannot_be_believed_are_left_out_and_named(ring: KeyRing) -> None:
    good, bad = ring.allow("good", public(), "admin"), ring.allow("bad", public(), "admin")
    wrong: dict[str, dict[str, Any]] = {
        "othername": {**good.__dict__},
        "norole": {**good.__dict__, "name": "norole", "role": "root"},
        "nokey": {**good.__dict__, "name": "nokey", "public": 7},
    }
    for name, data in wrong.items():
        replace_private(ring.folder / f"{name}.json", data)
    (ring.folder / "note.txt").write_text("none of ours")
    (ring.folder / "no name.json").write_text("none of ours")
    expected = ["nokey", "norole", "othername"]
    if os.name == "posix":
        (ring.folder / "bad.json").chmod(0o660)
        expected.insert(0, "bad")
    ring.refresh()
    assert [Path(problem.split(" ")[0]).stem for problem in ring.problems] == expected
    assert ring.find(good.public) == good
    if os.name == "posix":
        assert ring.find(bad.public) is None
        assert ring.take_gone() == {bad.public}
        (ring.folder / "bad.json").chmod(0o600)
        ring.refresh()
        assert ring.find(bad.public) == bad


@posix
def test_a_folder_that_others_can_write_holds_no_keys(ring: KeyRing) -> None:
    key = ring.allow("anna", public(), "admin")
    ring.folder.chmod(0o770)
    ring.refresh()
    assert (ring.find(key.public), ring.take_gone()) == (None, {key.public})
    ring.server_key(zmq.curve_keypair)  # whoever writes there takes it back
    assert mode(ring.folder) == 0o700
    ring.refresh()
    assert ring.find(key.public) == key


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only the administrator can give folders away")
def test_a_folder_of_another_user_is_not_used(ring: KeyRing) -> None:
    ring.folder.mkdir(parents=True)
    os.chown(ring.folder, 65534, -1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        ring.server_key(zmq.curve_keypair)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ring = KeyRing(tmp_path / "file" / "keys")
    ring.refresh()
    assert ring.all() == []
    with pytest.raises(ConfigError, match="set ASMU_KEYS_DIR"):
        ring.allow("anna", public(), "admin")


def test_a_writer_that_died_leaves_the_old_file_whole(ring: KeyRing) -> None:
    key = ring.allow("anna", public(), "operator")
    (ring.folder / ".anna.json.part").write_text("half")
    ring.refresh()
    assert ring.all() == [key]
    ring.revoke("anna")
    assert sorted(path.name for path in ring.folder.iterdir()) == [".lock", "anna.json"]
    assert json.loads((ring.folder / "anna.json").read_text())["revoked"]
