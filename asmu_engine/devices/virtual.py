"""A simulated device, paced by the monotonic clock, with a loopback from its outputs to its inputs and faults on demand.

Block n covers the frame positions from ``n * blocksize`` on and is due when its last frame would have been captured:
at an absolute time computed from its position, so that no error adds up. A device that is late catches up block by
block, as one with a deep buffer does, until it is more than ``buffer_s`` behind; then what it is behind by is lost.
"""

from __future__ import annotations

import time

import numpy as np

from asmu_engine.devices.base import FINISHED, BlockCallback, Flags
from asmu_engine.devices.faults import FLAG_FAULTS, Faults, WrongClock, check_plugged, plug
from asmu_engine.devices.loopback import Loopback
from asmu_engine.devices.streaming import ThreadedDevice
from asmu_engine.protocol.device import Virtual
from asmu_engine.protocol.errors import DeviceError


class VirtualDevice(ThreadedDevice):
    """See `asmu_engine.protocol.device.Virtual` for the settings, `asmu_engine.devices.open` for the checks."""

    host_api = "virtual"

    def __init__(
        self, spec: Virtual, samplerate: float, blocksize: int, inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> None:
        super().__init__()
        check_plugged(spec.name)
        self.name = spec.name
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.inputs, self.outputs = inputs, outputs
        self.max_inputs, self.max_outputs = spec.inputs, spec.outputs
        self._frame_ns = 1e9 / (samplerate * (1.0 + 1e-6 * spec.drift_ppm) * spec.speed)
        # In seconds of its own clock, as everything that is counted in frames, whatever speed and drift it has.
        self.input_latency = blocksize / samplerate
        self._buffer_frames = spec.buffer_s * samplerate
        self.loopback = Loopback(spec, samplerate, blocksize, inputs, outputs)
        self._faults = Faults(spec.name)
        self._indata = np.zeros((blocksize, len(inputs)), dtype=np.float32)
        self._outdata = np.zeros((blocksize, len(outputs)), dtype=np.float32)

    def check_startable(self) -> None:
        """Also DeviceError ``device_lost`` while the device is gone."""
        super().check_startable()
        check_plugged(self.name)

    def rewind(self) -> None:
        """Position 0, silence in the loopback, no fault ordered."""
        self.loopback.reset()
        self._faults.clear()

    def fault(self, name: str, blocks: int = 1, frames: int = 1) -> None:
        """Fail on purpose, from the next block on.

        ``stall``: no callback for `blocks` blocks. ``lose``: `frames` frames vanish. ``input_overflow`` and the other
        flags: on the next block. ``gone``: the stream ends, and the device cannot be started or opened until ``back``.
        ``clock_zero``, ``clock_jump``: the device's clock is 0, or jumps, for `blocks` blocks.

        Raises
        ------
        DeviceError
            ``no_fault`` for another name, ``device_state`` when the device does not run (except gone and back).
        """
        if name == "back":
            plug(self.name, present=True)
            return
        if name == "gone":
            plug(self.name, present=False)
        elif not self.running:
            raise DeviceError(f"{self.name} does not run; start it before it is told to {name}", code="device_state", where=name)
        self._faults.put(name, blocks, frames)

    def stream(self, callback: BlockCallback) -> str:
        """Call back for block after block, each at its time."""
        indata, outdata, loopback = self._indata, self._outdata, self.loopback
        frame_ns, blocksize = self._frame_ns, self.blocksize
        position, late_until = 0, 0
        clock = WrongClock()
        origin = time.monotonic_ns()
        while True:
            flags = lost = 0
            while (order := self._faults.take()) is not None:
                if order.name == "gone":
                    return f"lost: device {self.name} is gone"
                if order.name == "stall":
                    late_until = origin + int((position + (order.blocks + 1) * blocksize) * frame_ns)
                elif order.name == "lose":
                    lost += order.frames
                    flags |= Flags.INPUT_OVERFLOW
                elif not clock.order(order):
                    flags |= FLAG_FAULTS[order.name]
            due = origin + int((position + lost + blocksize) * frame_ns)
            behind = (self.wait_until(max(due, late_until)) - due) / frame_ns
            if self.stopping:
                return FINISHED
            if behind >= 1.0 and behind > self._buffer_frames:
                overrun = int(behind)
                lost += overrun
                due += int(overrun * frame_ns)
                flags |= Flags.INPUT_OVERFLOW | Flags.OUTPUT_UNDERFLOW
            if lost:
                loopback.skip(lost)
                position += lost
            loopback.capture(indata)
            more = callback(indata, outdata, int(flags), lost, due, clock.read((due - blocksize * frame_ns) * 1e-9))
            loopback.play(outdata)
            position += blocksize
            if not more:
                return FINISHED
