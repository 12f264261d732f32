"""Transactions that wait one behind another, of which each would run alone, done in one message to the audio process.

What a change of structure takes there is the making of a schedule, whatever it is that changes: ten that have come while another
was being built take as long as one. To their clients nothing else is different: each is checked on what those before it have made
of the patch, refused by itself, and has its own revision, event, and place in the history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from asmu_engine.host.audio import Audio
from asmu_engine.host.change import Change
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.effects import Effects, as_ours
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.protocol.edits import Call, Edit, Resize, Set
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.messages import Transaction, Undo

Done = Callable[[], None]


@dataclass
class Work:
    """A transaction on its way: `edits` as they are to be done, `at` the frame position that it asks for."""

    request: Transaction | Undo
    client: Client
    size: int
    answer: Answer
    edits: Sequence[Edit]
    at: int | None = None
    keep: bool = False
    undoes: int = 0

    @property
    def plain(self) -> bool:
        """Whether it may be done together with others: now, on whatever the patch is in its turn."""
        return isinstance(self.request, Transaction) and self.at is None and self.request.if_revision is None


@dataclass
class _Tried:
    """A transaction with what it does to the patch, or why it is refused; which is said in its turn, as all answers are."""

    work: Work
    change: Change | None = None
    rings: dict[str, str] = field(default_factory=dict)
    error: AsmuError | None = None


class Together:
    """Does several plain transactions as one, in a turn of the lane, alone.

    Parameters
    ----------
    in_the_way
        Whether what waits for its frame must be withdrawn before such edits.
    one
        Does one transaction by itself.
    """

    def __init__(
        self,
        *,
        patch: Patch,
        rings: Rings,
        audio: Audio,
        owners: Owners,
        effects: Effects,
        in_the_way: Callable[[Sequence[Edit]], bool],
        one: Callable[[Work, Done], None],
    ) -> None:
        self._patch = patch
        self._rings = rings
        self._audio = audio
        self._owners = owners
        self._effects = effects
        self._in_the_way = in_the_way
        self._one = one

    def begin(self, works: Sequence[Work], done: Done) -> None:
        """Do them in their order, then call."""
        if _entangled(works) or self._in_the_way([edit for work in works for edit in work.edits]):
            self._one_by_one(works, done)
            return
        tried = [self._try(work) for work in works]
        wire = [edit for one in tried if one.change is not None for edit in one.change.wire]
        if not wire:
            self._answer(tried, 0)
            done()
            return

        def finish(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is not None:
                self._answer(tried, int(result.get("at") or 0))
                done()
                return
            for one in reversed(tried):
                if one.change is not None:
                    self._rings.unmake(one.change)
                    one.change.revert()
                    one.change, one.error = None, error
            if self._audio.up:  # something was wrong with one of them; what the others are worth without it is to be seen
                self._one_by_one(works, done)
                return
            self._answer(tried, 0)
            done()

        try:
            self._audio.ask({"do": "edit", "edits": wire}, finish)
        except AsmuError as error:
            finish(None, error)

    def _try(self, work: Work) -> _Tried:
        """Check it, and do it to the patch."""
        change: Change | None = None
        try:
            self._owners.check(work.client, work.edits)
            change = self._patch.apply(work.edits)
            return _Tried(work, change, self._rings.make(change, self._patch.nodes))
        except Exception as error:  # noqa: BLE001 - whatever it was, the others and the lane must go on
            if change is not None:
                change.revert()
            return _Tried(work, error=as_ours(error))

    def _answer(self, tried: Sequence[_Tried], at: int) -> None:
        for one in tried:
            work = one.work
            if one.change is None:
                work.answer(None, one.error)
                continue
            try:
                facts = self._effects.hold(
                    work.client, work.edits, one.change, at=at, late=0, keep=work.keep, rings=one.rings, undoes=work.undoes
                )
                work.answer(facts, None)
            except Exception as failure:  # noqa: BLE001 - whatever it was, the client gets an answer
                work.answer(None, as_ours(failure))

    def _one_by_one(self, works: Sequence[Work], done: Done) -> None:
        if works:
            self._one(works[0], lambda: self._one_by_one(works[1:], done))
        else:
            done()


def _entangled(works: Sequence[Work]) -> bool:
    """Whether one resizes or calls a node that another resizes, calls or sets.

    Within one transaction values are set before calls are made, and a node gets its new core before both: so these would not do
    one after the other what they would have done by themselves.
    """
    fragile = {edit.node for work in works for edit in work.edits if isinstance(edit, Resize | Call)}
    if not fragile:
        return False
    touched = Counter[str]()
    for work in works:
        touched.update({edit.node for edit in work.edits if isinstance(edit, Resize | Call | Set)} & fragile)
    return any(count > 1 for count in touched.values())
