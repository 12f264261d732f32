"""Where figures are kept: the newest in ``results/``, older ones in git's history, those of releases in ``results/releases/``."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks._report import environment

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
RELEASES = RESULTS / "releases"
_IN_GIT = "benchmarks/results/"
_VERSION = re.compile(r"\d+(\.\d+)*([a-z]+\d*)?([.+-][\w.]+)?")
Record = dict[str, Any]
"""What `benchmarks._report.report` writes: benchmark, environment, goals, rows."""


@dataclass(frozen=True)
class Table:
    """The records of one moment.

    Attributes
    ----------
    name
        What to call it: a release, a commit, a folder.
    commit
        The commit that it belongs to; each record has its own besides.
    records
        By the name of the benchmark.
    """

    name: str
    commit: str
    records: dict[str, Record]


class NoTable(SystemExit):
    """There are no figures of that name; its text says where they were looked for."""


def find(name: str, releases: Path = RELEASES) -> Table:
    """The table of a release, of a folder of results, or of a commit.

    Raises
    ------
    NoTable
        It is none of these, or has no results.
    """
    if (releases / f"{name}.json").is_file():
        return read_release(releases / f"{name}.json")
    if Path(name).is_dir():
        return read_folder(Path(name))
    return read_commit(name, releases)


def last_release(releases: Path = RELEASES) -> Table:
    """The table recorded last; raises `NoTable` when there is none."""
    found = all_releases(releases)
    if not found:
        raise NoTable(f"no release is recorded in {releases}; name a commit, or record one with --record VERSION")
    return read_release(found[-1])


def all_releases(releases: Path = RELEASES) -> list[Path]:
    """The files of all releases, in the order in which they were recorded."""
    return sorted(releases.glob("*.json"), key=lambda file: str(_load(file.read_text(encoding="utf-8"), file).get("recorded")))


def read_release(file: Path) -> Table:
    """A table that `record` wrote."""
    found = _load(file.read_text(encoding="utf-8"), file)
    return Table(str(found["release"]), str(found["commit"]), found["results"])


def read_folder(folder: Path = RESULTS) -> Table:
    """The files that benchmarks wrote into a folder; raises `NoTable` when there are none."""
    found = [_load(file.read_text(encoding="utf-8"), file) for file in sorted(folder.glob("*.json"))]
    if not found:
        raise NoTable(f"there are no results in {folder}")
    return Table("results" if folder == RESULTS else str(folder), environment()["commit"], _by_name(found))


def read_commit(commit: str, releases: Path = RELEASES) -> Table:
    """The results that a commit of this checkout holds; raises `NoTable`."""
    try:
        full = git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
    except (OSError, subprocess.CalledProcessError) as error:
        known = ", ".join(file.stem for file in all_releases(releases)) or "none"
        raise NoTable(f"{commit}: no release (recorded: {known}), no folder, and no commit of this checkout") from error
    names = [name for name in git("ls-tree", "--name-only", full, _IN_GIT).splitlines() if name.endswith(".json")]
    if not names:
        raise NoTable(f"commit {commit} holds no results in {_IN_GIT}")
    return Table(commit, full[:12], _by_name([_load(git("show", f"{full}:{name}"), name) for name in names]))


def record(version: str, table: Table, releases: Path = RELEASES, *, replace: bool = False) -> Path:
    """Keep a table as that of a release; one row a line, so that git shows what changed. Series of numbers are left out.

    Raises
    ------
    SystemExit
        What is no version; or it has been recorded, and is not to be replaced.
    """
    if not _VERSION.fullmatch(version):
        raise SystemExit(f"{version!r} is no version: write it as 1.2.0")
    file = releases / f"{version}.json"
    if file.exists() and not replace:
        raise SystemExit(f"release {version} is recorded already, in {file}; --replace writes it anew")
    head = {"release": version, "recorded": datetime.now(UTC).isoformat(timespec="seconds"), "commit": table.commit}
    releases.mkdir(parents=True, exist_ok=True)
    file.write_text(_written(head, table.records), encoding="utf-8")
    return file


def git(*arguments: str) -> str:
    """What git says of this checkout, to its last line's end."""
    run = subprocess.run(
        ["git", *arguments], cwd=HERE.parent, capture_output=True, text=True, encoding="utf-8", check=True, timeout=30
    )
    return run.stdout.strip()


def _written(head: Mapping[str, Any], records: Mapping[str, Record]) -> str:
    lines = ["{"] + [f'  "{key}": {json.dumps(value)},' for key, value in head.items()] + ['  "results": {']
    for number, (name, one) in enumerate(records.items(), start=1):
        lines.append(f"    {json.dumps(name)}: {{")
        lines += [f'      "{key}": {json.dumps(value)},' for key, value in one.items() if key != "rows"]
        rows = [{key: value for key, value in row.items() if not isinstance(value, list)} for row in one["rows"]]
        lines += ['      "rows": [', ",\n".join(f"        {json.dumps(row, ensure_ascii=False)}" for row in rows), "      ]"]
        lines.append("    }" + ("," if number < len(records) else ""))
    return "\n".join([*lines, "  }", "}", ""])


def _by_name(records: list[Record]) -> dict[str, Record]:
    return {record["benchmark"]: record for record in records}


def _load(text: str, where: Path | str) -> Record:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SystemExit(f"{where} is no JSON: {error}") from error
    if not isinstance(found, dict) or not ("rows" in found or "results" in found):
        raise SystemExit(f"{where} is no result of a benchmark: it has no rows")
    return found
