"""How a child process is started."""

from __future__ import annotations

import sys
from pathlib import Path

import asmu_engine


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours with this Python.

    ``-m`` puts the working directory in front of the import path. There a user's ``signal.py`` or ``queue.py`` would
    pass for the standard library's, so it is left out (``-P``), except where it is what holds this package.
    """
    package_folder = Path(asmu_engine.__file__).resolve().parent.parent
    safe = ["-P"] if sys.flags.safe_path or Path.cwd() != package_folder else []
    return [sys.executable, *safe, "-m", module, *arguments]
