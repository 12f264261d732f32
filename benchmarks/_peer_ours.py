"""This engine: a patch built as a user writes it, one processor for each thing, in an engine process of its own.

``offline``: on the device without a clock, block after block. ``virtual``: in real time, one block every 5.3 ms, and then at
the greatest speed at which the device keeps its time (`fast_us`): the difference is what a cold processor costs. Both are
medians.

`us_per_block` is the mean time in the callback: counters, edits, schedule, taps; not the simulated device, as no device of a
peer is counted. `p50_us` is its median. `untapped_us` is the mean without the tap that only this engine has in ``gains``.
`whole_us_per_block` is the slope of the time of the blocks against their number, with the simulated device in it;
`cpu_us_per_block` is the processor time of all processes of the engine and of the script, disk and meter among them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import soundfile

import asmu_control as asmu
from asmu_control.device import OfflineDevice, VirtualDevice
from asmu_engine.shm.status import StatusPage, bin_centre, bin_of
from benchmarks._jobs import FRAMES, METER_FRAMES, PERIOD, SAMPLERATE, Job
from benchmarks._peer import Peer, Rendered, serve

_CHECKED = 20
_MARGIN = 2.0
"""How many times the callback's own time a block has at the greatest speed."""
_MOST_SPEED = 50.0


class Ours:
    """One job as a patch of this engine's."""

    def __init__(self, job: Job, folder: Path, kind: str) -> None:
        self._job, self._folder, self._kind = job, folder, kind
        self._source = folder / "inputs.wav"
        if job.inputs:
            soundfile.write(self._source, job.inputs_at(0, PERIOD).astype(np.float32), SAMPLERATE, subtype="FLOAT")

    def check(self) -> Rendered:
        """Stepped, with a tap on what it plays; of the recording, what stands in the file."""
        job = self._job
        first = -(-job.settle // FRAMES) * FRAMES
        frames = _CHECKED * FRAMES
        with self._interface(OfflineDevice, stepped=True) as interface:
            built = _Built(interface, job, self._folder)
            if job.name == "meter":
                interface.start(drop=0)
                interface.step(_CHECKED)
                levels = built.rms.get_rms()
                interface.close()
                recorded, _ = soundfile.read(built.path, dtype="float32")
                return Rendered(recorded, 0, np.asarray(levels, np.float32), levels.position, METER_FRAMES)
            tap = asmu.analyzer.Tap(interface, channels=job.outputs)
            for channel, output in enumerate(built.played):
                output.connect(tap.input(channel))
            interface.open()
            with tap.reader() as reader:
                interface.start(drop=0)
                done = 0
                while done < first + frames:  # in pieces that the ring holds
                    blocks = min(256, (first + frames - done) // FRAMES)
                    interface.step(blocks)
                    done += blocks * FRAMES
                reader.seek(first)
                block = reader.read(frames, copy=True)
                assert block is not None
                return Rendered(block.data, block.position)

    def time(self, seconds: float) -> dict[str, float]:
        """Time of a block, µs; see the head of this file."""
        if self._kind == "offline":
            found = self._measure(OfflineDevice, seconds)
            if self._job.name == "gains":
                found["untapped_us"] = self._measure(OfflineDevice, seconds, tapped=False)["us_per_block"]
            return found
        paced = self._measure(VirtualDevice, 2 * seconds)
        period = 1e6 * FRAMES / SAMPLERATE
        speed = max(1.0, min(_MOST_SPEED, period / (_MARGIN * paced["us_per_block"])))
        fast = self._measure(VirtualDevice, seconds, speed=speed)
        return {**paced, "us_per_block": paced["p50_us"], "fast_us": fast["p50_us"], "fast_speed": speed}

    def close(self) -> None:
        """Nothing runs between two measurements."""

    def _interface(self, kind: Any, **settings: Any) -> asmu.Interface:
        job = self._job
        inputs, outputs = job.inputs, max(job.outputs, 1)
        if job.inputs:
            settings["source"] = str(self._source)
        # Nothing that is played comes back: the inputs are the file's alone.
        device = kind(inputs=inputs, outputs=outputs, matrix=np.zeros((inputs, outputs)) if inputs else None, **settings)
        return asmu.Interface(device=device, samplerate=SAMPLERATE, blocksize=FRAMES)

    def _measure(self, kind: Any, seconds: float, *, tapped: bool = True, **settings: Any) -> dict[str, float]:
        with self._interface(kind, **settings) as interface:
            built = _Built(interface, self._job, self._folder, tapped=tapped)
            interface.start(drop=0)
            with built.watched(), contextlib.closing(StatusPage.attach(interface.client.engine)) as page:
                while page.counter("frame_position") < self._job.settle + SAMPLERATE // 4:
                    time.sleep(0.01)
                return _read(page, seconds)


class _Built:
    """The job's processors in an interface: one Sine and four Gains a channel, one object for each filter."""

    def __init__(self, interface: asmu.Interface, job: Job, folder: Path, *, tapped: bool = True) -> None:
        self._tapped = tapped
        self.played: list[Any] = []
        self.rms: Any = None
        self.path = folder / "ours.wav"
        inputs = [interface.iinput(channel, ch=channel + 1) for channel in range(job.inputs)]
        getattr(self, f"_{job.name}")(interface, job, inputs)
        for channel, output in enumerate(self.played):
            output.connect(interface.ioutput(channel, ch=channel + 1))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The meter is read while the body runs, as somebody would who looks at it."""
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                self.rms.get_rms(timeout=0.2, latest=True)
                over.wait(METER_FRAMES / SAMPLERATE)

        thread = threading.Thread(target=look, daemon=True)
        if self.rms is not None:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self.rms is not None:
                thread.join()

    def _sines(self, interface: asmu.Interface, job: Job, inputs: list[Any]) -> None:
        mix = asmu.effect.Sum(interface)
        for channel, frequency in enumerate(job.frequencies.tolist()):
            last: Any = asmu.generator.Sine(interface, frequency)
            for value in job.gains[channel].tolist():
                gain = asmu.effect.Gain(interface, value)
                last.output().connect(gain.input())
                last = gain
            last.output().connect(mix.input(channel))
        self.played = [mix.output(0), mix.output(1)]

    def _gains(self, interface: asmu.Interface, job: Job, inputs: list[Any]) -> None:
        last = inputs
        for value in job.gains[0].tolist():
            last = _through(asmu.effect.Gain(interface, value), last)
        if self._tapped:
            _through(asmu.analyzer.Tap(interface, channels=job.channels), last)
        self.played = last

    def _weighting(self, interface: asmu.Interface, job: Job, inputs: list[Any]) -> None:
        self.played = _through(asmu.effect.Weight(interface, "A", channels=job.channels), inputs)

    def _convolution(self, interface: asmu.Interface, job: Job, inputs: list[Any]) -> None:
        self.played = _through(asmu.effect.Convolver(interface, job.ir), inputs)

    def _meter(self, interface: asmu.Interface, job: Job, inputs: list[Any]) -> None:
        self.rms = asmu.analyzer.RMS(interface, METER_FRAMES, channels=job.channels)
        _through(self.rms, inputs)
        _through(asmu.analyzer.Recorder(interface, self.path, channels=job.channels), inputs)


def _through(processor: Any, sources: list[Any]) -> list[Any]:
    """Each of the sources to an input of its own; the outputs that belong to them."""
    for number, source in enumerate(sources):
        source.connect(processor.input(number))
    return [processor.output(number) for number in range(len(sources))] if hasattr(processor, "output") else []


def _read(page: StatusPage, seconds: float) -> dict[str, float]:
    """What the page shows for so long.

    Its histogram counts every block, but in bins; its last callback time is exact, but of blocks seen at random. So each bin
    counts with the mean of the exact values that fell into it.
    """
    began, counts, misses, worked = _place(page), page.histogram(), page.counter("deadline_misses"), _worked()
    seen: dict[int, list[int]] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.0005)
        taken = page.counter("callback_last_ns")
        seen.setdefault(bin_of(taken), []).append(taken)
    ended, after = _place(page), page.histogram()
    bins = {index: count for index, count in enumerate(np.subtract(after, counts).tolist()) if count}
    exact = {index: fmean(seen[index]) if index in seen else bin_centre(index) for index in bins}
    blocks = sum(bins.values())
    ordered = np.repeat([exact[index] for index in bins], list(bins.values()))
    return {
        "us_per_block": sum(exact[index] * count for index, count in bins.items()) / blocks / 1e3,
        "p50_us": float(np.median(ordered)) / 1e3,
        "whole_us_per_block": (ended[1] - began[1]) / 1e3 / (ended[0] - began[0]),
        "cpu_us_per_block": 1e6 * (_worked() - worked) / blocks,
        "misses": page.counter("deadline_misses") - misses,
        "blocks": blocks,
    }


def _worked() -> float:
    """Processor time of this process and all that descend from it so far, s."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
            ticks[int(stat.parent.name)] = int(fields[11]) + int(fields[12])
    family = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks.get(process, 0) for process in family) / os.sysconf("SC_CLK_TCK")


def _place(page: StatusPage) -> tuple[int, int]:
    """A number of blocks and the time at which the last of them began, ns, that belong together."""
    while True:
        blocks, at = page.counter("blocks"), page.counter("last_block_ns")
        if page.counter("blocks") == blocks:
            return blocks, at


if __name__ == "__main__":

    def make(job: Job, folder: Path) -> Peer:
        """The process's own."""
        return Ours(job, folder, sys.argv[3])

    serve(make, lambda: {"asmu-control": asmu.__version__, "numpy": np.__version__})
