"""The processes of the peers, seen from the benchmark: which are there, and asking one of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).parent.parent


class NotHere(Exception):
    """An engine cannot be had, or not for this job; the text says why."""


class Failed(Exception):
    """A peer's process has ended where it should have answered; the text is what it said last."""


@dataclass(frozen=True)
class Engine:
    """One peer.

    Attributes
    ----------
    name
        As the table has it.
    module
        Of `benchmarks`, which its process runs.
    python
        Interpreter that has it.
    needs
        Module that the interpreter must have.
    program
        Program that must be there beside it, and is passed on; empty for none.
    arguments
        What else is passed on.
    only
        The one job that it is there for; empty for all.
    """

    name: str
    module: str
    python: str
    needs: str
    program: str = ""
    arguments: tuple[str, ...] = ()
    only: str = ""

    def missing(self) -> str:
        """Why it cannot be had; empty where it can."""
        if self.program and shutil.which(self.program) is None:
            return f"there is no program {self.program}"
        try:
            command = [self.python, "-c", f"import {self.needs}"]
            tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except OSError as error:
            return f"{self.python}: {error.strerror}"
        lines = tried.stderr.strip().splitlines()
        return f"{Path(self.python).name}: {lines[-1]}" if tried.returncode and lines else ""


class PeerProcess:
    """The process of an engine with a job in it.

    Raises
    ------
    NotHere
        The engine has no means for this job.
    Failed
        It did not start.
    """

    def __init__(self, engine: Engine, job: Path, folder: Path) -> None:
        more = (engine.program, *engine.arguments) if engine.program else engine.arguments
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [engine.python, "-m", f"benchmarks.{engine.module}", str(job), str(folder), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": ""},
            text=True,
        )
        try:
            first = self._answer()
            if "unable" in first:
                raise NotHere(first["unable"])
        except BaseException:
            self.close()
            raise
        self.versions: dict[str, str] = first["versions"]

    def ask(self, order: str) -> dict[str, Any]:
        """Have an order done: ``check PATH`` or ``time SECONDS``."""
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Have it end; by force where it does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self._process.wait(20)
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        raise Failed(f"it ended with status {self._process.returncode}: {said[-1] if said else 'without a word'}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def engines(asmu: str, pyo: str, scsynth: str, supriya: str) -> list[Engine]:
    """All that the jobs are given to: interpreters that have asmu, pyo and supriya, and the program scsynth."""
    here = sys.executable
    return [
        Engine("ours, offline", "_peer_ours", here, "asmu_control", arguments=("offline",)),
        Engine("ours, virtual", "_peer_ours", here, "asmu_control", arguments=("virtual",)),
        Engine("asmu", "_peer_asmu", asmu, "asmu"),
        Engine("pyo", "_peer_pyo", pyo, "pyo"),
        Engine("scsynth", "_peer_scsynth", supriya, "supriya", program=scsynth),
        # Convolution in the shortest partitions with which they answer; ours is not late at all.
        Engine("pyo, 256 late", "_peer_pyo", pyo, "pyo", arguments=("256",), only="convolution"),
        Engine("scsynth, 256 late", "_peer_scsynth", supriya, "supriya", scsynth, ("1024",), "convolution"),
        Engine("bare numpy", "_peer_numpy", here, "scipy"),
    ]
