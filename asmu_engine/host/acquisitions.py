"""What the disk process is told of recordings into folders: where their frames come from, and what happens meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asmu_engine.host.entries import Moments, entry_of
from asmu_engine.host.job import Job
from asmu_engine.host.jobs import Jobs
from asmu_engine.host.loop import Loop
from asmu_engine.host.node import Node
from asmu_engine.host.source import acquire_command
from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.errors import AsmuError, EngineError
from asmu_engine.protocol.messages import Acquire
from asmu_engine.protocol.topic import Topic
from asmu_engine.recording.ledger import Clock, Entry, Event

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""Entries for one ledger that wait for its disk; of what comes beyond that, the ledger says how many there were."""

MAX_SENT: Final = 500
"""Entries in one message."""

FLUSH_SECONDS: Final = 0.05
AGAIN_SECONDS: Final = 0.2
"""So long after the death of a disk process its successor is told what it had not acknowledged."""

EDITED_SECONDS: Final = 1.0
"""Transactions are noted at most so often: a slider makes many."""


@dataclass
class _Notes:
    """What one ledger is still to be told: messages `under_way`, then those `waiting`, and how many were `lost`."""

    under_way: int = 0
    waiting: list[Entry] = field(default_factory=list)
    lost: int = 0
    due: bool = False
    clocked: int | None = None
    """Frame position of the last fit that was noted."""


class Acquisitions:
    """Notes events and clock fits in the ledger of every open recording into a folder, and each of them once.

    What a disk process did not acknowledge before it died is told to its successor. So an entry may come twice, in the worst
    case, with the same ``noted_ns``; the second is to be passed over.

    Parameters
    ----------
    source
        The facts of a manifest's `Source` for a node, see `asmu_engine.host.source`.
    fit
        The newest fit of the clocks, None before there is one.
    samplerate
        Nominal, Hz.

    Attributes
    ----------
    axis_uncertainty
        By how many frames the axis may be off against that of the engine which this one goes on with; frames.
    when_kept
        Calls what it gets when an engine that takes over from this one, should it die, would know which recordings are open.
    """

    def __init__(
        self,
        loop: Loop,
        jobs: Jobs,
        source: Callable[[str], dict[str, Any]],
        fit: Callable[[], ClockFit | None],
        samplerate: float,
    ) -> None:
        self.axis_uncertainty = 0
        self.when_kept: Callable[[Callable[[], None]], None] = lambda then: then()
        self._loop = loop
        self._jobs = jobs
        self._source = source
        self._fit = fit
        self._samplerate = samplerate
        self._moments = Moments()
        self._notes: dict[int, _Notes] = {}
        self._edited: dict[str, Any] | None = None
        self._edited_due = False
        jobs.resuming = self._resuming
        jobs.stopping = self._stopping

    def command(self, request: Acquire, folder: str, settings: AcquisitionSettings, node: Node) -> dict[str, Any]:
        """What the disk process is told to begin with; see `acquire_command`."""
        source = self._source(node.name)
        clock = self._clock()
        return acquire_command(request, folder, settings, node, source=source, clock=clock, gap_uncertainty=self.axis_uncertainty)

    def happened(self, topic: Topic, fields: dict[str, Any]) -> None:
        """An event; see `Events.observe`."""
        jobs = self._open()
        if not jobs:
            return
        if fields.get("event") == "edited":
            self._note_edited(fields)
            return
        self._note_all(entry_of(topic, fields, self._moments.next()))

    def fitted(self, fit: ClockFit, step_ns: int) -> None:
        """The clocks were fitted anew: noted as often as each recording wants it, and at once where UTC was set."""
        for job in self._open():
            notes = self._notes.setdefault(job.job, _Notes())
            seconds = float(job.command["settings"]["clock_seconds"])
            if step_ns or notes.clocked is None or abs(fit.position - notes.clocked) >= seconds * self._samplerate:
                notes.clocked = fit.position
                self._note(job, Clock(noted_ns=self._moments.next(), fit=fit, step_ns=step_ns))

    # -- steps ----------------------------------------------------------------------------------------------------

    def _clock(self) -> dict[str, Any] | None:
        fit = self._fit()
        return None if fit is None else fit.model_dump(mode="json")

    def _resuming(self, job: Job) -> dict[str, Any]:
        """A new disk process goes on with a job."""
        return {"why": "disk", "clock": self._clock()} if job.kind == "acquire" else {}

    def _stopping(self, job: Job) -> None:
        """What is still to be noted comes before the end."""
        notes = self._notes.get(job.job)
        while notes is not None and notes.waiting and self._send(job, notes):
            pass

    def _open(self) -> list[Job]:
        jobs = [job for job in self._jobs.open() if job.kind == "acquire"]
        if len(self._notes) > len(jobs):
            there = {job.job for job in jobs}
            self._notes = {number: notes for number, notes in self._notes.items() if number in there}
        return jobs

    def _note_edited(self, fields: dict[str, Any]) -> None:
        """The last of those that come within a second."""
        self._edited = fields
        if not self._edited_due:
            self._edited_due = True
            self._loop.later(EDITED_SECONDS, self._tell_edited)

    def _tell_edited(self) -> None:
        self._edited_due = False
        if self._edited is not None:
            fields, self._edited = self._edited, None
            self._note_all(entry_of("patch", fields, self._moments.next()))

    def _note_all(self, entry: Entry | None) -> None:
        if entry is not None:
            for job in self._open():
                self._note(job, entry)

    def _note(self, job: Job, entry: Entry) -> None:
        notes = self._notes.setdefault(job.job, _Notes())
        if len(notes.waiting) >= MAX_WAITING:
            notes.lost += 1
        else:
            notes.waiting.append(entry)
        self._flush_later(job, notes, FLUSH_SECONDS)

    def _flush_later(self, job: Job, notes: _Notes, seconds: float) -> None:
        if not notes.due and not notes.under_way:
            notes.due = True
            self._loop.later(seconds, lambda: self._flush(job, notes))

    def _flush(self, job: Job, notes: _Notes) -> None:
        notes.due = False
        if job.state == "starting":
            self._flush_later(job, notes, AGAIN_SECONDS)
        elif job.open and notes.waiting:
            self._send(job, notes)

    def _send(self, job: Job, notes: _Notes) -> bool:
        """One message; False where there is nobody to take it."""
        sent, notes.waiting = notes.waiting[:MAX_SENT], notes.waiting[MAX_SENT:]
        if notes.lost and not notes.waiting:
            lost, notes.lost = notes.lost, 0
            text = f"{lost} entries were too many for a disk so slow"
            sent.append(Event(noted_ns=self._moments.next(), what="entries_lost", text=text, facts={"entries": lost}))

        def told(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            notes.under_way -= 1
            if error is not None and error.code == "engine_failed":
                notes.waiting = sorted(sent + notes.waiting, key=lambda entry: entry.noted_ns)
            elif error is not None:
                _log.error("%d entries are missing in the ledger of %s: %s", len(sent), job.path, error)
            if notes.waiting:
                self._flush_later(job, notes, AGAIN_SECONDS if error else 0.0)

        notes.under_way += 1
        try:
            self._jobs.tell(job, {"do": "note", "entries": [entry.model_dump(mode="json") for entry in sent]}, told)
        except EngineError as error:
            told(None, error)
            return False
        return True
