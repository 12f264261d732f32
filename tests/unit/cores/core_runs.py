"""Making and running one core by itself."""

import tracemalloc
from itertools import pairwise

import numpy as np

from asmu_engine.rt.acore import ACore
from asmu_engine.rt.context import Context, Setup

RATE = 48000.0


def make(core: type[ACore], inputs: int, outputs: int, blocksize: int = 256, samplerate: float = RATE, **values: object) -> ACore:
    return core(Setup(samplerate, blocksize, inputs, outputs, Context(), node="x"), values)


def run(core: ACore, signal: np.ndarray | int, cuts: list[int] | None = None) -> np.ndarray:
    """The outputs for `signal` (frames, inputs), or for so many frames of silence, in blocks or cut as told.

    The frame position goes on from where the run before has ended.
    """
    if isinstance(signal, int):
        signal = np.zeros((signal, core.setup.inputs), dtype=np.float32)
    frames = len(signal)
    outputs = np.full((frames, core.setup.outputs), np.nan, dtype=np.float32)
    borders = [0, *(range(core.setup.blocksize, frames, core.setup.blocksize) if cuts is None else cuts), frames]
    for start, stop in pairwise(borders):
        core.process(signal[start:stop], outputs[start:stop])
        core.setup.context.position += stop - start
    return outputs


def tell(core: ACore, **values: object) -> None:
    """Set parameters as an edit does."""
    for name, value in values.items():
        setattr(core, name, core.convert(name, value))
        core.changed(name)


def said(core: ACore) -> list[tuple[str, int]]:
    """What it told the clients since the last time."""
    notices = [(notice["what"], notice["position"]) for notice in core.setup.context.notices]
    core.setup.context.notices.clear()
    return notices


def peak_bytes(core: ACore) -> int:
    """Most memory that one block of 4096 frames takes on the way, bytes, once the core has run."""
    signal = np.ones((4096, core.setup.inputs), dtype=np.float32)
    outputs = np.empty((4096, core.setup.outputs), dtype=np.float32)
    core.process(signal, outputs)
    tracemalloc.start()
    core.process(signal, outputs)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    core.process(signal, outputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - before
