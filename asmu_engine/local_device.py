"""What a device's inputs hear, for an engine inside the caller's process: the simulated devices' own system, and sound files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asmu_engine.devices.base import checked_channels
from asmu_engine.devices.loopback import Loopback
from asmu_engine.devices.soundfile_io import open_soundfile
from asmu_engine.protocol.device import AnyDevice, File, Offline, Virtual
from asmu_engine.rt.acore import Block


class LocalDevice:
    """One stream of a device, block by block: `hear`, then `play`, and `lose` where frames vanish between blocks.

    A virtual or offline device gives what it gives its engine, bit for bit; so does a file. Of a sound device of the real
    world nothing is known: its inputs are silent.

    Parameters
    ----------
    spec
        The device.
    samplerate, blocksize
        Hz, and frames of the longest block.
    inputs, outputs
        Channels in use, from 1, in the order of the columns.

    Raises
    ------
    DeviceError
        ``device_unknown``, ``device_failed``: a file that is not there, or cannot be read; ``device_channels``.
    """

    def __init__(self, spec: AnyDevice, samplerate: float, blocksize: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self._heard = np.zeros((blocksize, len(inputs)), dtype=np.float32)
        self._loopback: Loopback | None = None
        self._file: Any = None
        self._loop = False
        self._columns = np.array(inputs, dtype=np.intp) - 1
        if isinstance(spec, (Virtual, Offline)):
            name = f"device {spec.kind}"
            chosen = checked_channels(inputs, spec.inputs, "input", name), checked_channels(outputs, spec.outputs, "output", name)
            self._loopback = Loopback(spec, samplerate, blocksize, *chosen)
        elif isinstance(spec, File):
            self._file = open_soundfile(spec.path)
            self._loop = spec.loop
            checked_channels(inputs, self._file.channels, "input", f"file {spec.path}")

    def hear(self, frames: int) -> Block:
        """The next block of the inputs, shape (frames, inputs); valid until the next call."""
        heard = self._heard[:frames]
        if self._loopback is not None:
            self._loopback.capture(heard)
        elif self._file is not None:
            self._read(heard)
        return heard

    def play(self, outdata: Block) -> None:
        """What the outputs played in the block that was heard last, shape (frames, outputs)."""
        if self._loopback is not None:
            self._loopback.play(outdata)

    def lose(self, frames: int) -> None:
        """So many frames vanish before the next block."""
        if self._loopback is not None:
            self._loopback.skip(frames)

    def close(self) -> None:
        """Close its file; harmless when done before."""
        if self._file is not None:
            self._file.close()

    def _read(self, heard: Block) -> None:
        done = 0
        while done < len(heard):
            got = self._file.read(len(heard) - done, dtype="float32", always_2d=True)
            heard[done : done + len(got)] = got[:, self._columns]
            done += len(got)
            if done < len(heard):
                if not self._loop or not self._file.frames:
                    heard[done:] = 0.0
                    return
                self._file.seek(0)
