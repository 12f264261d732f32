"""Delays: whole frames bit by bit, fractions against the ideal delay."""

import numpy as np
import pytest
from scipy import signal

from asmu_engine.cores.delay import ADelay
from asmu_engine.local import LocalEngine
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.delay_lines import HALF, interpolator

RATE = 48000.0


def make(frames: object, channels: int = 1, blocksize: int = 256, **values: object) -> ADelay:
    return ADelay(Setup(RATE, blocksize, channels, channels, Context(), node="x"), {"frames": frames, **values})


def run(core: ADelay, inputs: np.ndarray, cuts: list[int] | None = None) -> np.ndarray:
    outputs = np.full_like(inputs, np.nan)
    cuts = list(range(core.setup.blocksize, len(inputs), core.setup.blocksize)) if cuts is None else cuts
    for start, stop in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        core.process(inputs[start:stop], outputs[start:stop])
    return outputs


def noise(frames: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((frames, channels)).astype(np.float32)


@pytest.mark.parametrize("frames", [0, 1, 255, 256, 257, 3000])
@pytest.mark.parametrize("fractional", [False, True])
def test_whole_delays_are_exact(frames, fractional):
    core = make([frames, 7], channels=2, fractional=fractional)
    assert core.latency_frames == (HALF if fractional else 0)
    inputs = noise(4000, 2)
    out = run(core, inputs)
    for channel, delay in enumerate((frames + core.latency_frames, 7 + core.latency_frames)):
        assert np.array_equal(out[delay:, channel], inputs[: 4000 - delay, channel])
        assert not out[:delay, channel].any()


@pytest.mark.parametrize("edge", [0.833, 0.907])
def test_the_interpolator_is_within_its_stated_error(edge):
    fractions = np.linspace(0, 1, 41, endpoint=False)
    angles = np.linspace(0, edge * np.pi, 400)
    for fraction, taps in zip(fractions, interpolator(fractions), strict=True):
        _, h = signal.freqz(taps, worN=angles)
        assert np.abs(h - np.exp(-1j * angles * (HALF - 1 + fraction))).max() < 1e-4


@pytest.mark.parametrize("delay", [0.5, 10.25, 300.999, 0.001])
@pytest.mark.parametrize("frequency", [100.0, 997.0, 10000.0, 20000.0])
def test_a_sine_is_delayed_by_a_fraction(delay, frequency):
    n = np.arange(6000)
    inputs = np.sin(2 * np.pi * frequency * n / RATE).astype(np.float32)[:, None]
    core = make(delay, fractional=True)
    out = run(core, inputs)[:, 0]
    expected = np.sin(2 * np.pi * frequency * (n - delay - core.latency_frames) / RATE)
    settled = slice(2 * HALF + int(delay) + 1, None)
    assert np.abs(out - expected)[settled].max() < 1e-4


def test_channels_are_delayed_against_each_other():
    inputs = np.repeat(signal.firwin(61, 0.8).astype(np.float32)[:, None], 3, axis=1)
    inputs = np.concatenate([inputs, np.zeros((500, 3), dtype=np.float32)])
    out = run(make([0, 0.5, 20.25], channels=3, fractional=True), inputs)
    spectra = np.fft.rfft(out, 4096, axis=0)[: int(0.7 * 2049)]
    for channel, delay in ((1, 0.5), (2, 20.25)):
        phase = np.unwrap(np.angle(spectra[:, channel] / spectra[:, 0]))
        assert np.abs(phase + 2 * np.pi * np.arange(len(phase)) / 4096 * delay).max() < 2e-4


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("frames", [[0, 100, 100], [7, 500, 0]])
def test_any_cut_gives_the_same_bits_and_reset_repeats_them(fractional, frames):
    delays = np.array(frames) + (0.3 if fractional else 0)
    inputs = noise(3000, 3)
    core = make(delays.tolist(), channels=3, blocksize=1000, fractional=fractional)
    whole = run(core, inputs)
    for cuts in ([1, 1000, 2000], sorted({*range(1, 3000, 7), 1000, 2000}), sorted({*range(1, 900), 1000, 1800, 2500})):
        core.reset()
        assert np.array_equal(run(core, inputs, cuts), whole)


@pytest.mark.parametrize(("fractional", "new"), [(False, 500.0), (True, 499.5)])
def test_a_new_delay_reads_what_was_really_there(fractional, new):
    inputs = noise(2000)
    core = make(10, maximum=500, fractional=fractional)
    run(core, inputs[:1000])
    core.frames = core.convert("frames", new)
    core.changed("frames")
    out = run(core, inputs[1000:])
    assert np.array_equal(out, run(make(new, fractional=fractional), inputs)[1000:])


@pytest.mark.parametrize("fractional", [False, True])
def test_channels_that_stay_keep_their_line(fractional):
    delay = 300.5 if fractional else 300
    inputs = noise(2000, 2)
    whole = run(make(delay, channels=2, fractional=fractional), inputs)
    first = make(delay, fractional=fractional)
    run(first, np.ascontiguousarray(inputs[:1000, :1]))
    second = make(delay, channels=2, fractional=fractional)
    second.adopt(first)
    assert np.array_equal(run(second, inputs[1000:])[:, 0], whole[1000:, 0])


def test_what_is_not_whole_must_be_asked_for():
    with pytest.raises(ValueError, match="fractional=True"):
        make(1.5)
    core = make(1.0)
    with pytest.raises(ValueError, match="not whole"):
        core.convert("frames", [2.25])


@pytest.mark.parametrize("frames", [64.0, 64.75, 200.5])
def test_emit_knows_nothing_of_the_inputs_of_its_block(frames):
    inputs = noise(640)
    apart, together = (make(frames, blocksize=64, fractional=True) for _ in range(2))
    expected = run(together, inputs)
    for start in range(0, 640, 64):
        out = np.empty((64, 1), dtype=np.float32)
        apart.emit(out)
        apart.absorb(inputs[start : start + 64])
        assert np.array_equal(out, expected[start : start + 64])
    assert apart.shortest() == int(frames)
    assert apart.shortest("frames", np.array([63.9])) == 63


@pytest.mark.parametrize(("fractional", "frames", "period"), [(False, 100, 100), (True, 100, 132)])
def test_a_cycle_comes_back_after_the_delay_and_its_latency(fractional, frames, period):
    engine = LocalEngine(RATE, 64, 1, 1)
    engine.edit(
        [
            {"op": "add", "node": "sum", "kind": "sum", "inputs": 2, "outputs": 1, "parameters": {"mode": "sum"}},
            {"op": "add", "node": "gain", "kind": "gain", "inputs": 1, "outputs": 1, "parameters": {"gain": 0.5}},
            {
                "op": "add",
                "node": "delay",
                "kind": "delay",
                "inputs": 1,
                "outputs": 1,
                "parameters": {"frames": frames, "fractional": fractional},
            },
            {"op": "connect", "source": "in", "output": 0, "target": "sum", "input": 0},
            {"op": "connect", "source": "sum", "output": 0, "target": "delay", "input": 0},
            {"op": "connect", "source": "delay", "output": 0, "target": "gain", "input": 0},
            {"op": "connect", "source": "gain", "output": 0, "target": "sum", "input": 1},
            {"op": "connect", "source": "sum", "output": 0, "target": "out", "input": 0},
        ]
    )
    impulse = np.zeros((1000, 1), dtype=np.float32)
    impulse[0] = 1
    out = engine.render(1000, impulse)[:, 0]
    engine.close()
    expected = np.zeros(1000, dtype=np.float32)
    for turn in range(-(-1000 // period)):
        expected[turn * period] = 0.5**turn
    assert np.array_equal(out, expected)


def test_one_bad_sample_reaches_no_other_channel_and_passes():
    inputs = noise(1000, 2)
    inputs[300, 1] = np.nan
    out = run(make([10.5, 20.5], channels=2, fractional=True), inputs)
    assert np.isfinite(out[:, 0]).all()
    bad = np.flatnonzero(~np.isfinite(out[:, 1]))
    assert bad.min() >= 300 + 20
    assert bad.max() <= 300 + 20 + 2 * HALF
