"""Bare numpy, without an engine: the bound. Each job as few vectorised calls as it takes, no books kept.

The weighting is `scipy.signal.sosfilt` in float64, block by block. The convolution is `scipy.signal.oaconvolve` over a whole
signal of 20 s at once, which no engine that answers block by block can do: its time is that of 20 s, per block.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from benchmarks._jobs import FRAMES, METER_FRAMES, PERIOD, SAMPLERATE, Job, Samples
from benchmarks._peer import Peer, Rendered, serve, slope

WHOLE_SECONDS = 20


class BareNumpy:
    """One job as a function of the block's number."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self._source = job.inputs_at(0, PERIOD).astype(np.float32) if job.inputs else np.zeros((0, 0), np.float32)
        self._out: Samples = np.zeros((FRAMES, max(job.outputs, 1)), dtype=np.float32)
        self._levels: Samples = np.zeros(job.channels, dtype=np.float32)
        self._block = 0
        self._run = getattr(self, f"_{job.name}")()

    def check(self) -> Rendered:
        """Blocks until the closed form holds, and 16 more."""
        job = self._job
        if job.name == "convolution":
            return self._check_whole()
        out = []
        for _ in range(-(-job.settle // FRAMES)):
            self._step()
        first = self._block * FRAMES
        for _ in range(20):
            self._step()
            out.append(self._out.copy())
        return Rendered(np.concatenate(out), first, self._levels.copy(), 0, METER_FRAMES)

    def time(self, seconds: float) -> dict[str, float]:
        """µs a block."""
        if self._job.name == "convolution":
            return {"us_per_block": self._time_whole()}
        return {"us_per_block": slope(self._blocks, seconds)}

    def close(self) -> None:
        """Nothing was started."""

    def _blocks(self, count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            self._step()
        return time.process_time() - began

    def _step(self) -> None:
        start = self._block * FRAMES % PERIOD
        self._run(self._source[start : start + FRAMES])
        self._block += 1

    def _sines(self) -> Any:
        job = self._job
        # sin(a + b) = sin a cos b + cos a sin b, a within the block, b the phase at its begin: no sine of a sample is computed.
        within = np.outer(np.arange(FRAMES), 2 * np.pi * job.cycles / PERIOD)
        sine, cosine = np.sin(within).astype(np.float32), np.cos(within).astype(np.float32)
        other, buffer = np.empty_like(sine), np.empty_like(sine)
        factors = [np.ascontiguousarray(np.broadcast_to(column.astype(np.float32), buffer.shape)) for column in job.gains.T]
        mix = np.full((job.channels, 2), 1 / job.channels, np.float32)

        def run(_: Samples) -> None:
            begin = self._block * FRAMES * job.cycles % PERIOD * (2 * np.pi / PERIOD)
            np.multiply(sine, np.cos(begin).astype(np.float32), out=buffer)
            np.multiply(cosine, np.sin(begin).astype(np.float32), out=other)
            np.add(buffer, other, out=buffer)
            for factor in factors:
                np.multiply(buffer, factor, out=buffer)
            np.matmul(buffer, mix, out=self._out)

        return run

    def _gains(self) -> Any:
        factors = self._job.gains[0].astype(np.float32)
        buffers = [np.empty_like(self._out) for _ in factors]

        def run(block: Samples) -> None:
            for factor, buffer in zip(factors, buffers, strict=True):
                np.multiply(block, factor, out=buffer)
                block = buffer
            self._out[...] = block

        return run

    def _weighting(self) -> Any:
        sos = self._job.sos
        state = np.zeros((len(sos), 2, self._job.channels))

        def run(block: Samples) -> None:
            out, state[...] = signal.sosfilt(sos, block, axis=0, zi=state)
            self._out[...] = out

        return run

    def _convolution(self) -> Any:
        return None

    def _meter(self) -> Any:
        self._out = np.zeros((FRAMES, self._job.channels), dtype=np.float32)
        recorded = np.ones((10 * SAMPLERATE // FRAMES, FRAMES, self._job.channels), np.float32)
        sums = np.zeros(self._job.channels, np.float64)
        seen = 0

        def run(block: Samples) -> None:
            nonlocal seen
            recorded[self._block % len(recorded)] = block
            self._out = recorded[self._block % len(recorded)]
            part = block[: min(FRAMES, METER_FRAMES - seen)]
            sums[:] += np.einsum("ij,ij->j", part, part)
            seen += FRAMES
            if seen >= METER_FRAMES:
                if self._block * FRAMES < METER_FRAMES:
                    self._levels[:] = np.sqrt(sums / METER_FRAMES)
                rest = block[len(part) :]
                sums[:] = np.einsum("ij,ij->j", rest, rest)
                seen -= METER_FRAMES

        return run

    def _whole(self) -> Samples:
        turns = -(-WHOLE_SECONDS * SAMPLERATE // PERIOD)
        return np.ascontiguousarray(np.tile(self._source, (turns, 1))[: WHOLE_SECONDS * SAMPLERATE])

    def _check_whole(self) -> Rendered:
        first = self._job.settle
        return Rendered(signal.oaconvolve(self._source, self._job.ir, axes=0)[first : first + 16 * FRAMES], first)

    def _time_whole(self) -> float:
        whole = self._whole()
        taken = []
        for _ in range(2):
            began = time.process_time()
            signal.oaconvolve(whole, self._job.ir, axes=0)
            taken.append(time.process_time() - began)
        return 1e6 * min(taken) * FRAMES / len(whole)


if __name__ == "__main__":
    import scipy

    def make(job: Job, folder: Path) -> Peer:
        """The process's own."""
        return BareNumpy(job, folder)

    serve(make, lambda: {"numpy": np.__version__, "scipy": scipy.__version__})
