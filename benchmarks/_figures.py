"""What the figures of a benchmark's record are: which row is which, which way is better, and how far noise goes.

A row says what it is about first: its leading texts, and leading numbers named in `LABELS`, are its name; rows of the same name
are numbered. All other numbers are figures. The name of a figure tells its unit, and the unit which way is better; one that no
rule knows (blocks done, messages sent), and any inside a further mapping, is a fact, neither better nor worse. What a benchmark
measures of others for comparison (numpy, a plain copy, a peer) tells of the machine and not of us.

The bands are judgements from what stored runs of much the same code differ by on a virtual machine, not statistics: what is
inside one may be a change, what is outside is worth a second run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

LABELS: Final = frozenset({
    "blocksize", "channels", "clients", "connections", "delay_node", "frames", "inputs", "loopback_delay", "nodes", "number",
    "outputs", "processes", "samplerate", "taps", "voices", "workers",
})  # fmt: skip
"""Numbers that say what a row is about."""

_OTHERS = re.compile(
    r"(?:.*, )?(?:asmu|pyo|scsynth|scipy|numpy|import numpy|copy|plain|bare|soundfile|sounddevice|witness|in process)\b.*",
    re.IGNORECASE,
)
_OF_OTHERS = re.compile(r"(?:asmu|pyo|scsynth|scipy|numpy|copy|plain|bare|soundfile|witness)_.*", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """What the names of figures that match `pattern` mean.

    Attributes
    ----------
    better
        -1: less is better, 1: more is better, 0: neither.
    band
        Change that noise may make, as a share of the earlier figure.
    floor
        Change in the figure's own unit that is noise whatever its share.
    bound
        Whether it compares on the same machine only, as all but ratios within one run do.
    """

    pattern: re.Pattern[str]
    better: int
    band: float
    floor: float = 0.0
    bound: bool = True


def _rule(pattern: str, better: int, band: float, floor: float = 0.0, bound: bool = True) -> Rule:
    return Rule(re.compile(rf"(?:{pattern})$"), better, band, floor, bound)


RULES: Final = (
    # The first that fits is the one.
    _rule(r".*spread_percent|off_percent|.*span_mb|expected_\w+|minutes", 0, 0),
    _rule(r"instructions|.*_instructions", -1, 0.005),
    _rule(r"(.*_)?(lost|skipped|missing|xruns|overruns|failures|late)(_frames|_blocks)?", -1, 0),
    _rule(r".*(missed|misses)_percent|.*_points", -1, 0, 0.1),
    _rule(r"(.*_)?misses", -1, 0.5, 5),
    _rule(r"(.*_)?(ratio|rate)", 1, 0.1, 0.02, False),
    _rule(r"to_ours", 1, 0.1, 0.02, False),  # a peer's time by ours
    _rule(r"(.*_)?error", -1, 1.0, 1e-6, False),
    _rule(r"to_\w+|.*_to_\w+", -1, 0.1, 0.02, False),
    _rule(r"(.*_)?(max|worst|p999)_(ns|us|ms|s)", -1, 1.0),
    # The histograms of lateness and callback time have steps of a sixth, and an idle processor sleeps more or less deeply.
    _rule(r"(late|callback)_p50_us", -1, 0.4),
    _rule(r"(.*_)?p9\d_(ns|us|ms|s)", -1, 0.4),
    _rule(r".*_per_s", 1, 0.1),
    _rule(r".*(growth|later)_kb", -1, 0.5, 1024),
    _rule(r".*_kb_per_min", -1, 0.5, 50),
    _rule(r".*_(kb|mb|mib)(_each)?", -1, 0.05, 0.5),
    _rule(r".*_(core|cores|cpu)", -1, 0.2, 0.01),
    _rule(r"(.*_)?(ns|us|ms|s)(_(a|per)_\w+|_each)?", -1, 0.15),
    _rule(r".*_percent|.*_share", -1, 0.2, 0.05),
)
_FACT: Final = Rule(re.compile(""), 0, 0)


def rule_of(name: str) -> Rule:
    """The rule for a figure's name; the case of its letters does not matter.

    >>> rule_of("us_per_block").better, rule_of("open_recording_MB_per_s").better, rule_of("blocks").better
    (-1, 1, 0)
    """
    return next((rule for rule in RULES if rule.pattern.match(name.lower())), _FACT) if "." not in name else _FACT


@dataclass(frozen=True, order=True)
class Key:
    """Where a figure stands: the benchmark, the name of its row, its column."""

    benchmark: str
    row: str
    figure: str


def figures(benchmark: str, rows: Sequence[Mapping[str, Any]]) -> dict[Key, float | str]:
    """The figures of a record and the words that are results (a verdict), in its order; no series, no empty words, no null.

    >>> rows = [{"way": "numpy", "channels": 8, "us": 7.5, "blocks": 400, "verify": "whole"}]
    >>> [(key.row, key.figure, value) for key, value in figures("chain", rows).items()]
    [('numpy, 8 channels', 'us', 7.5), ('numpy, 8 channels', 'blocks', 400), ('numpy, 8 channels', 'verify', 'whole')]
    """
    found: dict[Key, float | str] = {}
    seen: dict[str, int] = {}
    for row in rows:
        labels, rest = _split(row)
        name = ", ".join(label for label in labels if label)
        seen[name] = seen.get(name, 0) + 1
        name += f" ({seen[name]})" if seen[name] > 1 else ""
        for figure, value in _flat(rest):
            found[Key(benchmark, name, figure)] = value
    return found


def of_others(key: Key) -> bool:
    """Whether a figure is not ours but a comparison's.

    >>> of_others(Key("chain", "numpy", "us_per_block")), of_others(Key("library", "gain", "copy_us"))
    (True, True)
    >>> of_others(Key("library", "gain", "us_per_block")), of_others(Key("ring", "write, read a copy", "ring_us"))
    (False, False)
    """
    return key.figure != "to_ours" and bool(_OTHERS.fullmatch(key.row) or _OF_OTHERS.fullmatch(key.figure))


def _split(row: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    labels: list[str] = []
    for name, value in row.items():
        if isinstance(value, str):
            labels.append(value)
        elif name in LABELS and isinstance(value, int | float):
            labels.append(f"{value:g} {name}")
        else:
            break
    return labels, dict(list(row.items())[len(labels) :])


def _flat(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float | str]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, bool):
            yield before + name, str(value).lower()
        elif isinstance(value, int | float | str) and value != "":
            yield before + name, value
