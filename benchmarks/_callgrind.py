"""valgrind's callgrind: how it is run so that a count is the same each time, and what its files say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

TIMEOUT_S = 900
_NEVER = 0x4000_0000
SETTINGS = {
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Else a copy of some kilobytes is one repeated instruction, of which callgrind counts every byte: all else would vanish.
    "GLIBC_TUNABLES": f"glibc.cpu.x86_rep_movsb_threshold={_NEVER}:glibc.cpu.x86_rep_stosb_threshold={_NEVER}",
}
_NAME = re.compile(r"(c?)fn=\((\d+)\)(?: (.*))?")
_COST = re.compile(r"(?:[+*-]?\d+|\*) (\d+)")


def version() -> str:
    """The version of valgrind that is installed.

    Raises
    ------
    SystemExit
        There is none.
    """
    if not shutil.which("valgrind"):
        raise SystemExit("instructions cannot be counted: valgrind is not on the PATH (Debian's package is called valgrind)")
    return run(["valgrind", "--version"]).strip().removeprefix("valgrind-")


def profile(command: list[str], out: Path, mark: str) -> list[Path]:
    """Run a command under callgrind; one file up to each call of the C function `mark`, in their order, beside `out`."""
    for old in out.parent.glob(f"{out.name}*"):
        old.unlink()
    run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={mark}", *command])
    return sorted(out.parent.glob(f"{out.name}.*"), key=lambda file: int(file.suffix[1:]))


def run(command: list[str]) -> str:
    """Run a command from the checkout with what makes it the same each time; what it printed.

    Raises
    ------
    SystemExit
        It failed, with the end of what it said.
    """
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, **SETTINGS}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, cwd=root, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def total(text: str) -> int:
    """The sum that a file states.

    >>> total("events: Ir\\nsummary: 434741090\\n\\nfn=(0)\\n0 12\\ntotals: 434741090\\n")
    434741090
    """
    found = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    if not found:
        raise SystemExit("a file of callgrind states no sum")
    return int(found[1])


def by_function(text: str) -> Counter[str]:
    """Instructions of each C function itself, without those that it calls.

    callgrind_annotate cannot tell them of a part of a run: it takes what the functions that are still running have called
    for their own.

    >>> by_function("fn=(1) main\\n15 3\\ncfn=(2) copy\\ncalls=1 0\\n+1 40\\n\\nfn=(2)\\n7 30\\n* 10\\n")
    Counter({'copy': 40, 'main': 3})
    """
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    running, of_call = "", False
    for line in text.splitlines():
        if name := _NAME.fullmatch(line):
            if name[3]:
                names[name[2]] = name[3]
            running = running if name[1] else name[2]
        elif line.startswith("calls="):
            of_call = True  # the line behind it has what the called function took
        elif cost := _COST.fullmatch(line):
            costs[running] += 0 if of_call else int(cost[1])
            of_call = False
    return Counter({names[number]: cost for number, cost in costs.items()})
