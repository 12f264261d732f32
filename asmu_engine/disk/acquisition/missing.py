"""Which frames are missing before a chunk that was read from a ring, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from asmu_engine.recording.ledger import Cause
from asmu_engine.shm.causes import UNKNOWN, cause_name
from asmu_engine.shm.gaps import Gap


class Missing(NamedTuple):
    """Frames up to position `end`, why they are missing, and the standard uncertainty of how many they are."""

    end: int
    cause: Cause
    uncertainty: int


def gap_cause(code: int, *, replaced: bool) -> Cause:
    """Why the ring's writer lost frames; one that did not say so was `replaced`, or does not know."""
    return "restart" if replaced and code == UNKNOWN else cast("Cause", cause_name(code))


def overwritten(begin: int, end: int, known: Iterable[Gap], *, replaced: bool) -> list[Missing]:
    """What is missing where a reader was too slow: what the ring still says was lost, and else what was overwritten.

    >>> overwritten(0, 100, [Gap(20, 10, 1)], replaced=False)
    [Missing(end=20, cause='overrun', uncertainty=0), Missing(end=30, cause='device', uncertainty=0), \
Missing(end=100, cause='overrun', uncertainty=0)]
    """
    found: list[Missing] = []
    for gap in known:
        if gap.end <= begin or gap.position >= end:
            continue
        if gap.position > begin:
            found.append(Missing(gap.position, "overrun", 0))
        begin = min(end, gap.end)
        found.append(Missing(begin, gap_cause(gap.cause, replaced=replaced), gap.uncertainty))
    if begin < end:
        found.append(Missing(end, "overrun", 0))
    return found
