"""Scheduled transactions on their way to the audio process, which has them a while before their frame.

The audio process is ahead of the patch while it has some: they are armed. What comes before them in effect may have to be built
on the present: then they are withdrawn, and armed again on what has become of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from asmu_engine.host.armed import Armed
from asmu_engine.host.audio import Audio
from asmu_engine.host.change import Change
from asmu_engine.host.effects import Effects, as_ours
from asmu_engine.host.events import Events
from asmu_engine.host.lane import Lane
from asmu_engine.host.loop import Loop
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.host.schedule import Entry, Schedule, ahead, check
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AsmuError, EngineError, from_wire

LOOK_SECONDS: Final = 0.1
"""How often those are looked for whose time comes near."""
GAP_SECONDS: Final = 0.02
"""Armed transactions are not withdrawn when one of them is due so soon: they could be late."""
PATIENCE_SECONDS: Final = 0.25
"""But nobody waits longer than this for such a gap."""
PART_BYTES: Final = 1024 * 1024
"""What goes to the audio process in one message, about."""

Done = Callable[[], None]


class Arming:
    """Keeps the audio process supplied with the transactions that are near, and takes note when they take effect."""

    def __init__(
        self,
        *,
        loop: Loop,
        schedule: Schedule,
        patch: Patch,
        rings: Rings,
        lane: Lane,
        audio: Audio,
        events: Events,
        owners: Owners,
        effects: Effects,
    ) -> None:
        self._loop = loop
        self._schedule = schedule
        self._patch = patch
        self._rings = rings
        self._lane = lane
        self._audio = audio
        self._events = events
        self._owners = owners
        self._effects = effects
        self._armed = Armed()
        self._starting: list[Entry] = []
        self._looking = False
        self._held = False  # an unpaced device waits for an `arm`
        audio.run.commands.ahead = self
        loop.every(LOOK_SECONDS, self.look)

    # -- before other transactions --------------------------------------------------------------------------------

    def in_the_way(self, edits: Sequence[Edit], *, structural: bool) -> bool:
        """Whether what is armed must be withdrawn before these edits can be done now."""
        return self._armed.block(edits, structural=structural)

    def make_way(self, then: Done) -> None:
        """Withdraw what is armed, then call; `arm` must follow. In a turn of the lane, alone."""
        deadline = time.monotonic() + PATIENCE_SECONDS

        def withdrawn(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if error is None:
                self._disarm()
                self._held = True
            then()

        def attempt() -> None:
            if not self._armed.entries:
                then()
                return
            left = self._audio.run.seconds_until(self._armed.entries[0].at)
            if left is not None and left < GAP_SECONDS and time.monotonic() < deadline:
                self._loop.later(max(left, 0.0) + 0.001, attempt)
                return
            try:
                self._audio.ask({"do": "withdraw"}, withdrawn)
            except AsmuError:
                then()  # there is no process that has any of them

        attempt()

    # -- towards the audio process --------------------------------------------------------------------------------

    def check(self, entry: Entry) -> None:
        """Whether a new entry can be done after those before it; raises what would refuse it."""
        self._owners.check(entry.client, entry.edits)
        check(self._patch, entry, self._schedule.before(entry))

    def look(self) -> None:
        """Arm what has come near, in its turn."""
        horizon = self._audio.run.horizon()
        if self._looking or horizon is None or not (self._held or self._schedule.due(horizon)):
            return

        def start(done: Done) -> None:
            self._looking = False
            self.arm(done)

        self._looking = True
        try:
            self._lane.submit(start, alone=lambda: True)
        except EngineError:
            self._looking = False  # the lane is full; the next look comes soon

    def arm(self, done: Done) -> None:
        """Hand over what is near and not armed yet, then call. In a turn of the lane, alone where structure is concerned."""
        horizon = self._audio.run.horizon()
        due = [] if horizon is None else self._schedule.due(horizon)
        if horizon is None or not (due or self._held):
            done()
        elif any(self._armed.overtaken_by(entry) for entry in due):
            self.make_way(lambda: self.arm(done))
        else:
            part = _part(due)
            self._send(part, whole=len(part) == len(due), done=done)

    def drop(self, entry: Entry, error: AsmuError) -> None:
        """It cannot be done, or not any more."""
        told = {"code": error.code, "message": error.message, "where": error.where}
        if self._schedule.find(entry.number) is entry:
            self._schedule.remove(entry, state="dropped", **told)
        if entry.refuse is not None:
            entry.refuse(error)
        else:
            self._publish("dropped", entry, **told)

    def cancelled(self, entry: Entry) -> None:
        """It was taken back while the audio process did not have it."""
        self._schedule.remove(entry, state="cancelled")
        self._publish("cancelled", entry)

    # -- what the audio process's supervisor calls ----------------------------------------------------------------

    def before_start(self, horizon: float) -> dict[str, Any]:
        """What a device that starts must have before its first frame, for the request that starts it."""
        self._disarm()
        due = self._schedule.due(horizon)
        part = _part(due)
        if part and part[0].suspect:
            part = []
        self._starting, wire = self._prepare(part)
        self._held = len(part) < len(due)
        return {"armed": wire, "hold": self._held} if due else {}

    def after_start(self, result: dict[str, Any] | None) -> None:
        """The answer to that request, from which is taken what it says of this; None: it failed."""
        sent, self._starting = self._starting, []
        if result is None:
            self._unprepare_all(sent)
            self._held = False
            if not self._audio.up:
                for entry in sent:
                    entry.suspect = True
            return
        told: dict[str, Any] = {key: result.pop(key) for key in ("armed", "error") if key in result}
        if sent:
            self._held = self._held or "error" in told  # the next `arm` lets it go on
            self._answered(sent, told)

    def taken(self, number: int, at: int) -> None:
        """One took effect at a frame position."""
        entry = self._schedule.find(number)
        if entry is None or entry.change is None:
            return
        change, rings = entry.change, entry.rings
        self._armed.remove(entry)
        late = max(0, at - entry.at)
        outcome = {"state": "edited", "revision": self._patch.revision + 1, "at": at, "late": late}
        self._schedule.remove(entry, **outcome, **({"rings": rings} if rings else {}))
        self._effects.hold(
            entry.client, entry.edits, change, at=at, late=late, keep=entry.keep, rings=rings, scheduled=entry.number
        )

    def stopped(self) -> None:
        """The device stands still, and with it the audio process gave back what it had."""
        self._disarm()
        self._held = False

    def down(self, position: int) -> None:
        """The audio process died at a frame position: what was due before that was done, the others wait for the next."""
        for entry in [entry for entry in self._armed.entries if entry.at < position]:
            self.taken(entry.number, entry.at)
        self._disarm()
        self._held = False

    # -- steps ----------------------------------------------------------------------------------------------------

    def _send(self, part: list[Entry], *, whole: bool, done: Done) -> None:
        prepared, wire = self._prepare(part)

        def armed(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None and not self._audio.up:
                self._unprepare_all(prepared)  # that process does nothing of it; the next one gets them
                self._suspect(prepared)
                done()
                return
            if result is None:
                assert error is not None
                result = {"armed": 0, "error": error.to_wire()}  # such as one that no pipe takes
            running = result.get("running", True)
            if not running or (whole and "error" not in result):
                self._held = False
            self._answered(prepared, result)
            if running:
                self.arm(done)
            else:
                done()

        try:
            self._audio.ask({"do": "arm", "armed": wire, "release": whole}, armed)
        except AsmuError as error:
            armed(None, error)

    def _suspect(self, sent: list[Entry]) -> None:
        """The process died over one of these. They are tried one by one; one over which it dies alone is not tried again."""
        if len(sent) == 1 and sent[0].suspect:
            message = "the audio process died over this transaction, twice; it is not tried again"
            self.drop(sent[0], EngineError(message, code="engine_failed", where="audio"))
        for entry in sent:
            entry.suspect = True

    def _prepare(self, part: list[Entry]) -> tuple[list[Entry], list[dict[str, Any]]]:
        """Changes and rings of entries, as if those before them held, and what the audio process gets of them.

        Those that cannot be done are dropped.
        """
        prepared: list[Entry] = []
        wire: list[dict[str, Any]] = []
        structural = any(entry.structural for entry in part)
        with ahead(self._patch, self._armed.entries if structural or self._armed.structural else ()):
            for entry in part:
                change: Change | None = None
                try:
                    self._owners.check(entry.client, entry.edits)
                    change = self._patch.apply(entry.edits) if structural else self._patch.check(entry.edits)
                    entry.rings = self._rings.make(change, self._patch.nodes)
                except Exception as error:  # noqa: BLE001 - whatever it was, the others and the lane must go on
                    if change is not None:
                        change.revert()
                    self.drop(entry, as_ours(error))
                else:
                    entry.change = change
                    prepared.append(entry)
                    wire.append({"tag": entry.number, "at": entry.at, "edits": change.wire})
            for entry in reversed(prepared):
                assert entry.change is not None
                entry.change.revert()
        for entry in prepared:
            self._armed.add(entry)
        return prepared, wire

    def _answered(self, sent: list[Entry], result: dict[str, Any]) -> None:
        """So many of them are armed; the next one was refused, where there is an error."""
        rest = sent[int(result.get("armed", 0)) :]
        self._unprepare_all(rest)
        if rest and "error" in result:
            self.drop(rest[0], from_wire(result["error"]))

    def _disarm(self) -> None:
        self._unprepare_all(list(self._armed.entries))

    def _unprepare_all(self, entries: list[Entry]) -> None:
        for entry in reversed(entries):
            if entry.change is not None:
                self._rings.unmake(entry.change)
                self._armed.remove(entry)

    def _publish(self, what: str, entry: Entry, **more: Any) -> None:
        author = {"author": entry.client.label, "client": entry.client.id}
        self._events.publish("patch", {"event": what, "scheduled": entry.number, **author, "at": entry.at, **more})


def _part(entries: list[Entry]) -> list[Entry]:
    """The first of them, about as many as one message takes; one at least, and a suspect by itself."""
    size = 0
    for index, entry in enumerate(entries):
        size += entry.size
        if index and (size > PART_BYTES or entry.suspect or entries[0].suspect):
            return entries[:index]
    return entries
