"""Starting and stopping the device of the engine behind an interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asmu_engine.protocol.errors import DeviceError, EngineError

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.timeouts import Timeout
    from asmu_control.typing import Stats

_START_TIMEOUT = 60.0  # a sound server may take its time to open a device


class DeviceRun:
    """What a `asmu_control.session.Session` does with its engine's device."""

    device: str
    opened: bool
    first_position: int
    attached: bool
    keep: bool
    kept: set[str]
    kept_jobs: set[int]
    _client: Client | None
    _started: bool
    _last: Stats

    @property
    def client(self) -> Client:
        """The connection."""
        raise NotImplementedError

    def request(self, message: Mapping[str, Any], timeout: Timeout = "default") -> dict[str, Any]:
        """A request to the engine."""
        raise NotImplementedError

    def stats(self) -> Stats:
        """State and counters, or the last known."""
        raise NotImplementedError

    def device_facts(self) -> dict[str, Any] | None:
        """The device that runs, as the status shows it; None while none does, or there is no engine."""
        if self._client is None or self._client.closed:
            return None
        facts: dict[str, Any] | None = self._client.request({"type": "status"}).get("device")
        return facts

    def check_stopped(self) -> None:
        """EngineError ``engine_state`` when the own engine's device runs already."""
        if not self.attached and self.stats()["state"] == "running":
            raise EngineError("the interface runs already; stop its stream first", code="engine_state", where=self.client.engine)

    def start(self, inputs: Sequence[int], outputs: Sequence[int], end_block: int | None, reset: bool, drop: int) -> None:
        """Run the device, unless the engine attached to runs it already."""
        if self.attached and end_block is None and self.stats()["state"] == "running":
            self.first_position = int(self._last.get("frame_position", 0))
            return
        # With no channel named at all, whatever the device has: there is no stream without channels. An engine that others
        # use too runs with all that it was given, since their patches need theirs.
        everything = self.attached or (not inputs and not outputs)
        message = {
            "type": "start",
            "inputs": None if everything else list(inputs),
            "outputs": None if everything else list(outputs),
            "end_block": end_block,
            "drop": drop,
            "reset": reset,
        }
        answer = self.request(message, _START_TIMEOUT)
        self.first_position = int(answer.get("position", 0))
        # A stream may be over before anybody asks for its state.
        self._last = {**self._last, "device": answer.get("device")}
        self._started = True

    def stop(self) -> None:
        """Stop the device."""
        if self.opened:
            self.request({"type": "stop"}, _START_TIMEOUT)
            self._started = False

    def stop_own(self) -> None:
        """Stop the device if this session started it, unless something of it stays there and goes on.

        Raises
        ------
        DeviceError
            ``device_lost``: it went away before.
        EngineError
            ``engine_gone``, ``engine_failed``: its engine did.
        """
        if not self._started:
            return
        self._started = False
        stats = self.stats()
        state = stats["state"]
        if state == "running":
            if not (self.keep or self.kept or self.kept_jobs):
                self.stop()
        elif state == "lost":
            why = stats["reason"] or "nobody says why"
            raise DeviceError(
                f"the device {self.device} was lost while the stream ran: {why}; recordings are whole up to there",
                code="device_lost",
                where=self.device,
            )
        elif state == "failed":
            gone = not self.client.alive()
            raise EngineError(
                f"the engine {'ended' if gone else 'failed'} while the stream ran; recordings are whole up to there",
                code="engine_gone" if gone else "engine_failed",
                where=self.client.engine,
            )
