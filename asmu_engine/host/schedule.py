"""Transactions that wait for their frame position: which there are, and what became of those that did."""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.host.change import Change
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AsmuError, PatchError
from asmu_engine.protocol.messages import Scheduled
from asmu_engine.protocol.version import MAX_SCHEDULED

if TYPE_CHECKING:
    from asmu_engine.host.clients import Client

MAX_SCHEDULED_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all requests that wait."""

MAX_SCHEDULED_EDITS: Final = 131_072
"""Edits of structure in all that wait: a new one is checked on what all of those before it will have made of the patch."""

MAX_OUTCOMES: Final = 10_000
"""Transactions of which it is remembered what became of them."""


@dataclass(eq=False)
class Entry:
    """One transaction that waits.

    Attributes
    ----------
    number
        Under which it is listed and cancelled; of several for one frame the smaller goes first.
    change
        What it does to the patch, while the audio process has it; None while it does not.
    rings
        Made for it, by node, while the audio process has it.
    refuse
        Gets the error, if it cannot be done, as long as its client was not told that it is scheduled.
    suspect
        An audio process died when it got this one, perhaps because of it.
    """

    number: int
    at: int
    client: Client
    edits: Sequence[Edit]
    keep: bool = False
    size: int = 0
    structural: bool = True
    change: Change | None = None
    rings: dict[str, str] = field(default_factory=dict)
    refuse: Callable[[AsmuError], None] | None = None
    suspect: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """Place in the order of effect."""
        return self.at, self.number

    @property
    def armed(self) -> bool:
        """Whether the audio process has it."""
        return self.change is not None

    @property
    def heavy(self) -> int:
        """How many edits of structure it has."""
        return len(self.edits) if self.structural else 0

    def facts(self) -> dict[str, Any]:
        """What clients see of it."""
        return {
            "scheduled": self.number,
            "at": self.at,
            "author": self.client.label,
            "client": self.client.id,
            "edits": len(self.edits),
        }


class Schedule:
    """The waiting transactions in the order of effect."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._by_number: dict[int, Entry] = {}
        self._numbers = itertools.count(1)
        self._size = 0
        self._edits = 0
        self._outcomes: OrderedDict[int, dict[str, Any]] = OrderedDict()

    def make(self, at: int, client: Client, edits: Sequence[Edit], keep: bool, size: int) -> Entry:
        """A new entry, not in the schedule yet.

        Raises
        ------
        PatchError
            ``scheduled_full``: too many wait, or they take too much memory.
        """
        if len(self.entries) >= MAX_SCHEDULED or (self.entries and self._size + size > MAX_SCHEDULED_BYTES):
            raise PatchError(
                f"{len(self.entries)} transactions of {self._size} bytes wait for their frame positions; the limits are "
                f"{MAX_SCHEDULED} and {MAX_SCHEDULED_BYTES} bytes. Schedule more when some have taken effect",
                code="scheduled_full",
                where="at",
                retry=True,
            )
        if self._edits and self._edits + len(edits) > MAX_SCHEDULED_EDITS:
            raise PatchError(
                f"transactions with {self._edits} edits that change structure wait for their frame positions; the limit is "
                f"{MAX_SCHEDULED_EDITS}. Schedule more when some have taken effect",
                code="scheduled_full",
                where="at",
                retry=True,
            )
        return Entry(next(self._numbers), at, client, edits, keep, size)

    def add(self, entry: Entry) -> None:
        """Put it into its place."""
        insort(self.entries, entry, key=lambda one: one.order)
        self._by_number[entry.number] = entry
        self._size += entry.size
        self._edits += entry.heavy

    def remove(self, entry: Entry, **outcome: Any) -> None:
        """It does not wait any more; `outcome`: what became of it."""
        index = bisect_left(self.entries, entry.order, key=lambda one: one.order)
        assert self.entries[index] is entry
        del self.entries[index]
        del self._by_number[entry.number]
        self._size -= entry.size
        self._edits -= entry.heavy
        self._outcomes[entry.number] = outcome
        while len(self._outcomes) > MAX_OUTCOMES:
            self._outcomes.popitem(last=False)

    def find(self, number: int) -> Entry | None:
        """The entry of that number, while it waits."""
        return self._by_number.get(number)

    def outcome(self, number: int) -> dict[str, Any] | None:
        """What became of the transaction of that number: ``state`` and more; None while it waits.

        Raises
        ------
        PatchError
            ``scheduled_unknown``: there was none, or it is too long ago.
        """
        if number in self._by_number:
            return None
        if number not in self._outcomes:
            raise PatchError(
                f"there is no scheduled transaction {number}, and none of that number is remembered",
                code="scheduled_unknown",
                where=str(number),
            )
        return dict(self._outcomes[number])

    def before(self, entry: Entry) -> list[Entry]:
        """Those that take effect before it."""
        return self.entries[: bisect_left(self.entries, entry.order, key=lambda one: one.order)]

    def due(self, horizon: float) -> list[Entry]:
        """Those up to a frame position that the audio process does not have."""
        end = bisect_left(self.entries, horizon + 1, key=lambda one: one.at)
        return [entry for entry in self.entries[:end] if not entry.armed]

    def facts(self) -> list[dict[str, Any]]:
        """All that wait, as clients see them."""
        return [entry.facts() for entry in self.entries]

    def answer(self, request: Scheduled) -> dict[str, Any]:
        """The answer to a request for what is scheduled; PatchError ``scheduled_unknown`` for one that never was."""
        if request.scheduled is None:
            return {"scheduled": self.facts()}
        entry = self.find(request.scheduled)
        return {"scheduled": [entry.facts()] if entry else [], "outcome": self.outcome(request.scheduled)}

    def waiting(self, number: int) -> Entry:
        """The entry of that number; PatchError ``scheduled_unknown`` tells why it does not wait."""
        entry = self._by_number.get(number)
        if entry is None:
            outcome = self.outcome(number) or {}
            became = {"edited": f"took effect at frame {outcome.get('at')}", "cancelled": "was cancelled before"}
            raise PatchError(
                f"scheduled transaction {number} {became.get(str(outcome['state']), 'was dropped')}; it does not wait any more",
                code="scheduled_unknown",
                where=str(number),
            )
        return entry


@contextmanager
def ahead(patch: Patch, entries: Iterable[Entry]) -> Iterator[None]:
    """Meanwhile the patch is as it will be when these hold, in their order."""
    changes: list[Change] = []
    try:
        for entry in entries:
            if entry.change is not None:
                changes.append(entry.change)
                entry.change.redo()
            elif entry.structural:
                try:
                    changes.append(patch.apply(entry.edits))
                except PatchError:
                    continue  # it is dropped when its time comes
        yield
    finally:
        for change in reversed(changes):
            change.revert()


def check(patch: Patch, entry: Entry, before: Sequence[Entry]) -> None:
    """Whether a new entry can be done after those before it; PatchError, if not."""
    with ahead(patch, before if any(one.structural for one in before) else ()):
        entry.structural = patch.structural(entry.edits)
        (patch.apply if entry.structural else patch.check)(entry.edits).revert()
