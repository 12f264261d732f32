"""A simulated device without a clock: as fast as the machine goes, or stepped by its owner; bit-identical on every run."""

from __future__ import annotations

import time

import numpy as np

from asmu_engine.devices.base import FINISHED, BlockCallback, Flags, OnEnd
from asmu_engine.devices.faults import FLAG_FAULTS, Faults
from asmu_engine.devices.loopback import Loopback
from asmu_engine.devices.streaming import ThreadedDevice
from asmu_engine.protocol.device import Offline
from asmu_engine.protocol.errors import DeviceError


class OfflineDevice(ThreadedDevice):
    """See `asmu_engine.protocol.device.Offline` for the settings, `asmu_engine.devices.open` for the checks.

    A stepped device has no thread: `step` calls back in the thread of its caller, one caller at a time.
    """

    name = "offline"
    host_api = "offline"
    paced = False

    def __init__(
        self, spec: Offline, samplerate: float, blocksize: int, inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.stepped = spec.stepped
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.inputs, self.outputs = inputs, outputs
        self.max_inputs, self.max_outputs = spec.inputs, spec.outputs
        self.input_latency = blocksize / samplerate
        self.loopback = Loopback(spec, samplerate, blocksize, inputs, outputs)
        self._faults = Faults(self.name, ("lose", *FLAG_FAULTS, "gone"))
        self._indata = np.zeros((blocksize, len(inputs)), dtype=np.float32)
        self._outdata = np.zeros((blocksize, len(outputs)), dtype=np.float32)
        self._position = 0
        self._stepping: tuple[BlockCallback, OnEnd] | None = None

    @property
    def running(self) -> bool:
        """True from `start` until the stream was stopped or ended."""
        return self._stepping is not None if self.stepped else super().running

    def start(self, callback: BlockCallback, on_end: OnEnd) -> None:
        """Begin to call back, or to be ready for `step`."""
        if not self.stepped:
            super().start(callback, on_end)
            return
        self.check_startable()
        self.rewind()
        self._stopping = False
        if self.thread_setup is not None:
            self.thread_setup()
        self._stepping = (callback, on_end)

    def stop(self) -> None:
        """End the stream, after the block that it is at."""
        super().stop()
        self._stepping = None

    def rewind(self) -> None:
        """Position 0, silence in the loopback, no fault ordered."""
        self._position = 0
        self.loopback.reset()
        self._faults.clear()

    def fault(self, name: str, blocks: int = 1, frames: int = 1) -> None:
        """Fail on purpose on the next block: ``lose``, a flag, or ``gone``; there is no time to stall."""
        self._faults.put(name, blocks, frames)

    def step(self, blocks: int) -> int:
        """Process up to `blocks` blocks here and now, fewer when the stream ends or is stopped meanwhile."""
        if not self.stepped:
            return super().step(blocks)
        stepping = self._stepping
        if stepping is None:
            raise DeviceError(f"{self.name} is not started; start it before it is stepped", code="device_state", where=self.name)
        callback, on_end = stepping
        for done in range(blocks):
            if self._stopping:
                return done
            try:
                reason = self._block(callback)
            except Exception as error:  # noqa: BLE001 - as in a thread of its own: the stream is over, and says why
                reason = self.failure(error)
            if reason:
                self._stepping = None
                on_end(reason)
                return done if reason != FINISHED else done + 1
        return blocks

    def stream(self, callback: BlockCallback) -> str:
        """Call back without a pause."""
        while not self.stopping:
            reason = self._block(callback)
            if reason:
                return reason
        return FINISHED

    def _block(self, callback: BlockCallback) -> str:
        """One block; the reason when the stream ends, else an empty text."""
        flags = lost = 0
        while (order := self._faults.take()) is not None:
            if order.name == "gone":
                return f"lost: device {self.name} is gone"
            if order.name == "lose":
                lost += order.frames
                flags |= Flags.INPUT_OVERFLOW
            else:
                flags |= FLAG_FAULTS[order.name]
        self.wait_while_held(self.blocksize)
        if self._stopping:
            return ""
        if lost:
            self.loopback.skip(lost)
            self._position += lost
        self.loopback.capture(self._indata)
        device_time = self._position / self.samplerate
        more = callback(self._indata, self._outdata, int(flags), lost, time.monotonic_ns(), device_time)
        self.loopback.play(self._outdata)
        self._position += self.blocksize
        return "" if more else FINISHED
