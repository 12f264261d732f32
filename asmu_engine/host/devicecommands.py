"""What the process is told to start and stop its device, one at a time, and with which scheduled transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from asmu_engine.config import EngineConfig
from asmu_engine.host.audioprocess import AudioProcess
from asmu_engine.host.child import Answer
from asmu_engine.host.owner import Ahead
from asmu_engine.protocol.device import parse_device
from asmu_engine.protocol.errors import AsmuError

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
HORIZON_SECONDS: Final = 1.0
"""So long before its frame the audio process has a scheduled transaction, at the least where the loop is not late."""

Started = Callable[[dict[str, Any] | None, AsmuError | None, str | None], None]
"""Called with a result or an error, and the reason for which the device has ended since, if it has."""


class DeviceCommands:
    """`busy`: ``start`` or ``stop`` while that is under way, else empty. `ahead`: who supplies what is scheduled."""

    def __init__(self, process: AudioProcess, config: EngineConfig) -> None:
        self.busy = ""
        self.ahead: Ahead | None = None
        self._process = process
        self._config = config
        self._early_end: str | None = None

    def start(self, message: dict[str, Any], position: int, started: Started) -> None:
        """Have the device started, at a frame position at the least; EngineError where there is no process."""
        ahead = {} if self.ahead is None else self.ahead.before_start(self._horizon(position))

        def answered(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            self.busy = ""
            if self.ahead is not None:
                self.ahead.after_start(result)
            early, self._early_end = self._early_end, None
            started(result, error, early)

        try:
            self._process.ask({"do": "start", **message, "position": position, **ahead}, answered, START_SECONDS)
        except AsmuError:
            if self.ahead is not None:
                self.ahead.after_start(None)
            raise
        self.busy, self._early_end = "start", None

    def stop(self, answer: Answer) -> None:
        """Have the device stopped; EngineError where there is no process."""

        def stopped(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            self.busy = ""
            answer(result, error)

        self._process.ask({"do": "stop"}, stopped, STOP_SECONDS)
        self.busy = "stop"

    def ended_early(self, reason: str) -> bool:
        """The device has ended; True where that is told with the answer to its start, which is still to come.

        A short stream may be over before that answer, sent by another thread, is through.
        """
        if self.busy == "start":
            self._early_end = reason
        return self.busy == "start"

    def _horizon(self, position: int) -> float:
        spec = parse_device(self._config.device)
        # What a device without a clock comes to before anything else can reach it is all that there is.
        speed = float(getattr(spec, "speed", 1.0))
        paced = spec.kind != "offline" and speed > 0.0
        return position + HORIZON_SECONDS * self._config.samplerate * speed if paced else float("inf")
