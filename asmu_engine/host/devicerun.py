"""The run of the device in the audio process: started, watched, stopped, lost, and started again in the next process."""

from __future__ import annotations

from typing import Any

from asmu_engine.config import EngineConfig
from asmu_engine.host import devicecommands
from asmu_engine.host.audioprocess import AudioProcess
from asmu_engine.host.child import Answer
from asmu_engine.host.comeback import Comeback
from asmu_engine.host.devicecommands import DeviceCommands, Started
from asmu_engine.host.lastrun import LastRun
from asmu_engine.host.owner import Owner
from asmu_engine.host.pulse import Pulse
from asmu_engine.protocol.errors import AsmuError, DeviceError, EngineError
from asmu_engine.shm.status import StatusPage


class DeviceRun:
    """Whether the device runs, since when, up to where; one life of it may span several processes.

    `state`: ``stopped``, ``running``, ``lost`` (the device went away; it can be started again, and where the owner awaits
    it that is done as soon as it is there) or ``failed`` (the process died too often). While a process that died is being
    replaced the state stays what it was. `device`: the facts of the one that runs, else None. `pulse`: how its axis moves.
    `commands`: what the process is told of it.
    """

    def __init__(self, process: AudioProcess, config: EngineConfig, page: StatusPage, owner: Owner) -> None:
        self.state = "stopped"
        self.reason = ""
        self.device: dict[str, Any] | None = None
        self._process = process
        self._config = config
        self._owner = owner
        self.pulse = Pulse(page, config.samplerate, config.blocksize)
        self.commands = DeviceCommands(process, config)
        self._last = LastRun(config.blocksize)
        self._comeback = Comeback()
        self._resume = False

    # -- where it is ----------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Frame position behind the newest frame."""
        return self.pulse.position

    @property
    def axis_position(self) -> int:
        """Where the axis stands, which is further where it has run on since."""
        return self.pulse.ahead()

    def horizon(self) -> float | None:
        """Up to which frame position the audio process is to have what is scheduled; None while the device does not run."""
        if self.state != "running" or self.commands.busy or not self._process.up:
            return None
        return self.pulse.reach(devicecommands.HORIZON_SECONDS)

    def seconds_until(self, position: int) -> float | None:
        """How long until a device that keeps time comes to a frame position; None where none runs."""
        return self.pulse.seconds_until(position) if self.state == "running" else None

    # -- requests -------------------------------------------------------------------------------------------------

    def start(self, message: dict[str, Any], answer: Answer) -> None:
        """Let the device run. `message` has inputs, outputs, end_block, drop, reset."""
        if self.commands.busy or self.state == "running":
            doing = {"start": "being started", "stop": "being stopped"}.get(self.commands.busy, "running already; stop it first")
            raise EngineError(f"the device is {doing}", code="engine_state", where="start", retry=bool(self.commands.busy))

        def started(result: dict[str, Any] | None, error: AsmuError | None, early: str | None) -> None:
            if result is not None:
                self._last.begins(message, result)
                self._set_running(result)
                how = {key: message[key] for key in ("drop", "end_block", "reset")}
                self._owner.publish("device", {"event": "started", **result, **how})
                answer(result, None)
                if early is not None:
                    self._take_end(early)
                return
            if self._process.hung == "start":
                seconds = devicecommands.START_SECONDS
                error = DeviceError(
                    f"the device did not start within {seconds:g} s; the audio process was replaced. Try another device",
                    code="device_failed",
                    where=str(self._config.device),
                    retry=True,
                )
            answer(None, error)

        self._send_start(message, started)

    def saved(self) -> dict[str, Any] | None:
        """What another host needs to continue the run; None where the device neither runs nor is to come back."""
        goes_on = self.state == "running" or (self.state == "lost" and self._awaited())
        return self._last.saved() if goes_on else None

    def go_on(self, saved: dict[str, Any]) -> None:
        """Continue the run that another host had, before it died: the device counts as lost, and is looked for."""
        self._last.restores(saved, self.pulse.position)
        self._set_state("lost", "its engine died")

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
            if self.state == "running":
                # A process that did not manage to stop its device has been ended for it, so the device stands still.
                self._set_stopped("stopped", "by request")
            answer(result or {}, None)

        self.commands.stop(stopped)

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
            self._resume = False
            self._continue(self._restarted)

    def process_down(self) -> int:
        """The process died; the frame position at which it did."""
        self.commands.busy = ""
        self._resume = self.state == "running"
        position = self.pulse.cease() if self._resume else self.pulse.position
        if self._resume:
            self._last.ceases(position, "restart")
        if self.commands.ahead is not None:
            self.commands.ahead.down(position)
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
        if not self.commands.ended_early(reason):
            self._take_end(reason)

    def taken(self, number: int, at: int) -> None:
        """A scheduled transaction took effect at a frame position."""
        if self.commands.ahead is not None:
            self.commands.ahead.taken(number, at)

    def watch(self) -> None:
        """Lose a device that calls back no more, and look for one that is lost; to be called every now and then."""
        if not self._process.up or self.commands.busy:
            return
        if self.state == "running" and (silent := self.pulse.silence()):
            self._lose(f"no callback for {silent:.1f} s", replace=True)
        elif self.state == "lost" and self._comeback.due and self._awaited():
            self._continue(self._reopened)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _send_start(self, message: dict[str, Any], started: Started) -> None:
        if (axis := self.pulse.axis) is not None:
            # Meanwhile the axis has run on, though nothing was processed.
            jump = {"axis": axis.to_wire(), "cause": self._last.cause, "uncertainty": self.pulse.uncertainty()}
            message = {**message, **jump}
        self.pulse.starts()
        self.commands.start(message, self.pulse.ahead(), started)

    def _awaited(self) -> bool:
        return self._last.inherited or self._owner.device_awaited()

    def _continue(self, started: Started) -> None:
        """Start the device once more as it was started, for what is left of its run."""
        message = self._last.rest(self.pulse.ahead())
        if message is not None:
            self._send_start(message, started)
        else:
            self._set_stopped("stopped", "finished")

    def _restarted(self, result: dict[str, Any] | None, error: AsmuError | None, early: str | None) -> None:
        """A fresh process was told to continue."""
        if self.state != "running":
            return
        if error is not None and error.code == "engine_failed" and self._process.hung is None:
            return  # died once more: its end is counted, and the next process tries again
        if result is None:
            self._lose(f"it could not be started again: {error}", replace=False)
            return
        self._set_running(result)
        facts = {**self._last.gap(result), "restarts": self._process.restarts}
        self._owner.publish("engine", {"event": "audio_restarted", **facts})
        self._go_on(early)

    def _reopened(self, result: dict[str, Any] | None, error: AsmuError | None, early: str | None) -> None:
        """A device that was lost was looked for."""
        if result is None:
            # What PortAudio says so of can be found by another process at best.
            stale = error is not None and error.code == "device_lost" and self._last.device.get("kind") == "portaudio"
            self._comeback.later(costly=stale)
            if stale and self.state == "lost":
                self._process.replace(looking=True)
        elif self.state != "lost":  # stopped meanwhile, by request
            self.commands.stop(lambda result, error: None)
        else:
            self._set_running(result)
            self._owner.publish("device", {"event": "device_back", **self._last.gap(result), "device": self.device})
            self._go_on(early)

    def _go_on(self, early: str | None) -> None:
        if early is not None:
            self._take_end(early)
        elif self.commands.ahead is not None:
            self.commands.ahead.look()

    def _take_end(self, reason: str) -> None:
        if reason.startswith("lost"):
            # PortAudio is beyond use in a process whose device went away; our own devices are not.
            self._lose(reason.removeprefix("lost").lstrip(": "), replace=(self.device or {}).get("kind") == "portaudio")
        elif self.state == "running":
            self._set_stopped("stopped", reason)

    def _lose(self, reason: str, *, replace: bool) -> None:
        if self.state != "running":
            return
        self._last.ceases(self.pulse.cease(), "device_lost")
        facts = {"reason": reason, "position": self.pulse.position, "device": self.device}
        self._owner.publish("device", {"event": "device_lost", **facts})
        self._set_stopped("lost", reason)
        self._comeback.begin()
        if replace:
            self._process.replace()
        self._owner.device_lost(reason)

    def _set_running(self, result: dict[str, Any]) -> None:
        self._last.runs(result)
        self.device = self._last.device
        self.pulse.begin(self.device)
        self._owner.device_running(self.device)
        self._set_state("running", "")

    def _set_stopped(self, state: str, reason: str) -> None:
        self.device = None
        self._owner.device_running(None)
        if self.commands.ahead is not None:
            self.commands.ahead.stopped()
        self._set_state(state, reason)

    def _set_state(self, state: str, reason: str) -> None:
        if state != self.state:
            self.state, self.reason = state, reason
            facts = {"state": state, "reason": reason, "position": self.pulse.position}
            self._owner.publish("engine", {"event": "state", **facts})
