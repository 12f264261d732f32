"""Transactions of an engine inside the caller's process: done between two calls, or at the frame that they wait for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asmu_engine.host.clients import Client
from asmu_engine.host.effects import Effects, check_revision
from asmu_engine.host.history import History
from asmu_engine.host.once import Once
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.host.schedule import Entry, Schedule, ahead, check
from asmu_engine.local import LocalEngine
from asmu_engine.protocol import messages
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AsmuError

Result = dict[str, Any]


class LocalTransactions:
    """As a host does them, for the one client that there is.

    Parameters
    ----------
    claim
        Called before rings are made.
    on_drop
        Called with the name of each ring before it is removed.
    publish
        Takes the events.
    """

    def __init__(
        self,
        *,
        engine: LocalEngine,
        patch: Patch,
        rings: Rings,
        claim: Callable[[], None],
        on_drop: Callable[[str], None],
        publish: Callable[[Result], None],
    ) -> None:
        self.client = Client("c1")
        self.schedule = Schedule()
        self.history = History(patch)
        self._engine = engine
        self._patch = patch
        self._rings = rings
        self._claim = claim
        self._publish = publish
        self._once = Once()
        self._effects = Effects(
            patch=patch, rings=rings, events=_Events(publish), owners=_NoOwners(), history=self.history, on_drop=on_drop
        )

    def submit(self, request: messages.Transaction | messages.Undo) -> Result:
        """Do it, or let it wait for its frame; what a host would answer."""
        if request.key is None:
            return self._submit(request)
        told: list[tuple[Result | None, AsmuError | None]] = []
        once = self._once.begin(request.key, request, lambda result, error: told.append((result, error)))
        if once is not None:
            try:
                once(self._submit(request), None)
            except AsmuError as error:
                once(None, error)
        result, refusal = told[0]
        if result is None:
            assert refusal is not None
            raise refusal
        return result

    def cancel(self, request: messages.Cancel) -> Result:
        """One that waits is not done."""
        entry = self.schedule.waiting(request.scheduled)
        self.schedule.remove(entry, state="cancelled")
        self._tell("cancelled", entry)
        return entry.facts()

    def until(self, frames: int) -> int:
        """Do what waits for the present frame; how many of the next `frames` frames come before anything else does."""
        position = self._engine.runner.position
        while self.schedule.entries and self.schedule.entries[0].at <= position:
            self._take(self.schedule.entries[0])
        return min(frames, self.schedule.entries[0].at - position) if self.schedule.entries else frames

    def used_channels(self, frames: int) -> tuple[list[int], list[int]]:
        """Interface channels (from 1) to which something is connected at any time in the next `frames` frames."""
        inputs, outputs = map(set, self._patch.used_channels())
        end = self._engine.runner.position + frames
        coming = [entry for entry in self.schedule.entries if entry.structural and entry.at < end]
        for number in range(1, len(coming) + 1):
            with ahead(self._patch, coming[:number]):
                more = self._patch.used_channels()
            inputs.update(more[0])
            outputs.update(more[1])
        return sorted(inputs), sorted(outputs)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _submit(self, request: messages.Transaction | messages.Undo) -> Result:
        check_revision(self._patch, request)
        if isinstance(request, messages.Undo):
            edits, calls = self.history.undo(request.revision)
            facts = self._do(edits, undoes=request.revision)
            return {**facts, "not_undone": calls} if calls else facts
        if request.at is None or request.at <= self._engine.runner.position:
            return self._do(request.edits, asked=request.at, keep=request.keep)
        entry = self.schedule.make(request.at, self.client, request.edits, request.keep, 0)
        check(self._patch, entry, self.schedule.before(entry))
        self.schedule.add(entry)
        return {"revision": self._patch.revision, "at": entry.at, "scheduled": entry.number}

    def _take(self, entry: Entry) -> None:
        try:
            facts = self._do(entry.edits, asked=entry.at, keep=entry.keep, scheduled=entry.number)
        except AsmuError as error:
            told = {"code": error.code, "message": error.message, "where": error.where}
            self.schedule.remove(entry, state="dropped", **told)
            self._tell("dropped", entry, **told)
        else:
            self.schedule.remove(entry, state="edited", **facts)

    def _do(self, edits: Sequence[Edit], *, asked: int | None = None, keep: bool = False, undoes: int = 0, **more: Any) -> Result:
        patch = self._patch
        change = patch.apply(edits) if patch.structural(edits) else patch.check(edits)
        try:
            if change.made:
                self._claim()
            made = self._rings.make(change, patch.nodes)
            try:
                at = self._engine.edit(change.wire)
            except BaseException:
                self._rings.unmake(change)
                raise
        except BaseException:
            change.revert()
            raise
        late = 0 if asked is None else at - asked
        return self._effects.hold(self.client, edits, change, at=at, late=late, keep=keep, rings=made, undoes=undoes, **more)

    def _tell(self, what: str, entry: Entry, **more: Any) -> None:
        author = {"author": entry.client.label, "client": entry.client.id}
        self._publish({"topic": "patch", "event": what, "scheduled": entry.number, **author, "at": entry.at, **more})


class _Events:
    def __init__(self, publish: Callable[[Result], None]) -> None:
        self._publish = publish

    def publish(self, topic: str, fields: Result) -> None:
        self._publish({"topic": topic, **fields})


class _NoOwners:
    """Everything belongs to the one client."""

    def kept(self, client: Client, edits: Sequence[Edit], keep: bool) -> None:
        pass
