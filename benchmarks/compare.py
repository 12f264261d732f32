"""What changed: each figure in ``results/`` against that of the last release, of a commit or of another folder.

A change is one where it goes beyond what noise does to such a figure: 0.5 % for instructions, 10 to 20 % for medians of times,
twice for a longest wait (`benchmarks._figures` has them all). That band is widened by what the comparisons of the same benchmark
(numpy, a plain copy, a witness) moved meanwhile, for so far moved the machine. On another machine only ratios within one run are
judged. What is inside the band, or neither better nor worse, is shown with ``--all`` only.

    python -m benchmarks.compare                           # results/ against the last release
    python -m benchmarks.compare 0.1.0 --only chain ring   # against that release, two benchmarks
    python -m benchmarks.compare f48175a --of HEAD         # one commit against another
    python -m benchmarks.compare --record 0.2.0            # keep results/ as those of a release
    python -m benchmarks.compare --releases                # the releases that are kept

It ends with status 1 where something is worse and ``--fail`` is given.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks import _records
from benchmarks._figures import Key, figures, of_others, rule_of
from benchmarks._records import NoTable, Record, Table
from benchmarks._report import print_table

SHOWN = ("better", "worse", "changed", "new", "gone")
_MACHINE = ("machine", "processor", "cores")
_MUCH = 0.1
"""Movement of the comparisons, as a share, from which it is told."""


@dataclass(frozen=True)
class Change:
    """One figure of two tables; None where one has it not.

    Attributes
    ----------
    percent
        Change by the earlier figure; None where that is nothing, or no number.
    verdict
        better, worse; same: within noise; changed: another word; new, gone; fact: no way is better; comparison: not ours; other
        machine: it tells nothing.
    """

    benchmark: str
    row: str
    figure: str
    before: float | str | None
    now: float | str | None
    percent: float | None
    verdict: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", nargs="?", help="a release, a commit or a folder (default: the last release)")
    parser.add_argument("--of", metavar="NOW", help="what to compare with it, named likewise (default: results/)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these benchmarks alone")
    parser.add_argument("--all", action="store_true", help="show every figure")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument("--fail", action="store_true", help="end with status 1 when a figure is worse")
    parser.add_argument("--record", metavar="VERSION", help="keep the results as those of this release")
    parser.add_argument("--replace", action="store_true", help="with --record: also where it is there already")
    parser.add_argument("--releases", action="store_true", help="list the releases that are kept")
    arguments = parser.parse_args()
    if arguments.releases:
        print_table([_release(_records.read_release(file)) for file in _records.all_releases()], list(_RELEASE))
        return
    now = _records.find(arguments.of) if arguments.of else _records.read_folder()
    if arguments.record:
        file = _records.record(arguments.record, now, replace=arguments.replace)
        print(f"{file}: {', '.join(now.records)}")
        for line in _strangers(now):
            print(f"  {line}")
        return
    before = _records.find(arguments.before) if arguments.before else _records.last_release()
    if unknown := set(arguments.only or ()) - before.records.keys() - now.records.keys():
        raise NoTable(f"{', '.join(sorted(unknown))}: in neither {before.name} nor {now.name}")
    changes = [change for change in compare(before, now) if not arguments.only or change.benchmark in arguments.only]
    if arguments.json:
        print(json.dumps(_as_json(before, now, changes), indent=2, ensure_ascii=False))
    else:
        show(before, now, changes, everything=arguments.all)
    if arguments.fail and any(change.verdict == "worse" for change in changes):
        raise SystemExit(1)


def compare(before: Table, now: Table) -> list[Change]:
    """Every figure of both tables, in the order of the later one; what only the earlier has comes last."""
    names = dict.fromkeys((*now.records, *before.records))
    return [change for name in names for change in _compare(name, before.records.get(name), now.records.get(name))]


def _compare(name: str, before: Record | None, now: Record | None) -> Iterator[Change]:
    old = figures(name, before["rows"]) if before else {}
    new = figures(name, now["rows"]) if now else {}
    same = before is None or now is None or same_machine(before, now)
    moved = drift(old, new)
    for key in dict.fromkeys((*new, *old)):
        yield judge(key, old.get(key), new.get(key), same=same, moved=moved)


def judge(key: Key, before: float | str | None, now: float | str | None, *, same: bool = True, moved: float = 0.0) -> Change:
    """The change of one figure.

    Parameters
    ----------
    same
        Whether both are of the same machine.
    moved
        How far the comparisons of the same benchmark moved, as a share: that much more is noise.
    """
    rule = rule_of(key.figure)
    percent = None
    if before is None or now is None:
        verdict = "new" if before is None else "gone"
    elif isinstance(before, str) or isinstance(now, str):
        verdict = "same" if before == now else "changed"
    else:
        percent = 100 * (now - before) / abs(before) if before else None
        band = max((rule.band + (moved if rule.bound else 0.0)) * abs(before), rule.floor)
        if not rule.better:
            verdict = "fact"
        elif of_others(key):
            verdict = "comparison"
        elif rule.bound and not same:
            verdict = "other machine"
        elif abs(now - before) <= band:
            verdict = "same"
        else:
            verdict = "better" if (now > before) == (rule.better > 0) else "worse"
    return Change(key.benchmark, key.row, key.figure, before, now, percent, verdict)


def drift(old: dict[Key, Any], new: dict[Key, Any]) -> float:
    """How far the times and rates of what is not ours moved between two records, as a share: their median, without its sign."""
    pairs = [(old[key], new[key]) for key in old.keys() & new.keys() if of_others(key) and rule_of(key.figure).bound]
    # Counts and shares of a percent are left out: they are small, and move by much when nothing happens.
    shares = [
        b / a - 1 for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float) and a and b and not _rare(a, b)
    ]
    return abs(median(shares)) if shares else 0.0


def _rare(before: float, now: float) -> bool:
    return isinstance(before, int) and isinstance(now, int) and max(before, now) < 100


def same_machine(before: Record, now: Record) -> bool:
    """Whether two records are of one kind of machine."""
    return all(before["environment"].get(key) == now["environment"].get(key) for key in _MACHINE)


def show(before: Table, now: Table, changes: list[Change], *, everything: bool = False) -> None:
    """Print the changes, benchmark by benchmark, and how many there are of each kind."""
    print(f"{before.name} ({before.commit}) → {now.name} ({now.commit})")
    for name in dict.fromkeys(change.benchmark for change in changes):
        mine = [change for change in changes if change.benchmark == name]
        whole = all(change.verdict in ("new", "gone") for change in mine)
        rows = [_shown(change) for change in mine if everything or (change.verdict in SHOWN and not whole)]
        counted = ", ".join(f"{count} {verdict}" for verdict, count in Counter(change.verdict for change in mine).most_common())
        print(f"\n{name}: {counted}")
        for line in circumstances(before.records.get(name), now.records.get(name)):
            print(f"  ! {line}")
        if rows:
            print_table(rows, list(rows[0]))
    total = Counter(change.verdict for change in changes)
    print(f"\nbetter {total['better']}, worse {total['worse']}, within noise {total['same']}")


def _shown(change: Change) -> dict[str, Any]:
    percent = "" if change.percent is None else f"{change.percent:+.1f} %"
    before, now = ("" if value is None else value for value in (change.before, change.now))
    return {"row": change.row, "figure": change.figure, "before": before, "now": now, "change": percent, "": change.verdict}


def circumstances(before: Record | None, now: Record | None) -> Iterator[str]:
    """What else was not the same, in words."""
    if before is None or now is None:
        return
    old, new = before["environment"], now["environment"]
    for key in (*_MACHINE, "system", "python", "arguments"):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key)} → {new.get(key)}"
    versions = [environment.get("libraries", {}) for environment in (old, new)]
    for library in dict.fromkeys((*versions[0], *versions[1])):
        if versions[0].get(library) != versions[1].get(library):
            yield f"{library}: {versions[0].get(library)} → {versions[1].get(library)}"
    moved = drift(*(figures(one["benchmark"], one["rows"]) for one in (before, now)))
    if moved > _MUCH:
        yield f"the comparisons, which are not ours, moved by {100 * moved:.0f} %: the machine was not the same"


def _strangers(table: Table) -> Iterator[str]:
    """Benchmarks whose figures are not of the commit that the table is said to be of."""
    for name, one in table.records.items():
        commit = str(one["environment"]["commit"])
        if commit[:7] != table.commit[:7] or commit.endswith("+"):
            yield f"{name} was measured with {commit}, not {table.commit}"


_RELEASE = ("release", "commit", "date", "processor", "cores", "python", "benchmarks")


def _release(table: Table) -> dict[str, Any]:
    environments = [one["environment"] for one in table.records.values()]
    facts = {key: ", ".join(sorted({str(one.get(key)) for one in environments})) for key in ("processor", "cores", "python")}
    date = max(str(one["date"]) for one in environments)[:10]
    return {"release": table.name, "commit": table.commit, "date": date, **facts, "benchmarks": len(table.records)}


def _as_json(before: Table, now: Table, changes: list[Change]) -> dict[str, Any]:
    return {
        "before": {"name": before.name, "commit": before.commit},
        "now": {"name": now.name, "commit": now.commit},
        "circumstances": {
            name: lines
            for name in dict.fromkeys(change.benchmark for change in changes)
            if (lines := list(circumstances(before.records.get(name), now.records.get(name))))
        },
        "figures": [asdict(change) for change in changes],
    }


if __name__ == "__main__":
    main()
