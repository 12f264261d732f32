"""The run of the device in the audio process: started, watched, stopped, lost, and started again in the next process."""

from __future__ import annotations

from typing import Any, Final, Protocol

from asmu_engine.config import EngineConfig
from asmu_engine.host.child import Answer
from asmu_engine.host.owner import Ahead, Owner
from asmu_engine.host.pulse import Pulse
from asmu_engine.protocol.device import parse_device
from asmu_engine.protocol.errors import AsmuError, DeviceError, EngineError
from asmu_engine.shm.status import StatusPage

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
HORIZON_SECONDS: Final = 1.0
"""So long before its frame the audio process has a scheduled transaction, at the least where the loop is not late."""


class Process(Protocol):
    """What the run needs of the process that the device is in; see `asmu_engine.host.audio`."""

    @property
    def up(self) -> bool:
        """True while there is a process that answers."""

    @property
    def hung(self) -> str | None:
        """What the present process was asked and did not answer in time, for which it is ended."""

    @property
    def restarts(self) -> int:
        """How often a process was replaced."""

    def ask(self, message: dict[str, Any], answer: Answer, timeout: float | None = ...) -> None:
        """Send a request; EngineError when there is no process to answer it."""

    def replace(self) -> None:
        """End the process, which is beyond use with its device, and start another."""


class DeviceRun:
    """Whether the device runs, since when, up to where; one life of it may span several processes.

    `state`: ``stopped``, ``running``, ``lost`` (the device went away; it can be started again) or ``failed`` (the
    process died too often). While a process that died is being replaced the state stays what it was. `device`: the
    facts of the one that runs, else None. `ahead`: who supplies the process with what is scheduled.
    """

    def __init__(self, process: Process, config: EngineConfig, page: StatusPage, owner: Owner) -> None:
        self.state = "stopped"
        self.device: dict[str, Any] | None = None
        self.ahead: Ahead | None = None
        self._process = process
        self._config = config
        self._owner = owner
        self._pulse = Pulse(page, config.samplerate, config.blocksize)
        self._busy = ""  # "start" or "stop" while that is under way
        self._started: dict[str, Any] = {}
        self._early_end: str | None = None
        self._end_position: int | None = None
        self._resume = False
        self._died_at = 0

    # -- where it is ----------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Frame position behind the newest frame."""
        return self._pulse.position

    def position_in(self, seconds: float) -> int:
        """The frame position at which the axis will stand in so many seconds."""
        return self._pulse.ahead(seconds, running=self.state == "running")

    def horizon(self) -> float | None:
        """Up to which frame position the audio process is to have what is scheduled; None while the device does not run."""
        if self.state != "running" or self._busy or not self._process.up:
            return None
        return self._pulse.reach(HORIZON_SECONDS)

    def seconds_until(self, position: int) -> float | None:
        """How long until a device that keeps time comes to a frame position; None where none runs."""
        return self._pulse.seconds_until(position) if self.state == "running" else None

    # -- requests -------------------------------------------------------------------------------------------------

    def start(self, message: dict[str, Any], answer: Answer) -> None:
        """Let the device run. `message` has inputs, outputs, end_block, drop, reset."""
        if self._busy or self.state == "running":
            doing = {"start": "being started", "stop": "being stopped"}.get(self._busy, "running already; stop it first")
            raise EngineError(f"the device is {doing}", code="engine_state", where="start", retry=bool(self._busy))

        def started(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            early = self._after_start(result)
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
            if self._process.hung == "start":
                error = DeviceError(
                    f"the device did not start within {START_SECONDS:g} s; the audio process was replaced. Try another device",
                    code="device_failed",
                    where=str(self._config.device),
                    retry=True,
                )
            answer(None, error)

        # After a loss the axis has run on, though nothing was processed.
        self._send_start(message, self._pulse.ahead(0.0, running=False), started)

    def stop(self, answer: Answer) -> None:
        """Let the device stop; no error where it does not run."""
        self._resume = False
        if self.state != "running":
            if self.state == "lost":
                # The process keeps the device that went away: it may be told to come back, and a start closes it.
                self._set_state("stopped", "by request")
            answer({}, None)
            return
        if not self._process.up:  # died, being replaced: then it is simply not started again
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
        self._process.ask({"do": "stop"}, stopped, STOP_SECONDS)

    def reset(self, drop: int, answer: Answer) -> None:
        """Every core back to its start, all with the same frame; then `drop` silent blocks."""

        def done(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is not None:
                self._owner.publish("device", {"event": "reset", "position": int(result["at"]), "drop": drop})
            answer(result, error)

        self._process.ask({"do": "reset", "drop": drop}, done)

    # -- what becomes of the process ------------------------------------------------------------------------------

    def process_up(self) -> None:
        """A process has the patch: the device goes on where it ran when the one before died."""
        if self._resume:
            self._restart()

    def process_down(self) -> int:
        """The process died; the frame position at which it did."""
        self._busy = ""
        self._resume = self.state == "running"
        self._died_at = position = self._pulse.position
        if self.ahead is not None:
            self.ahead.down(position)
        return position

    def process_failed(self, reason: str) -> None:
        """There will be no other process."""
        self._set_stopped("failed", reason)

    def process_ending(self) -> None:
        """The engine ends: should the process have died, the device is not started in another."""
        self._resume = False

    # -- what the process tells -----------------------------------------------------------------------------------

    def ended(self, reason: str) -> None:
        """The device came to its end by itself."""
        if self._busy == "start":
            # A short stream may be over before the answer to its start, sent by another thread, is through.
            self._early_end = reason
        else:
            self._take_end(reason)

    def taken(self, number: int, at: int) -> None:
        """A scheduled transaction took effect at a frame position."""
        if self.ahead is not None:
            self.ahead.taken(number, at)

    def watch(self) -> None:
        """Lose a device that calls back no more; to be called every now and then."""
        if self.state == "running" and self._process.up and not self._busy and (silent := self._pulse.silence()):
            self._lose(f"no callback for {silent:.1f} s", replace=True)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _send_start(self, message: dict[str, Any], position: int, answer: Answer) -> None:
        ahead: dict[str, Any] = {}
        if self.ahead is not None:
            spec = parse_device(self._config.device)
            # What a device without a clock comes to before anything else can reach it is all that there is.
            speed = float(getattr(spec, "speed", 1.0))
            paced = spec.kind != "offline" and speed > 0.0
            horizon = position + HORIZON_SECONDS * self._config.samplerate * speed if paced else float("inf")
            ahead = self.ahead.before_start(horizon)
        try:
            self._process.ask({"do": "start", **message, "position": position, **ahead}, answer, START_SECONDS)
        except AsmuError:
            if self.ahead is not None:
                self.ahead.after_start(None)
            raise
        self._busy, self._early_end = "start", None

    def _after_start(self, result: dict[str, Any] | None) -> str | None:
        """A start is over; the reason for which the device has ended since, if it has."""
        self._busy = ""
        if self.ahead is not None:
            self.ahead.after_start(result)
        early, self._early_end = self._early_end, None
        return early

    def _restart(self) -> None:
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
            early = self._after_start(result)
            if self.state != "running":
                return
            if error is not None and error.code == "engine_failed" and self._process.hung is None:
                return  # died once more: its end is counted, and the next process tries again
            if result is None:
                self._lose(f"it could not be started again: {error}", replace=False)
                return
            self._set_running(self._started, result)
            begin = int(result["position"])
            gap = max(0, begin - self._died_at)
            restarts = self._process.restarts
            self._owner.publish("engine", {"event": "audio_restarted", "position": begin, "gap": gap, "restarts": restarts})
            if early is not None:
                self._take_end(early)
            elif self.ahead is not None:
                self.ahead.look()

        self._send_start(message, position, restarted)

    def _take_end(self, reason: str) -> None:
        if reason.startswith("lost"):
            # PortAudio is beyond use in a process whose device went away; our own devices are not.
            self._lose(reason.removeprefix("lost").lstrip(": "), replace=(self.device or {}).get("kind") == "portaudio")
        elif self.state == "running":
            self._set_stopped("stopped", reason)

    def _lose(self, reason: str, *, replace: bool) -> None:
        if self.state != "running":
            return
        position = self._pulse.lose()
        self._owner.publish("device", {"event": "device_lost", "reason": reason, "position": position, "device": self.device})
        self._set_stopped("lost", reason)
        if replace:
            self._process.replace()
        self._owner.device_lost(reason)

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
