"""asmu 0.1.10, stepped by its own callback, as its own tests do; needs Python 3.12 or newer."""

from __future__ import annotations

import importlib
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._jobs import FRAMES, METER_FRAMES, PERIOD, SAMPLERATE, Job, Samples
from benchmarks._peer import Peer, Rendered, Unable, serve, slope

_CHECKED = 20


class Asmu:
    """One job as a patch of asmu's."""

    def __init__(self, job: Job, folder: Path) -> None:
        if job.name == "weighting":
            raise Unable("Weight multiplies the FFT of each block by the curve; what it renders is another signal")
        if job.name == "convolution":
            raise Unable("it has no convolution")
        self._job = job
        self._asmu: Any = importlib.import_module("asmu")
        self._interface = self._asmu.Interface(device=-1, samplerate=SAMPLERATE, blocksize=FRAMES)
        self._source = job.inputs_at(0, PERIOD).astype(np.float32) if job.inputs else np.zeros((PERIOD, 1), np.float32)
        self._out: Samples = np.zeros((FRAMES, max(job.outputs, 1)), dtype=np.float32)
        self._block = 0
        self._rms: Any = None
        self._file: Any = None
        self._path = folder / "asmu.wav"
        getattr(self, f"_{job.name}")()

    def check(self) -> Rendered:
        """The first blocks; of the recording, what stands in the file."""
        out = []
        for _ in range(_CHECKED):
            self._step()
            out.append(self._out.copy())
        if self._file is None:
            return Rendered(np.concatenate(out), 0)
        self._file.flush()
        levels = self._rms.get_rms()
        soundfile: Any = importlib.import_module("soundfile")
        data, _ = soundfile.read(str(self._path), dtype="float32")
        return Rendered(data, 0, levels, 0, METER_FRAMES)

    def time(self, seconds: float) -> dict[str, float]:
        """µs a block in the callback."""
        return {"us_per_block": slope(self._blocks, seconds)}

    def close(self) -> None:
        """Close the file that it records to."""
        if self._file is not None:
            self._file.close()

    def _blocks(self, count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            self._step()
        taken = time.process_time() - began
        if self._file is not None:
            self._file.seek(0)  # or a long run fills the disk
        return taken

    def _step(self) -> None:
        start = self._block * FRAMES % PERIOD
        self._interface.callback(self._source[start : start + FRAMES], self._out, FRAMES, None, None)
        self._block += 1

    def _sines(self) -> None:
        asmu, interface = self._asmu, self._interface
        mix = asmu.effect.Sum(interface, out_buffer=True)
        for channel, frequency in enumerate(self._job.frequencies):
            last = asmu.generator.Sine(interface, float(frequency))
            for value in self._job.gains[channel]:
                # Without buffers, the fastest that it has for a chain.
                gain = asmu.effect.Gain(interface, float(value), in_buffer=False)
                last.output().connect(gain.input())
                last = gain
            last.output().connect(mix.input(channel))
        for number in range(2):
            mix.output().connect(interface.ioutput(number, ch=number + 1))

    def _gains(self) -> None:
        asmu, interface = self._asmu, self._interface
        processors = [asmu.effect.Gain(interface, float(value), in_buffer=False) for value in self._job.gains[0]]
        for channel in range(self._job.channels):
            last = interface.iinput(channel, ch=channel + 1)
            for gain in processors:
                last.connect(gain.input(channel))
                last = gain.output(channel)
            last.connect(interface.ioutput(channel, ch=channel + 1))

    def _meter(self) -> None:
        asmu, interface = self._asmu, self._interface
        channels = self._job.channels
        soundfile: Any = importlib.import_module("soundfile")
        self._file = soundfile.SoundFile(str(self._path), "w+", SAMPLERATE, channels, "FLOAT")
        recorder = asmu.analyzer.Recorder(interface, self._file)
        self._rms = asmu.analyzer.RMS(interface, METER_FRAMES)
        for channel in range(channels):
            source = interface.iinput(channel, ch=channel + 1)
            source.connect(recorder.input(channel))
            source.connect(self._rms.input(channel))


if __name__ == "__main__":
    if sys.version_info < (3, 12):
        raise SystemExit("asmu needs Python 3.12 or newer")

    def make(job: Job, folder: Path) -> Peer:
        """The process's own."""
        return Asmu(job, folder)

    serve(make, lambda: {"asmu": metadata.version("asmu"), "numpy": np.__version__})
