"""The last transactions: who, when, what they did, and what takes each of them back."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgpack
from pydantic import TypeAdapter

from asmu_engine.host.clients import Client
from asmu_engine.host.past import Past, WireEdit
from asmu_engine.host.patch import Patch
from asmu_engine.host.undoing import check_undo, touches
from asmu_engine.host.values import shown_values
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.codec import PACK_BYTES
from asmu_engine.protocol.edits import Add, Edit, Remove
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_HISTORY

MAX_BYTES: Final = 64 * 1024 * 1024
"""What the edits of all transactions may take together, arrays included; beyond that the oldest of the large ones lose theirs."""

LARGE_BYTES: Final = MAX_BYTES // MAX_HISTORY
"""A transaction of more is a large one; the others fit, however many there are."""

ANSWER_BYTES: Final = 4 * 1024 * 1024
"""What the edits in one answer may take."""

_REFERENCE: Final = 1
_EDITS: TypeAdapter[list[Edit]] = TypeAdapter(list[Edit])

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """One transaction.

    `done` and `back` are its edits and what takes them back, packed, of which `arrays` holds the arrays; None where that takes
    too much memory. `undoes`: the revision that it took back, or 0.
    """

    revision: int
    author: str
    client: str
    utc: float
    at: int
    late: int
    count: int
    undoable: bool
    undoes: int = 0
    done: bytes | None = None
    back: bytes | None = None
    arrays: tuple[Array, ...] = ()
    size: int = 0

    def facts(self) -> dict[str, Any]:
        """What the answer to a request for the history says of it."""
        return {
            "revision": self.revision,
            "author": self.author,
            "client": self.client,
            "utc": self.utc,
            "at": self.at,
            "late": self.late,
            "edits": self.count,
            "undoable": self.undoable,
            "undoes": self.undoes or None,
        }

    def unpacked(self) -> tuple[list[WireEdit], list[WireEdit]] | None:
        """Its edits and what takes them back, in the order in which to do them; None where they were too large to be kept."""
        if self.done is None or self.back is None:
            return None
        return unpack_edits(self.done, self.arrays), unpack_edits(self.back, self.arrays)


class Journal(Protocol):
    """Where every transaction is written down as well."""

    def transaction(self, entry: Entry) -> None:
        """One that holds."""


def unpack_edits(data: bytes, arrays: Sequence[Array]) -> list[WireEdit]:
    """Edits from their packed form, with the arrays that it refers to."""
    edits: list[WireEdit] = msgpack.unpackb(data, ext_hook=lambda code, index: arrays[int.from_bytes(index, "little")])
    return edits


class History:
    """What was done to the patch, in the order of effect; of the last 1000 transactions each can be looked at and undone.

    Parameters
    ----------
    patch
        The patch that the transactions are of.
    journal
        Gets every transaction too; None for nobody.
    """

    def __init__(self, patch: Patch, journal: Journal | None = None) -> None:
        self._patch = patch
        self._journal = journal
        self._past = Past(patch)
        self._entries: deque[Entry] = deque()
        self._born: dict[str, int] = {}  # of each node that is there, the revision that added it
        self._large: deque[Entry] = deque()
        self._size = 0

    def kept(
        self,
        client: Client,
        revision: int,
        at: int,
        edits: Sequence[Edit],
        *,
        late: int = 0,
        undoes: int = 0,
    ) -> None:
        """A transaction holds from frame position `at`, `late` frames after the one that it was for. To be told in that order.

        `undoes`: the revision that it takes back.
        """
        entry = Entry(revision, client.label, client.id, time.time(), at, late, len(edits), False, undoes)
        try:
            self._pack(entry, edits, self._past.follow(edits))
        except Exception:  # noqa: BLE001 - what holds is answered as such, whatever becomes of its history
            _log.exception("revision %d cannot be undone: the history lost the thread and takes it up from the patch", revision)
            self._past.align()
        if self._journal is not None:
            self._journal.transaction(entry)
        for edit in edits:
            if isinstance(edit, Add):
                self._born[edit.node] = revision
            elif isinstance(edit, Remove):
                self._born.pop(edit.node, None)
        self._entries.append(entry)
        self._size += entry.size
        if entry.size > LARGE_BYTES:
            self._large.append(entry)
        while len(self._entries) > MAX_HISTORY:
            self._forget(self._entries.popleft())
        while self._size > MAX_BYTES and self._large:
            self._forget(self._large[0])

    def entries(self, since: int = 0, limit: int = MAX_HISTORY, *, edits: bool = False) -> dict[str, Any]:
        """The answer to a request for the history: at most `limit` transactions of revisions after `since`, the newest last.

        With `edits`: ``done`` and ``back`` of each, of large arrays type and shape only; where all of them are too much for
        one answer, null for the oldest.
        """
        chosen: list[dict[str, Any]] = []
        room = ANSWER_BYTES
        for entry in reversed(self._entries):
            if entry.revision <= since or len(chosen) == limit:
                break
            facts = entry.facts()
            if edits:
                room -= len(entry.done or b"") + len(entry.back or b"") + sum(min(len(a.data), 4096) for a in entry.arrays)
                both = entry.unpacked() if room > 0 else None
                facts["done"], facts["back"] = map(_shown, both) if both else (None, None)
            chosen.append(facts)
        return {"entries": chosen[::-1]}

    def undo(self, revision: int) -> tuple[list[Edit], list[dict[str, Any]]]:
        """The edits that take a transaction back as things are now, and those of its edits that cannot be taken back: calls.

        Raises
        ------
        PatchError
            ``not_undoable``: no such transaction, too old or too large to be kept, nothing but calls, or later ones stand in the
            way: then they are named.
        """
        entry = next((entry for entry in reversed(self._entries) if entry.revision == revision), None)
        if entry is None:
            there = f"{self._entries[0].revision} to {self._entries[-1].revision}" if self._entries else "none"
            raise _not_undoable(revision, f"the history has no such transaction; the revisions in it: {there}")
        both = entry.unpacked()
        if both is None:
            raise _not_undoable(revision, "its edits took too much memory to be kept")
        done, back = both
        if not back:
            raise _not_undoable(revision, "it made only calls, which nothing takes back")
        edits = _EDITS.validate_python(back)
        try:
            check_undo(self._past.nodes, done, back, lambda node, part: self._blame(revision, node, part))
            self._check_same_nodes(revision, done)
            self._patch.apply(edits).revert()
        except PatchError as error:
            raise _not_undoable(revision, self._undone_by(revision) or error.message) from None
        return edits, [edit for edit in done if edit["op"] == "call"]

    def _check_same_nodes(self, revision: int, done: Sequence[WireEdit]) -> None:
        """What would go must be what that transaction made, not a later node of the same name."""
        for edit in done:
            born = self._born.get(edit["node"], revision) if edit["op"] == "add" else revision
            if born != revision:
                raise PatchError(
                    f"{edit['node']} is another node since, added by revision {born}", code="not_undoable", where=edit["node"]
                )

    def _undone_by(self, revision: int) -> str:
        undone: set[int] = set()
        for entry in reversed(self._entries):
            if entry.undoes and entry.revision not in undone:
                undone.add(entry.undoes)
                if entry.undoes == revision:
                    return f"revision {entry.revision} of {entry.author} has undone it already"
        return ""

    def _blame(self, revision: int, node: str, part: str) -> str:
        room = ANSWER_BYTES  # to read through all that the history may hold would hold up everybody
        for entry in reversed(self._entries):
            room -= len(entry.done or b"") + len(entry.back or b"")
            if entry.revision <= revision or room < 0:
                break
            both = entry.unpacked()
            if both is not None and any(touches(edit, node, part) for edit in both[0]):
                return f"revision {entry.revision} of {entry.author} did that, undo that first"
        return ""

    def _pack(self, entry: Entry, edits: Sequence[Edit], back: list[WireEdit]) -> None:
        arrays: list[Array] = []

        def reference(value: object) -> msgpack.ExtType:
            if not isinstance(value, Array):
                raise TypeError(f"a {type(value).__name__} in an edit")
            arrays.append(value)
            return msgpack.ExtType(_REFERENCE, (len(arrays) - 1).to_bytes(4, "little"))

        # An edit's fields as they stand on the wire; model_dump would copy all that is in them.
        entry.done = msgpack.packb([edit.__dict__ for edit in edits], default=reference, buf_size=PACK_BYTES)
        entry.back = msgpack.packb(back, default=reference, buf_size=PACK_BYTES)
        entry.arrays = tuple(arrays)
        entry.size = len(entry.done) + len(entry.back) + sum(len(array.data) for array in arrays)
        entry.undoable = bool(back)

    def _forget(self, entry: Entry) -> None:
        """Its edits, not that it was."""
        self._size -= entry.size
        if self._large and self._large[0] is entry:
            self._large.popleft()
        entry.done = entry.back = None
        entry.arrays, entry.size, entry.undoable = (), 0, False


def _shown(edits: list[WireEdit]) -> list[WireEdit]:
    return [{**edit, "parameters": shown_values(edit["parameters"])} if edit.get("parameters") else edit for edit in edits]


def _not_undoable(revision: int, why: str) -> PatchError:
    return PatchError(f"revision {revision} cannot be undone: {why}", code="not_undoable", where=str(revision))
