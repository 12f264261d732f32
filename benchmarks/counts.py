"""How many instructions the processor is given for one block, one edit, one tap write, one schedule of 1,000 nodes.

Where time is too noisy to tell a change of a few percent, instructions are not: they are counted, and the same code gives the
same count to 0.2 %, whatever else the machine does. valgrind's callgrind counts them. Each operation has a process of its own and
is done there in a short and a long stretch; the difference of their counts by that of their lengths is what one operation takes.
Seed, order of sets and number of threads are fixed, the garbage collector is off, caches are warm.

A count is not a time: a multiplication of one sample and one of 8 are both one instruction where the processor can do so, and
what waits for memory costs no more of them. valgrind shows programs a processor with AVX2 at most, so numpy's widest loops are
not what is counted. Two counts compare on one kind of machine with the same versions of Python and numpy.

    python -m benchmarks.counts [--only edit] [--rounds 1] [--top 10] [--keep FOLDER]

`--top` shows the C functions that take the most. `--keep` leaves callgrind's files: the third of an operation is that of its long
stretch.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import _callgrind
from benchmarks._counted import MARK, OPERATIONS, Operation, do
from benchmarks._report import print_table, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="operations whose name begins with this; nothing is stored")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is counted (default %(default)s)")
    parser.add_argument("--top", type=int, default=0, metavar="N", help="show the N functions that take the most")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where callgrind's files are to stay")
    parser.add_argument("--do", metavar="OPERATION", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.do:
        do(OPERATIONS[arguments.do])
        return
    version = _callgrind.version()
    chosen = [operation for name, operation in OPERATIONS.items() if name.startswith(arguments.only)]
    if not chosen:
        raise SystemExit(f"no operation begins with {arguments.only!r}; there are: {', '.join(OPERATIONS)}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="asmu-counts-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for operation in chosen:
            _callgrind.run(command(operation))  # what fails does so at once, and modules are compiled
            found = [count(operation, folder) for _ in range(arguments.rounds)]
            rows.append(row(operation, found, version))
            print(f"  {operation.what}: {rows[-1]['instructions']:,}", file=sys.stderr, flush=True)
            if arguments.top:
                print_table(top(found[-1], arguments.top), ("instructions", "function"))
    if arguments.only:
        print_table(rows, list(rows[0]))
    else:
        report("counts", rows)


def command(operation: Operation) -> list[str]:
    """What does an operation, between its marks."""
    return [sys.executable, "-m", "benchmarks.counts", "--do", operation.what]


def count(operation: Operation, folder: Path) -> dict[str, float]:
    """Instructions of one operation by C function, from one process that does it; callgrind's files go into the folder."""
    out = folder / f"{re.sub(r'[^0-9a-z]+', '_', operation.what)}.out"
    parts = _callgrind.profile(command(operation), out, MARK)
    if len(parts) != 3:
        raise SystemExit(f"callgrind saw {len(parts)} of 3 marks, calls of {MARK}, of {operation.what!r}")
    texts = [part.read_text(encoding="utf-8", errors="replace") for part in parts[1:]]
    short, long = (_callgrind.by_function(text) for text in texts)
    for counted, text in ((short, texts[0]), (long, texts[1])):
        if counted.total() != _callgrind.total(text):
            raise SystemExit(
                f"the functions of {operation.what!r} are {counted.total()} instructions, not {_callgrind.total(text)}"
            )
    return slopes((operation.short, operation.long), short, long, operation.each)


def slopes(lengths: tuple[int, int], short: Counter[str], long: Counter[str], each: int = 1) -> dict[str, float]:
    """Instructions of one operation, from those of two stretches with so many calls that do it `each` times.

    >>> slopes((10, 30), Counter(copy=100, start=7), Counter(copy=300, start=7), each=2)
    {'copy': 5.0, 'start': 0.0}
    """
    calls = (lengths[1] - lengths[0]) * each
    return {name: (long[name] - short[name]) / calls for name in dict.fromkeys((*short, *long))}


def row(operation: Operation, found: list[dict[str, float]], version: str) -> dict[str, Any]:
    """One line of the table; with several rounds also the spread between the least and the greatest."""
    sums = [sum(functions.values()) for functions in found]
    spread = {"spread_percent": round(100 * (max(sums) - min(sums)) / median(sums), 3)} if len(sums) > 1 else {}
    return {
        "what": operation.what,
        "instructions": round(median(sums)),
        **spread,
        "rounds": len(found),
        "tool": f"callgrind {version}",
    }


def top(functions: dict[str, float], number: int) -> list[dict[str, Any]]:
    """The functions that take the most, most first."""
    most = sorted(functions.items(), key=lambda item: -item[1])[:number]
    return [{"function": name, "instructions": round(instructions)} for name, instructions in most]


if __name__ == "__main__":
    main()
