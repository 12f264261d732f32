"""What every benchmark ends with: a table for the reader and a JSON file for the record."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(os.environ.get("ASMU_BENCHMARKS_RESULTS") or Path(__file__).parent / "results")
"""Where the figures go; `python -m benchmarks` sets the variable for runs that are too short to be kept."""

_LIBRARIES = ("numpy", "pyzmq", "msgpack", "sounddevice", "soundfile", "pyFFTW")


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` % of the values do not exceed (nearest rank); NaN of none.

    >>> percentile([4, 1, 3, 2], 50), percentile([4, 1, 3, 2], 99)
    (2, 4)
    """
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def report(
    name: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, goals: Mapping[str, Any] | None = None
) -> Path:
    """Print the rows as a table and write ``results/NAME.json``.

    Parameters
    ----------
    name
        Name of the benchmark.
    rows
        One mapping a row; figures with their unit in the key.
    columns
        Keys to show, in order; None for all. The file has all of them.
    goals
        What was to be reached, in words or numbers, by the column or row that it concerns.

    Returns
    -------
    pathlib.Path
        The file.
    """
    shown = list(columns) if columns is not None else list(dict.fromkeys(key for row in rows for key in row))
    print(name)
    print_table(rows, shown)
    for what, goal in (goals or {}).items():
        print(f"  goal: {what}: {goal}")
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(parents=True, exist_ok=True)
    record = {"benchmark": name, "environment": environment(), "goals": dict(goals or {}), "rows": [dict(row) for row in rows]}
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print these columns of the rows, each as wide as it must be."""
    cells = [list(columns)] + [[_cell(row.get(key, "")) for key in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def environment() -> dict[str, Any]:
    """Machine, versions and commit that figures belong to."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "libraries": {library: version for library in _LIBRARIES if (version := _version(library))},
        "arguments": sys.argv[1:],
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    """The commit, with ``+`` where the checkout differs from it; ``unknown`` outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10)
    return run.stdout.strip()


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    except OSError:
        return platform.processor()
