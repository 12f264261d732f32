"""A sound file as the inputs of a device: paced in real time or faster, to its end or looped. Outputs are discarded.

The file waits for the engine, never the other way: nothing is lost however late a block is. The last block of a file
has exactly the frames that are left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asmu_engine.devices.base import FINISHED, BlockCallback, checked_channels, checked_use, wrong_samplerate
from asmu_engine.devices.readahead import ReadAhead
from asmu_engine.devices.streaming import ThreadedDevice
from asmu_engine.protocol.device import File
from asmu_engine.protocol.errors import DeviceError

_MOST_BEHIND_NS = 1_000_000_000
"""A stream later than this goes on from now, instead of racing to where it would be."""


class FileDevice(ThreadedDevice):
    """See `asmu_engine.protocol.device.File` for the settings.

    Raises
    ------
    DeviceError
        ``device_unknown`` where there is no such file, ``device_failed`` for one that cannot be read or is empty,
        ``device_samplerate`` and ``device_channels`` for what the file does not have.
    """

    host_api = "file"

    def __init__(
        self,
        spec: File,
        samplerate: float | None,
        blocksize: int,
        inputs: Sequence[int] | None,
        outputs: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self._spec = spec
        self.name = Path(spec.path).name
        self.blocksize = blocksize
        self.paced = spec.speed > 0.0
        self._reader: ReadAhead | None = ReadAhead(spec.path, blocksize, loop=spec.loop)
        self._fresh = True
        try:
            self._check(self._reader, samplerate, inputs, outputs)
        except DeviceError:
            self._close_reader()
            raise
        self.input_latency = blocksize / self.samplerate
        # A run of channels is a plain slice; anything else is picked column by column.
        run = range(self.inputs[0] - 1, self.inputs[-1]) if self.inputs else range(0)
        consecutive = tuple(channel - 1 for channel in self.inputs) == tuple(run)
        self._columns = slice(run.start, run.stop) if consecutive else np.array(self.inputs, dtype=np.intp) - 1
        self._indata = np.zeros((blocksize, len(self.inputs)), dtype=np.float32)
        self._outdata = np.zeros((blocksize, len(self.outputs)), dtype=np.float32)

    def rewind(self) -> None:
        """Back to the start of the file."""
        if not self._fresh or self._reader is None:
            self._close_reader()
            self._reader = ReadAhead(self._spec.path, self.blocksize, loop=self._spec.loop)
        self._fresh = False

    def close(self) -> None:
        """Stop for good, and close the file."""
        super().close()
        self._close_reader()

    def stream(self, callback: BlockCallback) -> str:
        """Call back for block after block of the file."""
        reader = self._reader
        assert reader is not None
        frame_ns = 1e9 / (self.samplerate * self._spec.speed) if self.paced else 0.0
        frames = self._wait_for_frames(reader)
        origin, position = time.monotonic_ns(), 0
        while frames:
            if self.paced:
                due = origin + int((position + frames) * frame_ns)
                behind = self.wait_until(due) - due
                if behind > _MOST_BEHIND_NS:
                    origin += behind
            else:
                self.wait_while_held(frames)
                due = time.monotonic_ns()
            if self.stopping:
                return FINISHED
            indata, outdata = self._indata[:frames], self._outdata[:frames]
            reader.take(indata, self._columns)
            if not callback(indata, outdata, 0, 0, due, position / self.samplerate):
                return FINISHED
            position += frames
            frames = self._wait_for_frames(reader)
        return f"lost: {self._spec.path} cannot be read on: {reader.error}" if reader.error else FINISHED

    def _wait_for_frames(self, reader: ReadAhead) -> int:
        """The frames of the next block once they are in memory; 0 at the end of the file."""
        while not (frames := reader.ready(self.blocksize)) and not reader.at_end and not self.stopping:
            time.sleep(0.0005)
        return frames

    def _check(
        self, reader: ReadAhead, samplerate: float | None, inputs: Sequence[int] | None, outputs: Sequence[int] | None
    ) -> None:
        name = f"file {self._spec.path}"
        if reader.frames == 0:
            raise DeviceError(f"{name} is empty", code="device_failed", where=self._spec.path)
        self.samplerate = reader.samplerate
        if samplerate is not None and float(samplerate) != self.samplerate:
            raise wrong_samplerate(
                name,
                samplerate,
                f"{self.samplerate:g} Hz",
                f"use samplerate {self.samplerate:g}, or convert the file (with a resampler of your choice)",
            )
        self.max_inputs, self.max_outputs = reader.channels, self._spec.outputs
        self.inputs = checked_channels(inputs, self.max_inputs, "input", name, hint="use a file with more")
        self.outputs = checked_channels(outputs, self.max_outputs, "output", name, hint="open file:PATH,outputs=N with more")
        checked_use(self.inputs, self.outputs, name)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
