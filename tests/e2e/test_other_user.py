"""Another user of this machine gets at nothing: sockets, keys, segments, recordings, each tried with its folder open to all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plain_engine import PlainEngine, add, connect, until
from remote_client import new_key

from asmu_engine.protocol.keys import KeyRing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not hasattr(os, "getuid") or os.getuid() != 0, reason="only the administrator can run a process as another user"
    ),
]

NOBODY = 65534

TRY = """
import json, os, socket, sys
attempts = json.loads(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
results = {}
for path, how in attempts:
    try:
        if how == "connect":
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(path)
        elif how == "list":
            os.listdir(path)
        elif how == "bind":
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path)
        else:
            with open(path, how) as file:
                file.read(1) if "r" in how else None
        results[path + " " + how] = "done"
    except OSError as error:
        results[path + " " + how] = type(error).__name__
print(json.dumps([os.getuid(), os.getgid(), os.getgroups(), results]))
"""


def as_nobody(attempts: list[tuple[Path, str]]) -> dict[str, str]:
    """What comes of these attempts in a process that has dropped all privileges."""
    command = [sys.executable, "-I", "-c", TRY, json.dumps([(str(path), how) for path, how in attempts])]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    uid, gid, groups, results = json.loads(done.stdout)
    assert (uid, gid, groups) == (NOBODY, NOBODY, [])
    return dict(results)


@pytest.fixture
def opened(folders: Any) -> Callable[[Path], None]:
    """Let everybody through a folder and the ones above it, so that what is tried is what lies in it."""

    def open_up(folder: Path) -> None:
        for above in (folder, *folder.parents):
            if above == folders.base.parent:
                return
            above.chmod(0o755)

    return open_up


def test_another_user_gets_at_nothing(folders: Any, opened: Callable[[Path], None]) -> None:
    new_key("anna", "admin")
    keys, takes = KeyRing().folder, folders.base / "takes"
    with PlainEngine("mine", listen="tcp://127.0.0.1:*", recordings=str(takes)) as engine:
        engine.client.edit(add("sine1", "sine", 0, 1, frequency=1000.0), add("tap1", "tap", 1), connect("sine1", "tap1"))
        engine.client.result("start")
        job = engine.client.result("record", node="tap1", path="take.wav")["job"]
        until(lambda: engine.client.result("job", job=job)["frames"] > 0, "some frames")
        engine.client.result("job_stop", job=job)
        runtime = folders.runtime / "mine"
        opened(folders.base)
        # A folder of ours that is closed closes what is in it.
        closed = [
            (folders.runtime, "list"),
            (runtime / "requests.sock", "connect"),
            (runtime / "engine.json", "r"),
            (keys, "list"),
            (keys / "server.json", "r"),
            (takes, "list"),
            (takes / "take.wav", "rb"),
        ]
        assert set(as_nobody(closed).values()) == {"PermissionError"}
        # And where somebody opened the folders, each thing in them is still its owner's alone.
        for folder in (runtime, keys, takes, folders.shm):
            opened(folder)
        segments = list(folders.shm.iterdir())
        assert segments
        each = [
            (runtime / "requests.sock", "connect"),
            (runtime / "events.sock", "connect"),
            (runtime / "engine.json", "r"),
            (runtime / "intruder.sock", "bind"),
            *((path, how) for path in (keys / "server.json", keys / "anna.json") for how in ("r", "r+")),
            (keys / "intruder.json", "w"),
            *((path, how) for path in segments for how in ("rb", "r+b")),
            *((takes / "take.wav", how) for how in ("rb", "r+b")),
        ]
        results = as_nobody(each)
        assert set(results.values()) == {"PermissionError"}, results
        assert [client["name"] for client in engine.client.result("status")["clients"]] == ["plain"]
        assert engine.client.result("status")["state"] == "running"


def test_the_attempts_do_succeed_where_they_may(folders: Any, opened: Callable[[Path], None]) -> None:
    """Else the test above would prove nothing."""
    opened(folders.base)
    file = folders.base / "open"
    file.touch()
    file.chmod(0o666)
    assert set(as_nobody([(file, "r"), (file, "r+"), (folders.base, "list")]).values()) == {"done"}
