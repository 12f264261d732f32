"""The questions that the benchmarks answer, and all of them in turn.

    python -m benchmarks                      # the list
    python -m benchmarks --run chain ring     # these, one after the other, into results/
    python -m benchmarks --run                # all but those of hours: two hours on a machine with nothing else to do
    python -m benchmarks --quick              # all, each for seconds: does it run, are its figures of the known order

Quick figures are too noisy to be kept: they go into a folder of their own (`--results`), not into ``results/``.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = ("compare",)
LONG = ("soak",)
"""These take hours, and run when they are named."""
QUICK = {
    "acquire": ["--minutes", "0.1"],
    "chain": ["--rounds", "3"],
    "clients": ["--seconds", "1", "--rounds", "1", "--watchers", "8"],
    "counts": ["--only", "block, empty"],
    "edits": ["--edits", "200", "--seconds", "1", "--rounds", "1"],
    "filters": ["--rounds", "1"],
    "footprint": ["--most", "4"],
    "growth": ["--rounds", "2", "--most-nodes", "256", "--most-channels", "64"],
    "isolation": ["--seconds", "1", "--rounds", "1"],
    "library": ["--rounds", "1"],
    "mapping": ["--seconds", "2", "--rounds", "1"],
    "memory": ["--minutes", "0.2"],
    "peers": ["--rounds", "1", "--seconds", "0.2", "--jobs", "sines,gains,weighting,convolution,meter"],
    "relay": ["--seconds", "2"],
    "ring": ["--seconds", "1"],
    "smallblocks": ["--minutes", "0.1"],
    "soak": ["--simulated", "--hours", "0.2"],
    "startup": ["--rounds", "2"],
}
"""What makes a run short. One that is not named here has no such run."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone (default: all)")
    parser.add_argument("--run", action="store_true", help="run them, one after the other")
    parser.add_argument("--quick", action="store_true", help="run them for seconds only")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="where the figures go")
    arguments = parser.parse_args()
    known = questions()
    if unknown := sorted(set(arguments.names) - known.keys()):
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    if not (arguments.run or arguments.quick):
        width = max(map(len, known))
        for name in arguments.names or known:
            print(f"{name.rjust(width)}  {known[name]}")
        return
    names = arguments.names or [name for name in known if (name in QUICK if arguments.quick else name not in LONG)]
    if arguments.quick and (slow := [name for name in names if name not in QUICK]):
        raise SystemExit(f"{', '.join(slow)}: no quick run of it; run it with --run")
    folder = arguments.results or (Path(tempfile.mkdtemp(prefix="asmu-benchmarks-")) if arguments.quick else None)
    failed = [name for name in names if not run(name, QUICK[name] if arguments.quick else [], folder)]
    if folder is not None:
        print(f"figures: {folder}; python -m benchmarks.compare --of {folder} shows them against the last release")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def questions() -> dict[str, str]:
    """The first line of each benchmark's docstring, by its name; nothing is imported."""
    files = sorted(file for file in HERE.glob("[a-z]*.py") if file.stem not in TOOLS)
    found = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files}
    return {name: text.splitlines()[0] for name, text in found.items() if text}


def run(name: str, options: list[str], folder: Path | None) -> bool:
    """One benchmark in a process of its own, its figures into `folder` (None: ``results/``); whether it came to its end."""
    print(f"\n== python -m benchmarks.{' '.join([name, *options])}", flush=True)
    environment = {**os.environ, **({"ASMU_BENCHMARKS_RESULTS": str(folder.resolve())} if folder else {})}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], cwd=HERE.parent, env=environment, check=False)
    print(
        f"== {name}: {time.monotonic() - began:.0f} s{'' if done.returncode == 0 else f', status {done.returncode}'}", flush=True
    )
    return done.returncode == 0


if __name__ == "__main__":
    main()
