"""Every test has run-time folders of its own and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

_PATIENCE = 30.0
"""Seconds that processes which were told to end may take to do so."""


class Folders(NamedTuple):
    """Private folders: `runtime` for sockets and locks, `shm` for segments; short, for a socket's path has at most 107 bytes."""

    base: Path
    runtime: Path
    shm: Path


def _make_folders() -> Folders:
    base = Path(tempfile.mkdtemp(prefix="asmu-", dir="/tmp" if Path("/tmp").is_dir() else None))
    folders = Folders(base, base / "run", base / "shm")
    folders.runtime.mkdir(mode=0o700)
    folders.shm.mkdir(mode=0o700)
    return folders


def _use(folders: Folders, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ASMU_RUNTIME_DIR", str(folders.runtime))
    patch.setenv("ASMU_SHM_DIR", str(folders.shm))
    patch.setenv("ASMU_KEYS_DIR", str(folders.base / "keys"))
    patch.setenv("ASMU_STATE_DIR", str(folders.base / "state"))


def _processes(folders: Folders, before: set[int]) -> list[psutil.Process]:
    """Living processes that a test started: its descendants, and those that outlived their parent but still carry its folders.

    Only numbers that were free `before` are looked at: to ask every process of the machine after each of thousands of tests
    takes longer than most of the tests.
    """
    started = set(psutil.pids()) - before
    descendants = set(psutil.Process().children(recursive=True)) if started else set()
    found = []
    for pid in started:
        try:
            process = psutil.Process(pid)
            if process in descendants or _environment(process).get("ASMU_RUNTIME_DIR") == str(folders.runtime):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # of another user, or gone meanwhile
    return [process for process in found if _lives(process)]


def _environment(process: psutil.Process) -> dict[str, str]:
    """Its environment variables; of a process that is just beginning its program there are none to be seen for a moment."""
    deadline = time.monotonic() + 1.0
    while not (found := process.environ()) and time.monotonic() < deadline:
        # Threads of the Linux kernel, children of process 2, never have any, nor has one that has ended.
        if process.ppid() == 2 or process.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.001)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        # The standard library keeps its resource tracker until the interpreter ends.
        return process.status() != psutil.STATUS_ZOMBIE and "multiprocessing.resource_tracker" not in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _describe(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}: {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return f"process {process.pid}"


def _left_behind(folders: Folders, before: set[int]) -> list[str]:
    segments = [f"segment {file.name}" for file in folders.shm.iterdir()]
    # os.walk goes on where a folder vanishes under its eyes.
    files = [Path(folder, name) for folder, _, names in os.walk(folders.runtime) for name in names]
    sockets = [f"socket {file.name}" for file in files if file.is_socket()]
    return segments + sockets + [_describe(process) for process in _processes(folders, before)]


def _check_and_remove(folders: Folders, before: set[int]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while (left := _left_behind(folders, before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in _processes(folders, before):
        process.kill()
    shutil.rmtree(folders.base, ignore_errors=True)
    if left:
        pytest.fail("the test left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture(scope="module")
def module_folders() -> Iterator[Folders]:
    """Folders that the tests of a module share, for fixtures of module scope; checked after the last test."""
    before = set(psutil.pids())
    folders = _make_folders()
    with pytest.MonkeyPatch.context() as patch:
        _use(folders, patch)
        yield folders
    _check_and_remove(folders, before)


@pytest.fixture(autouse=True)
def folders(request: pytest.FixtureRequest) -> Iterator[Folders]:
    """Private folders of every kind, by their environment variables; no process, segment or socket outlives a test."""
    if "module_folders" in request.fixturenames:
        yield request.getfixturevalue("module_folders")
        return
    before = set(psutil.pids())
    private = _make_folders()
    # A MonkeyPatch of its own: it is undone after whatever the test did with its own.
    with pytest.MonkeyPatch.context() as patch:
        _use(private, patch)
        yield private
    _check_and_remove(private, before)
