"""What passes from an engine that dies to the one that is started with ``--resume``: kept by the one, taken up by the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asmu_engine.host.job import Job
from asmu_engine.host.keeper import StateKeeper
from asmu_engine.host.resume import Resume
from asmu_engine.host.state import SavedAxis, State, boot_name
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.plain import to_plain

if TYPE_CHECKING:
    from asmu_engine.host.engine import Engine
    from asmu_engine.host.loop import Loop

_OWN = ("ring", "left_out")
"""What the edits for an audio process say beside those of clients."""


class Heritage:
    """Of one engine.

    Parameters
    ----------
    state, position
        What a dead engine has left, with which this one goes on, and the frame position that it had come to; None: this one
        begins anew.
    """

    def __init__(self, loop: Loop, engine: Engine, state: State | None, position: int) -> None:
        self._engine = engine
        self._boot = boot_name()
        self._wire = to_plain(engine.config.to_wire())
        self._resume = None if state is None else Resume(engine, state, position)
        self._keeper = StateKeeper(
            loop,
            engine.config.name,
            version=self._version,
            state=self._state,
            axis=self._axis,
            on_failed=lambda reason: engine.publish("engine", {"event": "state_failed", "reason": reason}),
        )
        engine.acquisitions.when_kept = self.when_kept

    @property
    def runs(self) -> bool:
        """Whether there is a device to go on with."""
        return self._resume is not None and self._resume.runs

    def up(self, ready: Callable[[AsmuError | None], None]) -> None:
        """The engine is up, but for the patch of one that died: have that back, tell that all is `ready`, go on with the rest."""
        if self._resume is None:
            self._begin(ready)
        else:
            self._resume.patch(lambda: self._begin(ready))

    def when_kept(self, then: Callable[[], None]) -> None:
        """Call `then` when a successor would know what holds now, or cannot be let know; at once where there will be none."""
        if self._engine.private or self._engine.ending:
            then()
        else:
            self._keeper.when_kept(then)

    def close(self, *, remove: bool) -> None:
        """The engine has ended; `remove`: in order, so that there is nothing to go on with."""
        self._keeper.close(remove=remove)

    def _begin(self, ready: Callable[[AsmuError | None], None]) -> None:
        if self._engine.ending:
            return
        ready(None)
        if self._resume is not None:
            self._resume.device()
        if not self._engine.private:  # that ends with its owner, whatever happens
            self._keeper.begin()

    def _version(self) -> object:
        engine = self._engine
        return engine.patch.revision, engine.audio.run.saved(), self._waiting(), [job.job for job in self._open()]

    def _state(self) -> State:
        engine = self._engine
        going = [{"node": job.node, "client": job.client, "command": job.command} for job in self._open()]
        edits = [{key: value for key, value in edit.items() if key not in _OWN} for edit in engine.patch.replay()]
        return State(
            config=self._wire,
            path=os.environ.get("PYTHONPATH", ""),
            axis_name=engine.axis,
            revision=engine.patch.revision,
            edits=edits,
            run=engine.audio.run.saved(),
            acquisitions=[*going, *(self._resume.waiting if self._resume else ())],
        )

    def _open(self) -> list[Job]:
        """The recordings that go on, but for those that are being ended."""
        return [job for job in self._engine.jobs.open() if job.kind == "acquire" and job.state == "running" and not job.stopping]

    def _waiting(self) -> int:
        return 0 if self._resume is None else len(self._resume.waiting)

    def _axis(self) -> SavedAxis:
        run = self._engine.audio.run
        line = run.pulse.line(running=run.state == "running")
        monotonic_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        return SavedAxis(
            position=line.position,
            monotonic_ns=line.monotonic_ns,
            utc_ns=utc_ns - (monotonic_ns - line.monotonic_ns),
            boot=self._boot,
            rate=line.rate,
            uncertainty=line.uncertainty,
            ppm=line.ppm,
        )
