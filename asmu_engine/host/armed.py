"""The scheduled transactions that the audio process has, and what they are in the way of."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Sequence

from asmu_engine.host.schedule import Entry
from asmu_engine.protocol.edits import Call, Edit, Remove, Resize, Set


class Armed:
    """Entries with their changes, in the order of effect.

    Attributes
    ----------
    entries
        All of them.
    structural
        How many of them change structure.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.structural = 0
        self._replaced: Counter[str] = Counter()  # nodes that are gone, or another core's, from some of them on
        self._valued: Counter[str] = Counter()  # nodes that some of them change values of, or call

    def add(self, entry: Entry) -> None:
        """It has a change, and the audio process gets it."""
        assert entry.change is not None
        insort(self.entries, entry, key=lambda one: one.order)
        self.structural += entry.structural
        self._replaced.update(_replaced(entry.edits))
        self._valued.update(_valued(entry.edits))

    def remove(self, entry: Entry) -> None:
        """The audio process does not have it any more; its change is forgotten."""
        entry.change, entry.rings = None, {}
        self.entries.remove(entry)
        self.structural -= entry.structural
        for count, nodes in ((self._replaced, _replaced(entry.edits)), (self._valued, _valued(entry.edits))):
            for node in nodes:
                count[node] -= 1
                if not count[node]:
                    del count[node]

    def block(self, edits: Sequence[Edit], *, structural: bool) -> bool:
        """Whether these edits cannot be done now, before them: one side would change cores that are the other's."""
        if structural:
            # Values too: should it be refused by the audio process, the patch is put back to what it was before.
            return bool(self.structural) or not self._valued.keys().isdisjoint(_replaced(edits) | _valued(edits))
        return bool(self._replaced) and not self._replaced.keys().isdisjoint(_valued(edits))

    def overtaken_by(self, entry: Entry) -> bool:
        """Whether one that is not among them comes before one that was not built on it, but would have to be."""
        if not self.entries or self.entries[-1].order < entry.order:
            return False
        if not (entry.structural or self._replaced):
            return False
        later = [one for one in self.entries if one.order > entry.order]
        replaced, valued = _replaced(entry.edits), _valued(entry.edits)
        return any(
            (one.structural and entry.structural)
            or not replaced.isdisjoint(_valued(one.edits))
            or not valued.isdisjoint(_replaced(one.edits))
            for one in later
        )


def _valued(edits: Sequence[Edit]) -> set[str]:
    """The nodes whose values edits change, or that they call."""
    return {edit.node for edit in edits if isinstance(edit, Set | Call)}


def _replaced(edits: Sequence[Edit]) -> set[str]:
    """The nodes whose cores are others after edits, or gone."""
    return {edit.node for edit in edits if isinstance(edit, Remove | Resize)}
