"""The check of tests/conftest.py fails a test that leaves something behind, and puts it away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil

CONFTEST = Path(__file__).parents[1] / "conftest.py"

LEAKY = """
import os, socket, subprocess, sys

children = []

def test_process(folders):
    children.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))

def test_orphan(folders):
    code = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print(p.pid)"
    subprocess.run([sys.executable, "-c", code], stdout=open(os.environ["ORPHAN"], "wb"), check=True)

def test_segment(folders):
    (folders.shm / "asmu.0.lab.tap").touch()

def test_socket(folders):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folders.runtime / "lab.ctl"))
    assert len(str(folders.runtime / ("n" * 63 + ".ctl"))) <= 107

def test_clean(folders):
    assert os.environ["ASMU_SHM_DIR"] == str(folders.shm) and not list(folders.shm.iterdir())
    assert folders.shm.stat().st_mode & 0o777 == folders.runtime.stat().st_mode & 0o777 == 0o700
"""


def test_what_is_left_behind_is_named_and_put_away(tmp_path):
    impatient, replaced = re.subn(r"^_PATIENCE = \S+$", "_PATIENCE = 0.2", CONFTEST.read_text(), flags=re.MULTILINE)
    assert replaced == 1
    (tmp_path / "conftest.py").write_text(impatient)
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    environment = {**os.environ, "ORPHAN": str(tmp_path / "orphan")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert "5 passed, 4 errors" in run.stdout
    for what in ("segment asmu.0.lab.tap", "socket lab.ctl"):
        assert f"\nthe test left behind: {what}\n" in run.stdout
    assert run.stdout.count("\nthe test left behind: process") == 2
    orphan, deadline = int((tmp_path / "orphan").read_text()), time.monotonic() + 10
    while not has_ended(orphan):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
