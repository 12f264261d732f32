"""The recordings and players by their numbers."""

from __future__ import annotations

import itertools
from typing import Any, Final

from asmu_engine.host.job import Job
from asmu_engine.protocol.errors import DiskError

MAX_FINISHED: Final = 256


class JobTable:
    """Those that are open, and the last that are not."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)

    def open(self) -> list[Job]:
        """Those that go on."""
        return [job for job in self._jobs.values() if job.open]

    @property
    def acquiring(self) -> bool:
        """Whether a recording into a folder is open."""
        return any(job.kind == "acquire" for job in self.open())

    def facts(self) -> list[dict[str, Any]]:
        """All jobs that are open, and the last that are not."""
        return [job.facts() for job in self._jobs.values()]

    def _job(self, number: int) -> Job:
        job = self._jobs.get(number)
        if job is None:
            known = ", ".join(str(n) for n in self._jobs) or "none"
            raise DiskError(f"there is no job {number}; jobs: {known}", code="disk_job_unknown", where=str(number))
        return job

    def _forget_finished(self) -> None:
        finished = [number for number, job in self._jobs.items() if not job.open]
        for number in finished[: max(0, len(finished) - MAX_FINISHED)]:
            del self._jobs[number]
