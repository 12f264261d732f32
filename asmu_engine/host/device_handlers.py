"""Requests on the device: it starts, stops, steps, resets, and fails on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asmu_engine.config import EngineConfig
from asmu_engine.host.audio import Audio
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.lane import Lane
from asmu_engine.host.leases import Leases
from asmu_engine.host.patch import Patch
from asmu_engine.host.transactions import Transactions
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import AsmuError, DeviceError


class DeviceHandlers:
    """Leads them to the audio process; what depends on the patch waits for its turn among the transactions."""

    def __init__(
        self, config: EngineConfig, patch: Patch, leases: Leases, transactions: Transactions, lane: Lane, audio: Audio
    ) -> None:
        self._config = config
        self._patch = patch
        self._leases = leases
        self._transactions = transactions
        self._lane = lane
        self._audio = audio
        self.handlers: Handlers = {
            messages.Start: self.start,
            messages.Stop: lambda request, client, answer: audio.run.stop(answer),
            messages.Step: self._step,
            messages.Reset: self._reset,
            messages.Profile: self._profile,
            messages.Fault: self._fault,
        }

    def start(self, request: messages.Start, client: Client, answer: Answer) -> None:
        """Let the device run with channels that the patch can do with."""
        inputs = self._config.inputs if request.inputs is None else request.inputs
        outputs = self._config.outputs if request.outputs is None else request.outputs
        message = {
            "inputs": inputs,
            "outputs": outputs,
            "end_block": request.end_block,
            "drop": request.drop,
            "reset": request.reset,
        }

        def started(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None:
                answer(None, error)
                return
            device = result.get("device") or {}
            try:
                self._check_channels(device.get("inputs"), device.get("outputs"))
            except DeviceError as refusal:
                missing = refusal  # the name that `except` binds is gone when the lambda runs
                self._audio.run.stop(lambda result, error: answer(None, missing))
            else:
                answer(result, None)

        def work(done: Callable[[], None]) -> None:
            def ended(result: dict[str, Any] | None, error: AsmuError | None) -> None:
                try:
                    started(result, error)
                finally:
                    done()

            try:
                self._check_channels(inputs, outputs)
                self._audio.run.start(message, ended)
            except AsmuError as error:
                answer(None, error)
                done()

        self._transactions.by_itself(work)

    def _check_channels(self, inputs: list[int] | None, outputs: list[int] | None) -> None:
        for side, used, there in zip(("input", "output"), self._patch.used_channels(), (inputs, outputs), strict=True):
            missing = [] if there is None else sorted(set(used) - set(there))
            if missing:
                raise DeviceError(
                    f"the patch uses {side} channels {_list(missing)}, the device would run with {_list(there or [])}; "
                    "start with these channels too, take another device, or disconnect them",
                    code="device_channels",
                    where=str(self._config.device),
                )

    def _step(self, request: messages.Step, client: Client, answer: Answer) -> None:
        self._lane.in_turn(lambda: self._audio.ask({"do": "step", "blocks": request.blocks}, answer, None), answer)

    def _profile(self, request: messages.Profile, client: Client, answer: Answer) -> None:
        # In the lane, which bounds how many are on their way: edits do not wait behind thousands of them.
        def work(done: Callable[[], None]) -> None:
            def told(result: dict[str, Any] | None, error: AsmuError | None) -> None:
                answer(result, error)
                done()

            try:
                self._audio.ask({"do": "profile", "enabled": request.enabled}, told)
            except AsmuError as error:
                told(None, error)

        self._lane.submit(work, alone=lambda: False)

    def _reset(self, request: messages.Reset, client: Client, answer: Answer) -> None:
        def work(done: Callable[[], None]) -> None:
            def ended(result: dict[str, Any] | None, error: AsmuError | None) -> None:
                answer(result, error)
                done()

            try:
                self._leases.check_all(client, outputs=request.drop > 0)
                self._audio.run.reset(request.drop, ended)
            except AsmuError as error:
                ended(None, error)

        self._transactions.by_itself(work)

    def _fault(self, request: messages.Fault, client: Client, answer: Answer) -> None:
        fields = {"blocks": request.blocks, "frames": request.frames, "seconds": request.seconds}
        self._audio.ask({"do": "fault", "fault": request.fault, **fields}, answer)


def _list(channels: list[int]) -> str:
    return ", ".join(str(channel) for channel in channels) or "none"
