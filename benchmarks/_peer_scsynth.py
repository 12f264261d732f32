"""SuperCollider's scsynth in non-real-time mode, its scores made by supriya, blocks of 256 frames.

All that can be is taken off in its favour: the inputs are its own sine oscillators, whose time is measured alone and
subtracted; what it plays stays on private buses, so that it reads no file and writes none (but for the recording of the job
``meter``, which is its output file). Each job is one synth with a unit generator for each sine, gain or section.
"""

from __future__ import annotations

import importlib
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import new_class
from typing import Any

import numpy as np

from benchmarks._jobs import AMPLITUDE, FRAMES, METER_FRAMES, SAMPLERATE, Job
from benchmarks._peer import Peer, Rendered, Unable, read_wav, serve, slope, write_wav

PARTITION = 4096
"""Length of the FFT of its convolution, frames; the fastest of 1024 to 16384 here. Half of it less a block is how late it is."""
_INPUTS, _OUTPUTS = 512, 1024
"""First private bus of the job's inputs, and of its outputs."""
_CHECKED = 20


class Scsynth:
    """One job as scores for scsynth."""

    def __init__(self, job: Job, folder: Path, program: str, partition: int = PARTITION) -> None:
        self._supriya: Any = importlib.import_module("supriya")
        self._ugens: Any = importlib.import_module("supriya.ugens")
        self._job, self._folder, self._program, self._partition = job, folder, program, partition
        if job.name == "convolution":
            for channel in range(job.channels):
                write_wav(self._ir(channel), job.ir[:, channel])

    def check(self) -> Rendered:
        """The job with its outputs, and with the meter's levels, on the device, that is in the file."""
        job = self._job
        late = self._partition // 2 - FRAMES if job.name == "convolution" else 0
        first = -(-(job.settle + late) // FRAMES)
        levels = job.channels if job.name == "meter" else 0
        outputs = job.outputs or job.channels
        path = self._folder / "checked.wav"
        self._run(self._score(first + _CHECKED, playing=True, checked=True), path, outputs + levels)
        data = read_wav(path)[first * FRAMES : (first + _CHECKED) * FRAMES]
        rendered = Rendered(data[:, :outputs], first * FRAMES - late, late=late)
        if levels:
            rendered.levels = data[-1, outputs:]
            rendered.level_first, rendered.level_frames = len(data) - METER_FRAMES, METER_FRAMES
        return rendered

    def time(self, seconds: float) -> dict[str, float]:
        """µs a block, without the oscillators that make its inputs; `gross_us_per_block` with them."""
        path = self._folder / "timed.wav"
        outputs = self._job.channels if self._job.name == "meter" else 1

        def timed(playing: bool, channels: int) -> Callable[[int], float]:
            def run(blocks: int) -> float:
                return self._run(self._score(blocks, playing=playing), path, channels)

            return run

        gross = slope(timed(True, outputs), 2 * seconds)
        sources = slope(timed(False, 1), 2 * seconds) if self._job.inputs else 0.0
        return {"us_per_block": gross - sources, "gross_us_per_block": gross}

    def close(self) -> None:
        """Nothing runs between two runs."""

    def _run(self, score: bytes, output: Path, outputs: int) -> float:
        """Render a score; the processor time that it took, s."""
        path = self._folder / "score.osc"
        path.write_bytes(score)
        options = f"-i 0 -o {outputs} -z {FRAMES} -a 2048 -w 8192 -m 262144 -n 4096 -b 1024".split()
        files = [str(path), "_", str(output), str(SAMPLERATE), "WAV", "float"]
        began = _of_children()
        done = subprocess.run([self._program, *options, "-N", *files], capture_output=True, text=True, check=False)
        taken = _of_children() - began
        if done.returncode:
            raise Unable(f"scsynth ended with {done.returncode}: {(done.stderr + done.stdout).strip()[-300:]}")
        return taken

    def _score(self, blocks: int, *, playing: bool, checked: bool = False) -> bytes:
        """So many blocks of the inputs, and of the job where it is `playing`."""
        score = self._supriya.Score(
            options=self._supriya.scsynth.Options(
                input_bus_channel_count=0, output_bus_channel_count=1, audio_bus_channel_count=2048, block_size=FRAMES
            )
        )
        buffers = [self._buffers()] if self._job.name == "convolution" else []
        with score.at(0):
            synths = [self._sources()] if self._job.inputs else []
            synths += [self._work(0 if checked else _OUTPUTS, checked)] if playing else []
            for synth in synths:
                with score.add_synthdefs(synth):
                    score.add_synth(synth, add_action="ADD_TO_TAIL")
        with score.at(blocks * FRAMES / SAMPLERATE):
            score.do_nothing()
        return b"".join(struct.pack(">i", len(bundle)) + bundle for bundle in (*buffers, *score.iterate_datagrams()))

    def _build(self, name: str, signals: Sequence[Any], bus: int, builder: Any) -> Any:
        self._ugens.Out.ar(bus=bus, source=list(signals))
        return builder.build(name=name)

    def _sines(self) -> list[Any]:
        # The next number up: what the increment of its phase is cut to is then the exact one.
        frequencies = np.nextafter(self._job.frequencies.astype(np.float32), np.float32(np.inf))
        return [self._ugens.SinOsc.ar(frequency=float(value)) for value in frequencies]

    def _sources(self) -> Any:
        with self._supriya.SynthDefBuilder() as builder:
            return self._build("sources", [sine * AMPLITUDE for sine in self._sines()], _INPUTS, builder)

    def _work(self, bus: int, checked: bool) -> Any:
        job, ugens = self._job, self._ugens
        with self._supriya.SynthDefBuilder() as builder:
            signals = self._sines() if job.name == "sines" else list(ugens.In.ar(bus=_INPUTS, channel_count=job.channels))
            if job.name in ("sines", "gains"):
                for factors in job.gains.T:
                    signals = [signal * float(factor) for signal, factor in zip(signals, factors, strict=True)]
            if job.name == "sines":
                signals = [ugens.Mix.new(signals) * (1 / job.channels)] * 2
            for b0, b1, b2, _, a1, a2 in job.sos.tolist():
                signals = [ugens.SOS.ar(source=one, a_0=b0, a_1=b1, a_2=b2, b_1=-a1, b_2=-a2) for one in signals]
            if job.name == "convolution":
                convolver = _part_conv()
                signals = [
                    convolver.ar(source=signal, framesize=self._partition, buffer_id=2 * channel + 1)
                    for channel, signal in enumerate(signals)
                ]
            if job.name == "meter":
                bus = 0
                signals = signals + self._levels(signals, checked)
            return self._build("work", signals, bus, builder)

    def _levels(self, signals: Sequence[Any], checked: bool) -> list[Any]:
        """To be played where they are `checked`; else on control buses."""
        ugens = self._ugens
        sums = [ugens.RunningSum.ar(source=signal * signal, sample_count=METER_FRAMES) for signal in signals]
        if checked:
            return [(one * (1 / METER_FRAMES)).sqrt() for one in sums]
        levels = [(ugens.A2K.kr(source=one) * (1 / METER_FRAMES)).sqrt() for one in sums]
        ugens.Out.kr(bus=0, source=levels)
        return []

    def _buffers(self) -> bytes:
        """Each impulse response in a buffer of its own, and its spectra in the one after it; supriya has not the last."""
        osc: Any = importlib.import_module("supriya.osc")
        size = self._partition * -(-len(self._job.ir) // (self._partition // 2))
        messages = []
        for channel in range(self._job.channels):
            taps, spectra = 2 * channel, 2 * channel + 1
            messages.append(osc.OscMessage("/b_allocRead", taps, str(self._ir(channel)), 0, 0))
            messages.append(osc.OscMessage("/b_alloc", spectra, size, 1))
            messages.append(osc.OscMessage("/b_gen", spectra, "PreparePartConv", taps, self._partition))
        bundle: bytes = osc.OscBundle(timestamp=0, contents=messages).to_datagram(realtime=False)
        return bundle

    def _ir(self, channel: int) -> Path:
        return self._folder / f"scsynth_ir{channel}.wav"


def _of_children() -> float:
    """Processor time of all that ended, s."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _part_conv() -> Any:
    """The unit generator of partitioned convolution, which supriya has not."""
    core: Any = importlib.import_module("supriya.ugens.core")

    names = ("source", "framesize", "buffer_id")  # PartConv.ar(in, fftsize, irbufnum)
    made = new_class("PartConv", (core.UGen,), exec_body=lambda body: body.update({name: core.param() for name in names}))
    return core.ugen(ar=True)(made)


if __name__ == "__main__":
    scsynth = sys.argv[3]

    def make(job: Job, folder: Path) -> Peer:
        """The process's own."""
        return Scsynth(job, folder, scsynth, *map(int, sys.argv[4:]))

    def versions() -> dict[str, str]:
        """Of both."""
        said = subprocess.run([scsynth, "-v"], capture_output=True, text=True, check=False).stdout.split("(")
        return {"scsynth": said[0].removeprefix("scsynth").strip(), "supriya": metadata.version("supriya")}

    if shutil.which(scsynth) is None:
        raise SystemExit(f"there is no program {scsynth}")
    serve(make, versions)
