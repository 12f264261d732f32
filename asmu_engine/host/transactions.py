"""Transactions: checked against the patch, taken by the audio process, then kept, or taken back as if never sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asmu_engine.host.access import check_there
from asmu_engine.host.arming import Arming, Done
from asmu_engine.host.audio import Audio
from asmu_engine.host.change import Change
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.effects import Effects, as_ours, check_revision
from asmu_engine.host.events import Events
from asmu_engine.host.history import History
from asmu_engine.host.lane import Lane
from asmu_engine.host.loop import Loop
from asmu_engine.host.once import Once
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.host.schedule import Schedule
from asmu_engine.host.together import Together, Work
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AccessError, AsmuError
from asmu_engine.protocol.messages import Cancel, Transaction, Undo
from asmu_engine.protocol.request import allows


@dataclass(frozen=True)
class Made:
    """A transaction that was made in its turn: `undoes` the revision that it takes back, `more` stands in its answer too."""

    edits: Sequence[Edit]
    undoes: int = 0
    more: dict[str, Any] | None = None


class Transactions:
    """Leads every transaction through its steps.

    Parameters
    ----------
    on_drop
        Called with the name of each ring before it is removed.
    """

    def __init__(
        self,
        *,
        loop: Loop,
        patch: Patch,
        rings: Rings,
        lane: Lane,
        audio: Audio,
        events: Events,
        owners: Owners,
        history: History,
        on_drop: Callable[[str], None],
    ) -> None:
        self.schedule = Schedule()
        self._patch = patch
        self._rings = rings
        self._lane = lane
        self._audio = audio
        self._owners = owners
        self._once = Once()
        self._effects = Effects(patch=patch, rings=rings, events=events, owners=owners, history=history, on_drop=on_drop)
        self._arming = Arming(
            loop=loop,
            schedule=self.schedule,
            patch=patch,
            rings=rings,
            lane=lane,
            audio=audio,
            events=events,
            owners=owners,
            effects=self._effects,
        )
        lane.together = Together(
            patch=patch,
            rings=rings,
            audio=audio,
            owners=owners,
            effects=self._effects,
            in_the_way=lambda edits: self._arming.in_the_way(edits, structural=True),
            one=lambda work, done: self._begin(work, None, done),
        ).begin

    def submit(
        self,
        request: Transaction | Undo,
        client: Client,
        size: int,
        answer: Answer,
        make: Callable[[], Made] | None = None,
    ) -> None:
        """Do the transaction in its turn; `answer` gets revision, position and the names of new rings, or its number if it waits.

        `make`: asked in that turn for the edits, where the request itself has none.
        """
        if request.key is not None:
            once = self._once.begin(request.key, request, answer)
            if once is None:
                return
            answer = once
        edits = request.edits if isinstance(request, Transaction) else ()
        work = Work(request, client, size, answer, edits)
        work.keep = request.keep
        if isinstance(request, Transaction):
            work.at = request.at
        try:
            self._lane.submit(
                lambda done: self._begin(work, make, done),
                alone=lambda: make is not None or self._alone(work),
                size=size,
                joins=work if work.plain else None,
            )
        except AsmuError as error:
            answer(None, error)

    def cancel(self, request: Cancel, client: Client, answer: Answer) -> None:
        """A transaction that waits is not done; `answer` gets what it was.

        Raises
        ------
        PatchError
            ``scheduled_unknown``: it does not wait any more.
        AccessError
            ``not_allowed``: it is another client's.
        """

        def take_back(done: Done) -> None:
            try:
                entry = self.schedule.waiting(request.scheduled)
                self._arming.cancelled(entry)
                answer(entry.facts(), None)
            except AsmuError as error:  # it took effect while it was had back
                answer(None, error)
            self._arming.arm(done)

        def start(done: Done) -> None:
            try:
                entry = self.schedule.waiting(request.scheduled)
                if entry.client.id != client.id and not allows(client.role, "admin"):
                    raise AccessError(
                        f"scheduled transaction {entry.number} is that of {entry.client.label} ({entry.client.id}); that client "
                        "or an admin can cancel it",
                        code="not_allowed",
                        where=str(entry.number),
                    )
            except AsmuError as error:
                answer(None, error)
                done()
                return
            if entry.armed:
                self._arming.make_way(lambda: take_back(done))
            else:
                take_back(done)

        self._lane.submit(start, alone=lambda: True)

    def withdraw(self, identifier: str) -> None:
        """The client of that id left: what it has scheduled is not done, but for what is to be kept."""

        def start(done: Done) -> None:
            entries = [one for one in self.schedule.entries if one.client.id == identifier and not one.keep]

            def take_back() -> None:
                for entry in entries:
                    if self.schedule.find(entry.number) is entry:
                        self._arming.cancelled(entry)
                self._arming.arm(done)

            if any(entry.armed for entry in entries):
                self._arming.make_way(take_back)
            else:
                take_back()

        if any(one.client.id == identifier and not one.keep for one in self.schedule.entries):
            self._lane.submit(start, alone=lambda: True, ours=True)

    def by_itself(self, work: Callable[[Done], None]) -> None:
        """Do something in its turn while the audio process has nothing for frames to come, which it is given anew afterwards."""

        def begin(done: Done) -> None:
            self._arming.make_way(lambda: work(lambda: self._arming.arm(done)))

        self._lane.submit(begin, alone=lambda: True)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _alone(self, work: Work) -> bool:
        request = work.request
        if isinstance(request, Transaction) and request.if_revision is not None:
            return True  # the revision is certain when all before it are done
        structural = self._patch.structural(work.edits)
        if self._is_later(work):
            return structural or any(entry.structural for entry in self.schedule.entries)
        return structural or self._arming.in_the_way(work.edits, structural=False)

    def _begin(self, work: Work, make: Callable[[], Made] | None, done: Done) -> None:
        try:
            if make is not None:
                self._make(work, make())
            check_revision(self._patch, work.request)
            if self._is_later(work):
                self._schedule(work, done)
                return
            structural = self._patch.structural(work.edits)
            if self._arming.in_the_way(work.edits, structural=structural):
                # Nothing is withdrawn for what is refused anyway.
                self._owners.check(work.client, work.edits)
                (self._patch.apply if structural else self._patch.check)(work.edits).revert()
                self._arming.make_way(lambda: self._do(work, lambda: self._arming.arm(done)))
                return
        except Exception as error:  # noqa: BLE001 - whatever it was, the lane must go on
            work.answer(None, as_ours(error))
            done()
            return
        self._do(work, done)

    def _make(self, work: Work, made: Made) -> None:
        answer = work.answer
        work.edits, work.undoes = made.edits, made.undoes
        if made.more:
            more = made.more
            work.answer = lambda result, error: answer(None if result is None else {**result, **more}, error)

    def _is_later(self, work: Work) -> bool:
        return work.at is not None and work.at > self._audio.run.position

    def _schedule(self, work: Work, done: Done) -> None:
        assert work.at is not None
        if not work.keep:
            check_there(work.client)
        entry = self.schedule.make(work.at, work.client, work.edits, work.keep, work.size)
        refused = False

        def refuse(error: AsmuError) -> None:
            nonlocal refused
            refused = True
            work.answer(None, error)

        def scheduled() -> None:
            entry.refuse = None
            if not refused:
                work.answer({"revision": self._patch.revision, "at": entry.at, "scheduled": entry.number}, None)
            done()

        self._arming.check(entry)
        entry.refuse = refuse
        self.schedule.add(entry)
        self._arming.arm(scheduled)

    def _do(self, work: Work, done: Done) -> None:
        change: Change | None = None
        made: dict[str, str] = {}

        def finish(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            try:
                if result is None:
                    if change is not None:
                        self._rings.unmake(change)
                        change.revert()
                    work.answer(None, error)
                else:
                    assert change is not None
                    at = int(result.get("at") or 0)
                    late = 0 if work.at is None else max(0, at - work.at)
                    facts = self._effects.hold(
                        work.client, work.edits, change, at=at, late=late, keep=work.keep, rings=made, undoes=work.undoes
                    )
                    work.answer(facts, None)
            except Exception as failure:  # noqa: BLE001 - whatever it was, the client gets an answer
                work.answer(None, as_ours(failure))
            finally:
                done()

        try:
            self._owners.check(work.client, work.edits)
            if self._patch.structural(work.edits):
                change = self._patch.apply(work.edits)
                made = self._rings.make(change, self._patch.nodes)
            else:
                change = self._patch.check(work.edits)
            self._audio.ask({"do": "edit", "edits": change.wire}, finish)
        except Exception as error:  # noqa: BLE001 - whatever it was, the lane must go on
            finish(None, as_ours(error))
