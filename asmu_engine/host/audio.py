"""The audio process as the host sees it: started, configured, watched, ended from outside where it hangs, replaced."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.config import EngineConfig
from asmu_engine.host.child import Answer, Child, describe_exit
from asmu_engine.host.command import python_command
from asmu_engine.host.crashes import is_crash
from asmu_engine.host.deaths import Deaths, too_many
from asmu_engine.host.devicerun import DeviceRun
from asmu_engine.host.loop import Loop
from asmu_engine.host.owner import Owner
from asmu_engine.host.replay import in_parts
from asmu_engine.protocol.errors import AsmuError, EngineError
from asmu_engine.shm.status import StatusPage

_log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.1
CONFIGURE_SECONDS: Final = 30.0
EDIT_SECONDS: Final = 30.0


class Audio:
    """Supervisor of the audio process.

    `run`: the device that runs in it, which outlives it. `child`: the present process, or the last. `realtime`: what the
    system granted it. `restarts`: how often it was replaced. `hung`: what it was asked and did not answer in time.
    """

    def __init__(self, loop: Loop, config: EngineConfig, page: StatusPage, owner: Owner) -> None:
        self.realtime: dict[str, Any] = {}
        self.restarts = 0
        self.child: Child | None = None
        self.hung: str | None = None
        self.run = DeviceRun(self, config, page, owner)
        self._loop = loop
        self._config = config
        self._page = page
        self._owner = owner
        self._up = False
        self._once_up = False
        self._ended_for_loss = False
        self._looking = False
        self._deaths = Deaths()
        self._on_closed: Callable[[], None] | None = None
        loop.every(WATCH_SECONDS, self._watch)

    @property
    def up(self) -> bool:
        """True while there is a process that answers."""
        return self._up and self.child is not None and not self.child.ended

    def ask(self, message: dict[str, Any], answer: Answer, timeout: float | None = EDIT_SECONDS) -> None:
        """Send a request; EngineError when there is no process to answer it."""
        if self.child is None or not self.up:
            failed = self.run.state == "failed"
            what = "failed and will not be started again; end this engine" if failed else "is being started; try again"
            raise EngineError(f"the audio process {what}", code="engine_failed", where="audio", retry=not failed)
        self.child.request(message, answer, timeout)

    def launch(self) -> None:
        """Start a process; `Owner.audio_ready` hears of its success, `Owner.audio_failed` of its failure."""
        self.hung = None
        self._ended_for_loss = self._looking = False
        try:
            self.child = Child(
                self._loop, "audio", python_command("asmu_engine.audio"), self._take_event, self._ended, in_order=True
            )
        except OSError as error:
            self._fail(EngineError(f"the audio process cannot be started: {error}", code="engine_failed", where="audio"))
            return
        facts = {"engine": self._config.name, "config": self._config.to_wire(), "position": self.run.axis_position}
        self.child.request({"do": "configure", **facts}, self._configured, CONFIGURE_SECONDS)

    def replace(self, *, looking: bool = False) -> None:
        """End the process, which is beyond use with its device, and start another; that is not counted as its death.

        `looking`: only to look for a lost device once more, of which nothing is told.
        """
        if self.child is not None:
            self._ended_for_loss = True
            self._looking = looking
            self.child.kill()

    def close(self, done: Callable[[], None], patience: float) -> None:
        """Stop the device and end the process; by force after `patience` seconds."""
        self._on_closed = done
        self.run.process_ending()
        child = self.child
        if child is None or child.ended:
            self._on_closed = None
            done()
            return
        ignore: Answer = lambda result, error: None  # noqa: E731
        if self.run.state == "running":
            child.request({"do": "stop"}, ignore, None)
        child.request({"do": "quit"}, lambda result, error: child.close_pipe(), None)
        self._loop.later(patience, child.kill)

    # -- its life -------------------------------------------------------------------------------------------------

    def _configured(self, result: dict[str, Any] | None, error: AsmuError | None) -> None:
        if result is None:
            assert error is not None
            # One that dies while it is configured is counted by `_ended`; the very first must not even do that.
            if not self._on_closed and (error.code != "engine_failed" or not self._once_up):
                self._fail(error)
            return
        self.realtime = dict(result.get("realtime") or {})
        parts = in_parts(self._owner.audio_ready(result["catalogue"]))
        waiting = len(parts)
        if not waiting:
            self._replayed()

        def taken(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            nonlocal waiting
            waiting -= 1
            if error is not None and error.code != "engine_failed":
                self._fail(error)
            elif error is None and not waiting and self.run.state != "failed":
                self._replayed()

        for part in parts:
            assert self.child is not None
            self.child.request({"do": "edit", "edits": part}, taken)

    def _replayed(self) -> None:
        self._up = self._once_up = True
        self.run.process_up()
        self._owner.audio_up()

    def _ended(self, status: int) -> None:
        self._up = False
        if self._on_closed is not None:
            done, self._on_closed = self._on_closed, None
            done()
            return
        position = self.run.process_down()
        if self.run.state == "failed":
            return
        self._owner.audio_down()
        if self._looking:
            self.launch()
            return
        self._owner.publish("engine", {"event": "audio_ended", "status": describe_exit(status), "position": position})
        _log.warning("the audio process ended (%s) at frame %d", describe_exit(status), position)
        blamed = self._blame(status, position)
        # A device that hangs is no fault of the process, nor is the code of a plugin, which has a count of its own.
        its_own = not self._ended_for_loss and not blamed and self.hung != "start"
        if its_own and self._deaths.add():
            self._fail(
                EngineError(
                    f"{too_many('audio')}, the last time with {describe_exit(status)}; it is not started again",
                    code="engine_failed",
                    where="audio",
                )
            )
            return
        self.restarts += 1
        self.launch()

    def _blame(self, status: int, position: int) -> bool:
        """Whether it died, or had to be ended, in the code of a plugin's core: the owner is told of which."""
        marks = self._page.marked_cores()
        self._page.forget_cores()
        if not marks or not (is_crash(status) or self.hung or self._ended_for_loss):
            return False
        self._owner.core_to_blame(marks, position)
        return True

    def _fail(self, error: AsmuError) -> None:
        if self._once_up:  # before, the error itself goes to whoever starts the engine
            _log.error("the audio process failed: %s", error)
        self.run.process_failed(str(error))
        if self.child is not None:
            self.child.kill()
        self._owner.audio_failed(error)

    def _take_event(self, message: dict[str, Any]) -> None:
        what = message.get("event")
        if what == "ended":
            self.run.ended(str(message.get("reason", "")))
        elif what == "realtime":
            self.realtime = dict(message.get("realtime") or {})
        elif what == "taken":
            self.run.taken(int(message["tag"]), int(message["at"]))
        elif what == "xrun":
            self._owner.publish("xrun", message)
        else:
            self._owner.publish("node", message)

    def _watch(self) -> None:
        child = self.child
        if child is None or child.ended:
            return
        if (what := child.overdue()) and not self.hung:
            self.hung = what
            _log.error("the audio process did not answer %r in time; it is ended", what)
            child.kill()
        self.run.watch()
