"""The audio process as the host sees it: started, configured, watched, ended from outside where it hangs, replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from asmu_engine.config import EngineConfig
from asmu_engine.host.child import Answer, Child, describe_exit
from asmu_engine.host.command import python_command
from asmu_engine.host.deaths import Deaths, too_many
from asmu_engine.host.loop import Loop
from asmu_engine.host.owner import Owner
from asmu_engine.host.pulse import Pulse
from asmu_engine.host.replay import in_parts
from asmu_engine.protocol.device import parse_device
from asmu_engine.protocol.errors import AsmuError, DeviceError, EngineError
from asmu_engine.shm.status import StatusPage

_log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.1
CONFIGURE_SECONDS: Final = 30.0
EDIT_SECONDS: Final = 30.0
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
HORIZON_SECONDS: Final = 1.0
"""So long before its frame the audio process has a scheduled transaction, at the least where the loop is not late."""


class Ahead(Protocol):
    """What brings transactions to the audio process before their frame; see `asmu_engine.host.arming`."""

    def before_start(self, horizon: float) -> dict[str, Any]:
        """What goes with the request that starts the device: transactions up to a frame position."""

    def after_start(self, result: dict[str, Any] | None) -> None:
        """The answer to that request; what it says of transactions is taken out of it."""

    def taken(self, number: int, at: int) -> None:
        """A transaction took effect at a frame position."""

    def stopped(self) -> None:
        """The device stands still."""

    def down(self, position: int) -> None:
        """The process died at a frame position."""

    def look(self) -> None:
        """There may be something to do."""


class Audio:
    """Supervisor of the audio process and of the device that runs in it.

    `state`: ``stopped``, ``running``, ``lost`` (the device went away; it can be started again) or ``failed`` (the
    process died too often). While a process that died is being replaced the state stays what it was.
    """

    def __init__(self, loop: Loop, config: EngineConfig, page: StatusPage, owner: Owner) -> None:
        self.state = "stopped"
        self.device: dict[str, Any] | None = None
        self.realtime: dict[str, Any] = {}
        self.restarts = 0
        self.child: Child | None = None
        self.ahead: Ahead | None = None
        self._loop = loop
        self._config = config
        self._owner = owner
        self._up = False
        self._busy = ""  # "start" or "stop" while that is under way
        self._started: dict[str, Any] = {}
        self._early_end: str | None = None
        self._resume = False
        self._hung: str | None = None
        self._once_up = False
        self._ended_for_loss = False
        self._deaths = Deaths()
        self._pulse = Pulse(page, config.samplerate, config.blocksize)
        self._end_position: int | None = None
        self._launched_at = 0
        self._launch_began = 0.0
        self._launch_seconds = 0.0
        self._died_at = 0
        self._on_closed: Callable[[], None] | None = None
        loop.every(WATCH_SECONDS, self._watch)

    # -- requests -------------------------------------------------------------------------------------------------

    def ask(self, message: dict[str, Any], answer: Answer, timeout: float | None = EDIT_SECONDS) -> None:
        """Send a request; EngineError when there is no process to answer it."""
        if self.child is None or not self.up:
            what = (
                "failed and will not be started again; end this engine"
                if self.state == "failed"
                else "is being started; try again"
            )
            raise EngineError(f"the audio process {what}", code="engine_failed", where="audio", retry=self.state != "failed")
        self.child.request(message, answer, timeout)

    @property
    def up(self) -> bool:
        """True while there is a process that answers."""
        return self._up and self.child is not None and not self.child.ended

    @property
    def position(self) -> int:
        """Frame position behind the newest frame."""
        return self._pulse.position

    def horizon(self) -> float | None:
        """Up to which frame position the audio process is to have what is scheduled; None while the device does not run."""
        if self.state != "running" or self._busy or not self.up:
            return None
        device = self.device or {}
        return self._horizon(self._pulse.position, paced=bool(device.get("paced")), speed=float(device.get("speed") or 1.0))

    def seconds_until(self, position: int) -> float | None:
        """How long until a device that keeps time comes to a frame position; None where none runs."""
        if self.state != "running" or not (self.device or {}).get("paced"):
            return None
        speed = float((self.device or {}).get("speed") or 1.0)
        return (position - self._pulse.position) / (self._config.samplerate * speed)

    def start_device(self, message: dict[str, Any], answer: Answer) -> None:
        """Let the device run. `message` has inputs, outputs, end_block, drop, reset."""
        if self._busy or self.state == "running":
            doing = {"start": "being started", "stop": "being stopped"}.get(self._busy, "running already; stop it first")
            raise EngineError(f"the device is {doing}", code="engine_state", where="start", retry=bool(self._busy))

        def started(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            self._busy = ""
            self._after_start(result)
            early, self._early_end = self._early_end, None
            if result is not None:
                self._set_running(message, result)
                blocks = message["end_block"]
                self._end_position = (
                    None if blocks is None else result["position"] + (message["drop"] + blocks) * self._config.blocksize
                )
                how = {key: message[key] for key in ("drop", "end_block", "reset")}
                self._owner.publish("device", {"event": "started", **result, **how})
                answer(result, None)
                if early is not None:
                    self._take_end(early)
                return
            if self._hung == "start":
                error = DeviceError(
                    f"the device did not start within {START_SECONDS:g} s; the audio process was replaced. Try another device",
                    code="device_failed",
                    where=str(self._config.device),
                    retry=True,
                )
            answer(None, error)

        # After a loss the axis has run on, though nothing was processed.
        self._send_start(message, self._pulse.ahead(0.0, running=False), started)

    def reset_cores(self, drop: int, answer: Answer) -> None:
        """Every core back to its start, all with the same frame; then `drop` silent blocks."""

        def done(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is not None:
                self._owner.publish("device", {"event": "reset", "position": int(result["at"]), "drop": drop})
            answer(result, error)

        self.ask({"do": "reset", "drop": drop}, done)

    def stop_device(self, answer: Answer) -> None:
        """Let the device stop; no error where it does not run."""
        self._resume = False
        if self.state != "running":
            if self.state == "lost":
                # The process keeps the device that went away: it may be told to come back, and a start closes it.
                self._set_state("stopped", "by request")
            answer({}, None)
            return
        if not self._up:  # died, being replaced: then it is simply not started again
            self._set_stopped("stopped", "by request")
            answer({}, None)
            return

        def stopped(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            self._busy = ""
            if self.state == "running":
                # A process that did not manage to stop its device has been ended for it, so the device stands still.
                self._set_stopped("stopped", "by request")
            answer(result or {}, None)

        self._busy = "stop"
        self.ask({"do": "stop"}, stopped, STOP_SECONDS)

    # -- life of the process --------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start a process; `Owner.audio_ready` hears of its success, `Owner.audio_failed` of its failure."""
        self._hung = None
        self._ended_for_loss = False
        self._launch_began = time.monotonic()
        self._launched_at = self._pulse.ahead(self._launch_seconds, running=self.state == "running")
        try:
            self.child = Child(
                self._loop, "audio", python_command("asmu_engine.audio"), self._take_event, self._ended, in_order=True
            )
        except OSError as error:
            self._fail(EngineError(f"the audio process cannot be started: {error}", code="engine_failed", where="audio"))
            return
        self.child.request(
            {"do": "configure", "engine": self._config.name, "config": self._config.to_wire(), "position": self._launched_at},
            self._configured,
            CONFIGURE_SECONDS,
        )

    def close(self, done: Callable[[], None], patience: float) -> None:
        """Stop the device and end the process; by force after `patience` seconds."""
        self._on_closed = done
        self._resume = False
        child = self.child
        if child is None or child.ended:
            self._on_closed = None
            done()
            return
        ignore: Answer = lambda result, error: None  # noqa: E731
        if self.state == "running":
            child.request({"do": "stop"}, ignore, None)
        child.request({"do": "quit"}, lambda result, error: child.close_pipe(), None)
        self._loop.later(patience, child.kill)

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
            elif error is None and not waiting and self.state != "failed":
                self._replayed()

        for part in parts:
            assert self.child is not None
            self.child.request({"do": "edit", "edits": part}, taken)

    def _replayed(self) -> None:
        self._up = self._once_up = True
        self._launch_seconds = time.monotonic() - self._launch_began
        if self._resume:
            self._restart_device()
        self._owner.audio_up()

    def _restart_device(self) -> None:
        self._resume = False
        position = self._pulse.ahead(0.0, running=True)
        message = {**self._started, "reset": False, "drop": 0}
        if self._end_position is not None:
            left = (self._end_position - position) // self._config.blocksize
            if left < 1:
                self._set_stopped("stopped", "finished")
                return
            message["end_block"] = left

        def restarted(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            self._busy = ""
            self._after_start(result)
            early, self._early_end = self._early_end, None
            if self.state != "running":
                return
            if error is not None and error.code == "engine_failed" and self._hung is None:
                return  # died once more: `_ended` counts it and tries again
            if result is None:
                self._lose(f"it could not be started again: {error}", replace=False)
                return
            self._set_running(self._started, result)
            begin = int(result["position"])
            self._owner.publish(
                "engine",
                {"event": "audio_restarted", "position": begin, "gap": max(0, begin - self._died_at), "restarts": self.restarts},
            )
            if early is not None:
                self._take_end(early)
            elif self.ahead is not None:
                self.ahead.look()

        self._send_start(message, position, restarted)

    def _send_start(self, message: dict[str, Any], position: int, answer: Answer) -> None:
        ahead: dict[str, Any] = {}
        if self.ahead is not None:
            spec = parse_device(self._config.device)
            # What a device without a clock comes to before anything else can reach it is all that there is.
            speed = float(getattr(spec, "speed", 1.0))
            horizon = self._horizon(position, paced=spec.kind != "offline" and speed > 0.0, speed=speed)
            ahead = self.ahead.before_start(horizon)
        try:
            self.ask({"do": "start", **message, "position": position, **ahead}, answer, START_SECONDS)
        except AsmuError:
            self._after_start(None)
            raise
        self._busy, self._early_end = "start", None

    def _after_start(self, result: dict[str, Any] | None) -> None:
        if self.ahead is not None:
            self.ahead.after_start(result)

    def _horizon(self, position: int, *, paced: bool, speed: float) -> float:
        return position + HORIZON_SECONDS * self._config.samplerate * speed if paced else float("inf")

    def _ended(self, status: int) -> None:
        self._up = False
        self._busy = ""
        if self._on_closed is not None:
            done, self._on_closed = self._on_closed, None
            done()
            return
        position = self._pulse.position
        if self.ahead is not None:
            self.ahead.down(position)
        if self.state == "failed":
            return
        self._owner.audio_down()
        self._owner.publish("engine", {"event": "audio_ended", "status": describe_exit(status), "position": position})
        _log.warning("the audio process ended (%s) at frame %d", describe_exit(status), position)
        if not self._ended_for_loss and self._deaths.add():
            self._fail(
                EngineError(
                    f"{too_many('audio')}, the last time with {describe_exit(status)}; it is not started again",
                    code="engine_failed",
                    where="audio",
                )
            )
            return
        self._resume = self.state == "running"
        self._died_at = position
        self.restarts += 1
        self.launch()

    def _fail(self, error: AsmuError) -> None:
        if self._once_up:  # before, the error itself goes to whoever starts the engine
            _log.error("the audio process failed: %s", error)
        self._set_stopped("failed", str(error))
        if self.child is not None:
            self.child.kill()
        self._owner.audio_failed(error)

    # -- the device -----------------------------------------------------------------------------------------------

    def _take_event(self, message: dict[str, Any]) -> None:
        what = message.get("event")
        if what == "ended":
            if self._busy == "start":
                # A short stream may be over before the answer to its start, sent by another thread, is through.
                self._early_end = str(message.get("reason", ""))
            else:
                self._take_end(str(message.get("reason", "")))
        elif what == "realtime":
            self.realtime = dict(message.get("realtime") or {})
        elif what == "taken" and self.ahead is not None:
            self.ahead.taken(int(message["tag"]), int(message["at"]))
        elif what == "xrun":
            self._owner.publish("xrun", message)
        else:
            self._owner.publish("node", message)

    def _take_end(self, reason: str) -> None:
        if reason.startswith("lost"):
            # PortAudio is beyond use in a process whose device went away; our own devices are not.
            self._lose(reason.removeprefix("lost").lstrip(": "), replace=(self.device or {}).get("kind") == "portaudio")
        elif self.state == "running":
            self._set_stopped("stopped", reason)

    def _set_running(self, message: dict[str, Any], result: dict[str, Any]) -> None:
        self._started = dict(message)
        self.device = dict(result.get("device") or {})
        self._pulse.begin(paced=bool(self.device.get("paced")), speed=float(self.device.get("speed") or 1.0))
        self._owner.device_running(self.device)
        self._set_state("running", "")

    def _set_stopped(self, state: str, reason: str) -> None:
        self.device = None
        self._owner.device_running(None)
        if self.ahead is not None:
            self.ahead.stopped()
        self._set_state(state, reason)

    def _set_state(self, state: str, reason: str) -> None:
        if state != self.state:
            self.state = state
            position = self._pulse.position
            self._owner.publish("engine", {"event": "state", "state": state, "reason": reason, "position": position})

    def _watch(self) -> None:
        child = self.child
        if child is None or child.ended:
            return
        if (what := child.overdue()) and not self._hung:
            self._hung = what
            _log.error("the audio process did not answer %r in time; it is ended", what)
            child.kill()
        if self.state == "running" and self._up and not self._busy and (silent := self._pulse.silence()):
            self._lose(f"no callback for {silent:.1f} s", replace=True)

    def _lose(self, reason: str, *, replace: bool) -> None:
        if self.state != "running":
            return
        position = self._pulse.lose()
        self._owner.publish("device", {"event": "device_lost", "reason": reason, "position": position, "device": self.device})
        self._set_stopped("lost", reason)
        if self.child is not None and replace:
            self._ended_for_loss = True
            self.child.kill()
        self._owner.device_lost(reason)
