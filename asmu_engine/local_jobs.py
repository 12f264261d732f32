"""Players and recordings of an engine inside the caller's process: the disk process's own jobs, in threads."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from asmu_engine.host.entries import Moments, entry_of
from asmu_engine.protocol.errors import DiskError, EngineTimeout, from_wire
from asmu_engine.protocol.topic import Topic

if TYPE_CHECKING:
    from asmu_engine.disk.main import DiskProcess
    from asmu_engine.protocol.pipe import MessagePipe

Result = dict[str, Any]

_TIMEOUT_S: Final = 60.0


class _Answers:
    """Stands for the pipe to the host: what the jobs send is noted here."""

    def __init__(self, on_event: Callable[[Result], None]) -> None:
        self._on_event = on_event
        self._there = threading.Condition()
        self._answers: dict[int, Result] = {}

    def send(self, message: Result) -> bool:
        """Take a message of a job; from any thread."""
        if "event" in message:
            self._on_event(message)
        else:
            with self._there:
                self._answers[message["id"]] = message
                self._there.notify_all()
        return True

    def take(self, number: int) -> Result:
        """The answer to a command; raises its error."""
        deadline = time.monotonic() + _TIMEOUT_S
        with self._there:
            while number not in self._answers:
                if not self._there.wait(deadline - time.monotonic()):
                    raise EngineTimeout(
                        f"the disk did not answer within {_TIMEOUT_S:g} s", code="timeout", where="disk", retry=True
                    )
            message = self._answers.pop(number)
        if "error" in message:
            raise from_wire(message["error"])
        result: Result = message["result"]
        return result


@dataclass
class _Job:
    ring: str
    facts: Result = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.facts.get("state") in ("starting", "running")


class LocalJobs:
    """The jobs, and the requests on them; they answer when the thing is done.

    Parameters
    ----------
    publish
        Takes the events; may be called from another thread.
    """

    def __init__(self, publish: Callable[[Result], None]) -> None:
        self._publish = publish
        self._pipe = _Answers(self._take_event)
        self._disk: DiskProcess | None = None
        self._moments = Moments()
        self._numbers = itertools.count(1)
        self._commands = itertools.count(1)
        self._jobs: dict[int, _Job] = {}

    def rings(self) -> set[str]:
        """The rings on which a job is working."""
        return {job.ring for job in list(self._jobs.values()) if job.open}

    def begin(self, kind: Literal["record", "acquire", "play"], node: str, ring: str, **fields: Any) -> Result:
        """Start a job on a ring: its status, with its number."""
        if self._disk is None:
            from asmu_engine.disk.main import DiskProcess  # it loads soundfile

            self._disk = DiskProcess(cast("MessagePipe", self._pipe))
        number = next(self._numbers)
        path = fields["folder" if kind == "acquire" else "path"]
        job = _Job(ring, {"job": number, "kind": kind, "node": node, "state": "starting", "path": path})
        self._jobs[number] = job
        try:
            self._note(job, self._ask(kind, job=number, ring=ring, **fields))
        except BaseException:
            del self._jobs[number]
            raise
        return dict(job.facts)

    def seek(self, number: int, position: int) -> Result:
        """Let a player go on elsewhere in its file."""
        job = self._job(number)
        self._note(job, self._ask("seek", job=number, position=position))
        return dict(job.facts)

    def status(self, number: int) -> Result:
        """How far a job is."""
        job = self._job(number)
        if job.open:
            self._note(job, self._ask("status", job=number))
        return dict(job.facts)

    def stop(self, number: int) -> Result:
        """End a job: its last status, when its file is whole."""
        job = self._job(number)
        if job.open:
            self._note(job, self._ask("stop", job=number))
        return dict(job.facts)

    def happened(self, topic: Topic, event: Result) -> None:
        """Note an event in the ledgers of the recordings into folders."""
        for number, job in list(self._jobs.items()):
            if job.facts["kind"] == "acquire" and job.open:
                entry = entry_of(topic, event, self._moments.next())
                if entry is not None:
                    with contextlib.suppress(DiskError):  # it has ended meanwhile, and says why itself
                        self._ask("note", job=number, entries=[entry.model_dump(mode="json")])

    def ring_dropped(self, ring: str) -> None:
        """The node of a ring was removed: its jobs end."""
        for number, job in list(self._jobs.items()):
            if job.ring == ring:
                self.stop(number)

    def facts(self) -> list[Result]:
        """All jobs."""
        return [dict(job.facts) for job in self._jobs.values()]

    def close(self) -> None:
        """End all jobs, their files whole; harmless when done before."""
        disk, self._disk = self._disk, None
        if disk is not None:
            disk.close()

    def _ask(self, do: str, **fields: Any) -> Result:
        if self._disk is None:
            raise DiskError("no file is being played or recorded", code="disk_failed", where=do)
        number = next(self._commands)
        self._disk.carry_out({"id": number, "do": do, **fields})
        return self._pipe.take(number)

    def _take_event(self, message: Result) -> None:
        job = self._jobs.get(message.get("job", 0))
        if job is not None:
            self._note(job, message)
            self._publish({"topic": "disk", **message, **job.facts})

    @staticmethod
    def _note(job: _Job, told: Result) -> None:
        # Only ever towards its end: an answer may be older than the event of the end that overtook it.
        if job.facts["state"] in ("finished", "failed"):
            told = {key: value for key, value in told.items() if key != "state"}
        job.facts.update({key: value for key, value in told.items() if key != "event"})

    def _job(self, number: int) -> _Job:
        job = self._jobs.get(number)
        if job is None:
            known = ", ".join(map(str, self._jobs)) or "none"
            raise DiskError(f"there is no job {number}; jobs: {known}", code="disk_job_unknown", where=str(number))
        return job
