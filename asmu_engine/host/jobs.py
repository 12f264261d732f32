"""The recordings and players that there are, and the disk process that does them, replaced when it dies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, Final

from asmu_engine.host.child import Answer, Child, describe_exit
from asmu_engine.host.command import python_command
from asmu_engine.host.deaths import Deaths, too_many
from asmu_engine.host.events import Events
from asmu_engine.host.job import Job, JobKind
from asmu_engine.host.jobtable import JobTable
from asmu_engine.host.loop import Loop
from asmu_engine.protocol.errors import AsmuError, DiskError, EngineError

_log = logging.getLogger(__name__)

COMMAND_SECONDS: Final = 30.0
FILES: Final[tuple[JobKind, ...]] = ("record",)
"""Recordings of one file; those into a folder can wait for what they record."""


class Jobs(JobTable):
    """Keeps the jobs going; the disk process is started when the first is wanted.

    `resuming`: what the next process is told, beside its command, of a recording that it goes on with. `stopping`: called right
    before the process is told to end a job.
    """

    def __init__(self, loop: Loop, events: Events) -> None:
        super().__init__()
        self.child: Child | None = None
        self.restarts = 0
        self._loop = loop
        self._events = events
        self._deaths = Deaths()
        self._on_closed: Callable[[], None] | None = None
        self.resuming: Callable[[Job], dict[str, Any]] = lambda job: {}
        self.stopping: Callable[[Job], None] = lambda job: None
        loop.every(1.0, self._watch)

    def begin(
        self,
        kind: JobKind,
        answer: Answer,
        *,
        node: str,
        ring: str,
        client: str,
        command: dict[str, Any],
        client_id: str = "",
        keep: bool = False,
    ) -> None:
        """Start a job on a ring; `answer` gets its number when it runs."""
        if kind == "play":
            for other in self.open():
                if other.kind == "play" and other.ring == ring:
                    raise DiskError(
                        f"{node} is already fed by job {other.job}, from {other.path}; stop that first",
                        code="feed_in_use",
                        where=node,
                        retry=True,
                    )
        child = self._running_child()
        job = Job(next(self._numbers), kind, node, ring, client, command, client_id, keep)

        def begun(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None:
                self._jobs.pop(job.job, None)
                answer(None, error)
                return
            job.progress.update(result)
            if job.state == "starting":  # a short file may have been played to its end by now
                job.state = "running"
            answer(job.facts(), None)

        child.request({"do": kind, "job": job.job, "ring": ring, **command}, begun, COMMAND_SECONDS)
        self._jobs[job.job] = job
        self._forget_finished()

    def lost(self, kind: JobKind, *, node: str, client: str, command: dict[str, Any], error: AsmuError) -> None:
        """A job of an engine that died cannot go on: it is among the others, as one that failed, for those who look."""
        job = Job(next(self._numbers), kind, node, "", client, command)
        self._jobs[job.job] = job
        self._end(job, "failed", {"error": error.to_wire()}, error)

    def status(self, number: int, answer: Answer) -> None:
        """How far a job is."""
        job = self._job(number)
        if not job.open or self.child is None or self.child.ended:
            answer(job.facts(), None)
            return

        def told(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            job.note(result or {})
            answer(job.facts(), None)

        self.child.request({"do": "status", "job": number}, told, COMMAND_SECONDS)

    def seek(self, number: int, position: int, answer: Answer) -> None:
        """Let a player go on at another frame of its file; answered with its status once that is in the ring."""
        job = self._job(number)
        if job.kind != "play":
            raise DiskError(
                f"job {number} is a recording, which goes on in time only", code="disk_job_unknown", where=str(number)
            )
        if job.state != "running" or job.stopping or self.child is None or self.child.ended:
            raise DiskError(
                f"player {number} has ended; play the file again, from where it should go on",
                code="disk_job_unknown",
                where=str(number),
            )

        def sought(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is not None:
                job.note(result)
            answer(None if result is None else job.facts(), error)

        self.child.request({"do": "seek", "job": number, "position": position}, sought, COMMAND_SECONDS)

    def stop(self, number: int, answer: Answer) -> None:
        """End a job; `answer` comes when its file is whole."""
        job = self._job(number)
        if not job.open:
            answer(job.facts(), None)
            return
        job.stopping.append(answer)
        if len(job.stopping) == 1:
            self._send_stop(job)

    def stop_recordings(self, reason: str, kinds: Collection[JobKind] = FILES) -> None:
        """What they record will not go on: every recording of these kinds takes what its ring holds and closes its files."""
        for job in self.open():
            if job.kind in kinds:
                job.progress["reason"] = reason
                self.stop(job.job, lambda result, error: None)

    def ring_dropped(self, ring: str) -> None:
        """The node of a ring was removed: its jobs end."""
        for job in self.open():
            if job.ring == ring and not job.stopping:  # else it ends already, for another reason
                job.progress["reason"] = "its node was removed"
                self.stop(job.job, lambda result, error: None)

    def tell(self, job: Job, command: dict[str, Any], answer: Answer) -> None:
        """Tell the disk process something of a job, which may take any time; it must be `running`.

        `answer` gets ``engine_failed`` where the process ends first; the next one goes on with the job, but is not told again.
        """
        if self.child is None or self.child.ended:
            raise EngineError("the disk process is being replaced", code="engine_failed", where="disk", retry=True)
        self.child.request({**command, "job": job.job}, answer, None)

    def close(self, done: Callable[[], None], patience: float, longest: float) -> None:
        """End all jobs and the disk process: recordings whole; by force after `patience` seconds.

        `longest`: patience with recordings into folders, whose last segments may be large: they are encoded, and checksums made.
        """
        child = self.child
        if child is None or child.ended:
            done()
            return
        self._on_closed = done
        for job in self.open():
            self.stop(job.job, lambda result, error: None)
        child.request({"do": "quit"}, lambda result, error: None, None)
        child.close_pipe()
        self._loop.later(longest if self.acquiring else patience, child.kill)

    # -- the process ----------------------------------------------------------------------------------------------

    def _running_child(self) -> Child:
        if self._on_closed is not None:
            raise DiskError("the engine is ending; it begins no more recordings or players", code="disk_failed", where="disk")
        if self.child is None or self.child.ended:
            try:
                self.child = Child(
                    self._loop, "disk", python_command("asmu_engine.disk"), self._take_event, self._ended, in_order=False
                )
            except OSError as error:
                raise DiskError(
                    f"the disk process cannot be started: {error}", code="disk_failed", where="disk", retry=True
                ) from None
        return self.child

    def _watch(self) -> None:
        child = self.child
        if child is not None and not child.ended and (what := child.overdue()):
            _log.error("the disk process did not answer %r in time; it is replaced", what)
            child.kill()

    def _ended(self, status: int) -> None:
        if self._on_closed is not None:
            done, self._on_closed = self._on_closed, None
            done()
            return
        _log.warning("the disk process ended (%s)", describe_exit(status))
        self._events.publish("disk", {"event": "disk_ended", "status": describe_exit(status)})
        open_jobs = self.open()
        if not open_jobs:
            return
        try:
            if self._deaths.add():
                raise DiskError(too_many("disk"), code="disk_failed", where="disk")
            child = self._running_child()
        except DiskError as error:
            for job in open_jobs:
                self._end(job, "failed", {"error": error.to_wire()}, error)
            return
        self.restarts += 1
        self._events.publish(
            "disk", {"event": "disk_restarted", "restarts": self.restarts, "jobs": [job.job for job in open_jobs]}
        )
        for job in open_jobs:
            if job.kind != "play":
                self._resume(child, job)
            else:
                lost = DiskError(
                    f"the disk process ended ({describe_exit(status)}) while it played {job.path}; "
                    "what the ring held was still played. Play it again",
                    code="disk_failed",
                    where=job.node,
                    retry=True,
                )
                self._end(job, "failed", {"error": lost.to_wire()}, lost)

    def _resume(self, child: Child, job: Job) -> None:
        def resumed(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None:
                assert error is not None
                if error.code != "engine_failed":  # else that process died as well, and the next one tries again
                    self._end(job, "failed", {"error": error.to_wire()}, error)
                return
            job.note(result)
            if job.open:
                job.state = "running"

        command = {"do": job.kind, "job": job.job, "ring": job.ring, **job.command, "resume": True, **self.resuming(job)}
        child.request(command, resumed, COMMAND_SECONDS)
        if job.stopping:
            self._send_stop(job)

    def _send_stop(self, job: Job) -> None:
        if self.child is None or self.child.ended:
            return  # it is being replaced; the next process is told

        def stopped(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if error is not None and error.code == "engine_failed" and self._on_closed is None:
                return  # died over it: the next process is told to resume and stop
            self._end(job, "finished" if error is None else "failed", result or {}, error)

        self.stopping(job)
        reason = str(job.progress.get("reason") or "by request")
        self.child.request({"do": "stop", "job": job.job, "until": None, "reason": reason}, stopped, None)

    def _take_event(self, message: dict[str, Any]) -> None:
        job = self._jobs.get(message.get("job", 0))
        if job is not None and message.get("event") == "disk_warning":
            self._events.publish("disk", message)
        if message.get("event") != "job" or job is None:
            return
        state = str(message.get("state", ""))
        if state in ("finished", "failed") and not job.stopping:
            self._end(job, state, message, None)
        else:
            job.note(message)
            self._events.publish("disk", {"event": "job", **job.facts()})

    def _end(self, job: Job, state: str, told: dict[str, Any], error: AsmuError | None) -> None:
        if not job.open:
            return
        job.note(told)
        job.state = state
        self._events.publish("disk", {"event": "job", **job.facts()})
        answers, job.stopping = job.stopping, []
        for answer in answers:
            answer(None if error else job.facts(), error)
