"""pyo: its server with ``audio="manual"``, which is the offline one stepped block by block and without a file.

Its `Input` takes 25 µs a channel. In its favour the inputs are sines of its own instead, whose time is measured with the job
stopped, and subtracted. All objects are vectorised as pyo does it: one object with a list of values, one C structure a
channel. The weighting is done by its build in double precision, as that in single precision is off by 2e-4.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._jobs import AMPLITUDE, FRAMES, SAMPLERATE, Job
from benchmarks._peer import Peer, Rendered, Unable, read_wav, serve, slope, write_wav

PARTITION = 4096
"""Partition of its convolution, frames, by which it is late; 2048 and 4096 are the fastest of 256 to 16384 here."""
_SETTLE_BLOCKS = 64  # the server fades in
_CHECKED = 20
_FLOAT = 3


class Pyo:
    """One job on a server of pyo's."""

    def __init__(self, job: Job, folder: Path, partition: int = PARTITION) -> None:
        self._pyo: Any = importlib.import_module("pyo64" if job.name == "weighting" else "pyo")
        self._job, self._folder, self._partition = job, folder, partition
        channels = max(job.outputs, 1)
        self._server = self._pyo.Server(sr=SAMPLERATE, nchnls=channels, buffersize=FRAMES, duplex=0, audio="manual")
        self._server.setVerbosity(1)
        self._server.boot()
        self._server.amp = 1.0
        self._out = _buffer(self._server.getOutputAddr(), channels)
        self._block = self._files = 0
        self._source: Any = None
        self._work: list[Any] = []
        self._late = 0
        if job.inputs:
            self._source = self._sine(AMPLITUDE)
        getattr(self, f"_{job.name}")()
        self._server.start()

    def check(self) -> Rendered:
        """Blocks after it has settled; of the recording, what stands in the file."""
        for _ in range(max(_SETTLE_BLOCKS, -(-(self._job.settle + self._late) // FRAMES))):
            self._step()
        first = self._block * FRAMES
        out = []
        for _ in range(_CHECKED):
            self._step()
            out.append(self._out.copy())
        if self._job.name != "meter":
            return Rendered(np.concatenate(out)[:, : self._job.outputs], first - self._late, late=self._late)
        # What it tells is the first sample of a block, which has the level of the block before it.
        rms, recorder = self._work[:2]
        levels = np.array(rms.get(all=True), np.float32)
        recorder.stop()
        recorded = read_wav(self._path)
        self._record()
        return Rendered(recorded, 0, levels, first + (_CHECKED - 2) * FRAMES, FRAMES)

    def time(self, seconds: float) -> dict[str, float]:
        """µs a block, without the sines that are its inputs; `gross_us_per_block` with them."""
        gross = slope(self._blocks, seconds)
        if self._source is None:
            return {"us_per_block": gross, "gross_us_per_block": gross}
        for made in self._work:
            made.stop()
        sources = slope(self._blocks, seconds)
        return {"us_per_block": gross - sources, "gross_us_per_block": gross}

    def close(self) -> None:
        """End the server."""
        self._server.stop()
        self._server.shutdown()

    def _blocks(self, count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            self._step()
        return time.process_time() - began

    def _step(self) -> None:
        self._server.process()
        self._block += 1

    def _sine(self, peak: float) -> Any:
        return self._pyo.Sine(freq=[float(value) for value in self._job.frequencies], mul=peak)

    def _keep(self, made: Any) -> Any:
        self._work.append(made)
        return made

    def _play(self, signal: Any) -> None:
        self._keep(signal).out(list(range(self._job.outputs)))

    def _sines(self) -> None:
        signal = self._keep(self._sine(1.0))
        for column in self._job.gains.T:
            signal = self._keep(signal * [float(value) for value in column])
        self._play((signal.mix(1) * (1 / self._job.channels)).mix(2))

    def _gains(self) -> None:
        signal = self._source
        for value in self._job.gains[0]:
            signal = self._keep(signal * float(value))
        self._play(signal)

    def _weighting(self) -> None:
        signal = self._source
        for b0, b1, b2, a0, a1, a2 in self._job.sos.tolist():
            signal = self._keep(self._pyo.Biquada(signal, b0=b0, b1=b1, b2=b2, a0=a0, a1=a1, a2=a2))
        self._play(signal)

    def _convolution(self) -> None:
        paths = [self._folder / f"pyo_ir{channel}.wav" for channel in range(self._job.channels)]
        for channel, path in enumerate(paths):
            write_wav(path, self._job.ir[:, channel])
        self._late = self._partition
        # What it renders is 50 / partition of the convolution.
        for channel, path in enumerate(paths):
            signal = self._source[channel]
            self._keep(self._pyo.CvlVerb(signal, str(path), bal=1, size=self._partition, mul=self._partition / 50)).out(channel)

    def _meter(self) -> None:
        self._keep(self._pyo.RMS(self._source))
        self._record()

    def _record(self) -> None:
        """To a file of its own."""
        self._files += 1
        self._path = self._folder / f"pyo{self._files}.wav"
        channels = self._job.channels
        self._keep(self._pyo.Record(self._source, str(self._path), chnls=channels, fileformat=0, sampletype=_FLOAT))


def _buffer(address: Any, channels: int) -> Any:
    """What the server plays, its own memory, shape (FRAMES, channels)."""
    place = int(address, 16) if isinstance(address, str) else int(address)
    memory = (ctypes.c_float * (FRAMES * channels)).from_address(place)
    return np.ctypeslib.as_array(memory).reshape(FRAMES, channels)


if __name__ == "__main__":

    def make(job: Job, folder: Path) -> Peer:
        """The process's own."""
        try:
            return Pyo(job, folder, *map(int, sys.argv[3:]))
        except ValueError as error:
            raise Unable(str(error)) from None

    serve(make, lambda: {"pyo": importlib.import_module("pyo").PYO_VERSION, "numpy": np.__version__})
