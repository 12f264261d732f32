"""What every core promises, checked for every core that needs no ring."""

import numpy as np
import pytest

from asmu_engine.audio.kinds import Kinds
from asmu_engine.protocol.arrays import Array
from asmu_engine.rt.acore import ACore
from asmu_engine.rt.context import Context, Setup

KINDS = Kinds()
PLAIN = [kind for kind in KINDS.catalogue() if not kind.ring]


def response(taps: int) -> Array:
    data = np.random.default_rng(taps).standard_normal(taps).astype("<f4") / np.float32(taps)
    return Array("f4", (taps,), data.tobytes())


WORKING = {
    "noise, pink": ("noise", {"weight": "pink"}, ()),
    "sineburst, long": ("sineburst", {"frequency": 997.0, "periods": 12.3}, ()),
    "adsr, started": ("adsr", {"attack": 0.003, "decay": 0.005}, ("start",)),
    "adsr, in its attack": ("adsr", {"attack": 3600.0}, ("start",)),
    "limiter, at work": ("limiter", {"threshold": 0.5, "release": 0.005}, ()),
    "weight A": ("weight", {"weight": "A"}, ()),
    "weight C": ("weight", {"weight": "C"}, ()),
    "delay, fractional": ("delay", {"fractional": True, "frames": 10.3}, ()),
    "convolver, one part": ("convolver", {"ir": response(700)}, ()),
    "convolver, many parts": ("convolver", {"ir": response(20_000)}, ()),
}
"""Kinds that do little with their defaults, set so that they do something: (kind, values, calls)."""
CASES = [*(kind.name for kind in PLAIN), *WORKING]
HEARING = [case for case in CASES if KINDS[WORKING.get(case, (case,))[0]].inputs.maximum]
"""Those that have inputs."""
CHANNELS = [1, 2, 64]
FRAMES = 1000


def make(case: str, channels: int, blocksize: int = FRAMES) -> ACore:
    name, values, calls = WORKING.get(case, (case, {}, ()))
    kind = next(k for k in PLAIN if k.name == name)
    inputs = channels if kind.inputs.maximum else 0
    outputs = channels if kind.outputs.maximum else 0
    core = KINDS[name](Setup(48000.0, blocksize, inputs, outputs, Context(), node="x"), values)
    for call in calls:
        getattr(core, call)()
    return core


def run(core: ACore, signal: np.ndarray, cuts: list[int]) -> np.ndarray:
    outputs = np.full((len(signal), core.setup.outputs), np.nan, dtype=np.float32)
    for start, stop in zip([0, *cuts], [*cuts, len(signal)], strict=True):
        core.process(signal[start:stop, : core.setup.inputs], outputs[start:stop])
    return outputs


@pytest.fixture(params=CASES)
def kind(request):
    return request.param


@pytest.fixture(params=CHANNELS)
def channels(request):
    return request.param


@pytest.fixture
def signal(channels):
    return np.random.default_rng(1).standard_normal((FRAMES, channels)).astype(np.float32)


def test_any_cut_of_the_blocks_gives_the_same_samples(kind, channels, signal):
    whole = run(make(kind, channels), signal, [])
    for cuts in ([1], [999], [64, 128, 500], list(range(1, 1000))):
        assert np.array_equal(run(make(kind, channels), signal, cuts), whole)


def test_reset_repeats_exactly(kind, channels, signal):
    core = make(kind, channels)
    first = run(core, signal, [300])
    core.reset()
    for call in WORKING.get(kind, ("", {}, ()))[2]:
        getattr(core, call)()
    assert np.array_equal(run(core, signal, [300]), first)


def test_finite_in_finite_out_and_all_written(kind, channels, signal):
    assert np.isfinite(run(make(kind, channels), signal, [])).all()


@pytest.mark.parametrize("kind", HEARING)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_passes_and_spreads_to_no_other_channel(kind, channels, signal, bad):
    sound, damaged = make(kind, channels), make(kind, channels)
    broken = signal.copy()
    broken[400:410, 0] = bad
    with np.errstate(invalid="ignore"):
        first, second = run(sound, signal, [300]), run(damaged, broken, [300])
    if sound.paired:
        assert np.array_equal(first[:, 1:], second[:, 1:])
    for _ in range(8):
        later = run(damaged, signal, [])
    assert np.isfinite(later).all()


def test_a_smaller_and_a_larger_node_take_over(kind, channels, signal):
    core = make(kind, channels)
    run(core, signal, [])
    for other in (max(1, channels - 1), channels + 1):
        successor = make(kind, other)
        successor.adopt(core)
        wide = np.zeros((FRAMES, other), dtype=np.float32)
        assert np.isfinite(run(successor, wide, [500])).all()


def test_process_keeps_no_memory(kind):
    import tracemalloc

    core = make(kind, 2, blocksize=4096)
    block = np.ones((4096, 2), dtype=np.float32)
    outputs = np.empty((4096, core.setup.outputs), dtype=np.float32)
    inputs = block[:, : core.setup.inputs]
    for _ in range(10):
        core.process(inputs, outputs)
    kept, most = [], []
    for _ in range(3):  # other threads of this process may allocate meanwhile; the core would each time
        tracemalloc.start()
        core.process(inputs, outputs)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        core.process(inputs, outputs)
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kept.append(after - before)
        most.append(peak - before)
    assert min(kept) < 200
    assert min(most) < 16_384  # views and numpy's own iterators, never an array of a block (32 KiB)
