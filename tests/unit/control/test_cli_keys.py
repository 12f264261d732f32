"""``asmu keys``: what it writes, prints and refuses."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner, Result

from asmu_control.cli import main
from asmu_engine.protocol.errors import AccessError, ConfigError
from asmu_engine.protocol.keys import ClientKey, KeyRing, fingerprint


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["keys", *arguments])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_new_writes_a_file_that_lets_its_owner_in(here: Path) -> None:
    result = keys("new", "anna", "--role", "operator", "--out", "a.key")
    assert result.exit_code == 0, result.output
    assert "a.key lets its owner in as operator" in result.output
    key = ClientKey.load(here / "a.key")
    assert key.secret not in result.output
    assert key.name == "anna"
    ring = KeyRing()
    ring.refresh()
    found = ring.find(key.public)
    assert found is not None
    assert (found.name, found.role) == ("anna", "operator")
    assert zmq.curve_public(key.secret.encode()).decode() == key.public
    assert key.server == ring.server_public()
    if os.name == "posix":
        assert stat.S_IMODE((here / "a.key").stat().st_mode) == 0o600


def test_new_gives_the_least_role_and_a_file_of_the_name(here: Path) -> None:
    assert "as observer" in keys("new", "bert").output
    assert ClientKey.load(here / "bert.key").name == "bert"


def test_new_refuses_what_is_there_and_leaves_nothing_behind(here: Path) -> None:
    keys("new", "anna")
    before = ClientKey.load(here / "anna.key")
    for arguments, error, words in (
        (("anna",), AccessError, "never overwritten"),
        (("anna", "--out", "other.key"), AccessError, "asmu keys revoke anna"),
        (("bert", "--role", "root", "--out", "other.key"), ConfigError, "observer, operator, admin"),
        (("server", "--out", "other.key"), ConfigError, "use letters"),
        (("bert", "--out", "nowhere/other.key"), AccessError, "cannot be written"),
    ):
        result = keys("new", *arguments)
        assert isinstance(result.exception, error), arguments
        assert words in str(result.exception)
    assert ClientKey.load(here / "anna.key") == before
    assert [path.name for path in here.glob("*.key")] == ["anna.key"]
    ring = KeyRing()
    ring.refresh()
    assert [key.public for key in ring.all()] == [before.public]


def test_list_shows_keys_and_their_state_but_no_secret(here: Path) -> None:
    assert "asmu keys new" in keys("list").output
    keys("new", "anna", "--role", "admin")
    keys("new", "bert")
    keys("revoke", "bert")
    output = keys("list").output
    anna = ClientKey.load(here / "anna.key")
    assert fingerprint(anna.public) in output
    assert fingerprint(anna.server) in output
    assert re.search(r"bert +observer +20\d\d-\d\d-\d\d \d\d:\d\d +20\d\d-", output)
    facts = json.loads(keys("list", "--json").output)
    assert [(key["name"], key["role"], bool(key["revoked"])) for key in facts["keys"]] == [
        ("anna", "admin", False),
        ("bert", "observer", True),
    ]
    assert facts["server"] == fingerprint(anna.server)
    assert (facts["folder"], facts["problems"]) == (str(KeyRing().folder), [])
    for text in (anna.secret, anna.public):
        assert text not in output + json.dumps(facts)


def test_list_makes_no_folder() -> None:
    assert json.loads(keys("list", "--json").output)["server"] is None
    assert not KeyRing().folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="files have modes on POSIX systems")
def test_list_names_the_files_that_are_left_out() -> None:
    keys("new", "anna")
    (KeyRing().folder / "anna.json").chmod(0o644)
    result = keys("list")
    assert "left out: " in result.stderr
    assert "chmod 600" in result.stderr


def test_revoke_says_since_when_and_knows_its_keys() -> None:
    keys("new", "anna")
    assert "key anna is revoked since 2" in keys("revoke", "anna").output
    result = keys("revoke", "bert")
    assert isinstance(result.exception, AccessError)
    assert result.exception.code == "key_unknown"


def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["asmu", "keys", "revoke", "nobody"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "asmu: there is no key 'nobody'; keys: none\n"
