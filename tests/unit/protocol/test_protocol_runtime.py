"""One engine a name; an engine runs exactly while its lock is held, however it ended."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from asmu_engine.protocol.errors import ConfigError, EngineError
from asmu_engine.protocol.runtime import (
    EngineClaim,
    EngineInfo,
    dead_engines,
    engine_folder,
    find_engine,
    is_running,
    read_info,
    running_engines,
    runtime_root,
)

HOLDER = """
import sys
from asmu_engine.protocol.runtime import EngineClaim, EngineInfo
import os
claim = EngineClaim(sys.argv[1])
claim.take()
claim.publish(EngineInfo(sys.argv[1], os.getpid(), "1", "ipc://a", "ipc://b", False))
print("held", flush=True)
sys.stdin.read()
"""


def info(name: str, private: bool = False) -> EngineInfo:
    return EngineInfo(name, os.getpid(), "0.1", "ipc://requests", "ipc://events", private)


@pytest.fixture
def claim():
    """Factory of claims of this process that are given back after the test."""
    held: list[EngineClaim] = []

    def take(name: str, published: bool = True, private: bool = False) -> EngineClaim:
        claim = EngineClaim(name)
        claim.take()
        held.append(claim)
        if published:
            claim.publish(info(name, private))
        return claim

    yield take
    for claim_ in held:
        claim_.release()


@pytest.fixture
def holder():
    """A child process that holds the claim of ``lab``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, "lab"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_claim_is_taken_published_and_given_back(claim):
    held = claim("lab")
    assert is_running("lab")
    assert read_info("lab") == find_engine("lab") == info("lab")
    assert running_engines() == [info("lab")]
    assert dead_engines() == []
    held.release()
    assert not is_running("lab")
    assert not held.folder.exists()
    assert running_engines() == []


def test_a_second_claim_is_refused_and_says_what_to_do(claim):
    claim("lab")
    with pytest.raises(EngineError) as caught:
        EngineClaim("lab").take()
    assert (caught.value.code, caught.value.where) == ("engine_exists", "lab")
    assert f"engine 'lab' is already running (process {os.getpid()})" in str(caught.value)
    assert "asmu engine stop lab" in str(caught.value)
    assert find_engine("lab") == info("lab")


def test_a_second_claim_of_another_process_is_refused(holder):
    with pytest.raises(EngineError, match=rf"\(process {holder.pid}\)"):
        EngineClaim("lab").take()


def test_names_do_not_disturb_each_other_and_can_be_taken_again(claim):
    first = claim("lab")
    claim("lab2")
    first.release()
    claim("lab")
    assert [engine.name for engine in running_engines()] == ["lab", "lab2"]


def test_an_engine_that_was_killed_is_dead_at_once_and_its_name_is_free(holder, claim):
    assert is_running("lab")
    assert find_engine("lab").pid == holder.pid
    assert dead_engines() == []
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert not is_running("lab")
    assert running_engines() == []
    assert dead_engines() == ["lab"]
    assert read_info("lab") is not None  # what it published is still there, and nobody is misled by it
    with pytest.raises(EngineError, match="no engine 'lab' is running"):
        find_engine("lab")
    claim("lab")
    assert find_engine("lab") == info("lab")
    assert dead_engines() == []


def test_everything_is_for_this_user_alone(claim, folders):
    folders.runtime.chmod(0o755)
    assert mode(runtime_root()) == 0o700
    assert mode(claim("lab").folder) == 0o700


def test_the_root_is_made_where_it_is_missing(monkeypatch, folders):
    monkeypatch.setenv("ASMU_RUNTIME_DIR", str(folders.base / "deep" / "run"))
    assert runtime_root() == folders.base / "deep" / "run"
    assert mode(runtime_root()) == 0o700


def test_without_a_setting_the_system_has_a_place(monkeypatch, folders):
    monkeypatch.delenv("ASMU_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folders.base))
    if sys.platform.startswith("linux"):
        assert runtime_root() == folders.base / "asmu"


def test_a_root_that_is_a_file_is_refused(monkeypatch, folders):
    file = folders.base / "file"
    file.touch()
    monkeypatch.setenv("ASMU_RUNTIME_DIR", str(file))
    with pytest.raises(ConfigError, match="set ASMU_RUNTIME_DIR"):
        runtime_root()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_root_of_another_user_is_refused(folders):
    os.chown(folders.runtime, 12345, -1)
    try:
        with pytest.raises(ConfigError, match="belongs to another user; set ASMU_RUNTIME_DIR"):
            runtime_root()
    finally:
        os.chown(folders.runtime, os.geteuid(), -1)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "x" * 64, "lab\n", "."])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ConfigError, match="use letters, digits"):
        engine_folder(name)


def test_a_missing_engine_is_refused_with_those_that_run(claim):
    with pytest.raises(EngineError) as caught:
        find_engine("lab")
    assert (caught.value.code, caught.value.where, caught.value.retry) == ("engine_unknown", "lab", True)
    assert str(caught.value) == "no engine 'lab' is running; running: none. Start one with 'asmu engine start lab'"
    claim("b")
    claim("a")
    claim("private-1", private=True)
    claim("starting", published=False)
    with pytest.raises(EngineError, match=r"running: a, b\. Start one"):
        find_engine("lab")


def test_an_engine_that_has_not_published_itself_is_not_found_yet(claim):
    claim("lab", published=False)
    assert is_running("lab")
    with pytest.raises(EngineError, match="no engine 'lab'"):
        find_engine("lab")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"name": "lab"}', '{"name": "lab", "surprise": 1}', "\xff"])
def test_damaged_endpoints_are_none(claim, text):
    held = claim("lab")
    (held.folder / "engine.json").write_text(text, encoding="latin-1")
    assert read_info("lab") is None
    assert running_engines() == []


def test_endpoints_are_published_whole_or_not_at_all(claim):
    held = claim("lab")
    assert json.loads((held.folder / "engine.json").read_text())["requests"] == "ipc://requests"
    assert sorted(file.name for file in held.folder.iterdir()) == ["engine.json", "lock"]


def test_what_else_lies_in_the_root_is_no_engine(claim, folders):
    (folders.runtime / "not an engine").mkdir()
    (folders.runtime / ".hidden").mkdir()
    (folders.runtime / "file").touch()
    (folders.runtime / "left").mkdir()
    claim("lab")
    assert running_engines() == [info("lab")]
    assert dead_engines() == ["left"]
    with pytest.raises(EngineError, match="running: lab"):
        find_engine("other")


def test_a_look_at_the_lock_leaves_no_trace(holder):
    before = sorted(file.name for file in engine_folder("lab").iterdir())
    for _ in range(20):
        assert is_running("lab")
    assert sorted(file.name for file in engine_folder("lab").iterdir()) == before
    deadline = time.monotonic() + 5
    holder.stdin.close()
    holder.wait()
    while is_running("lab") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running("lab")
