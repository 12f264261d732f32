"""Each core against its closed form."""

import numpy as np
import pytest

from asmu_engine.audio.kinds import Kinds
from asmu_engine.rt.acore import ACore
from asmu_engine.rt.context import Context, Setup

KINDS = Kinds()
RATE = 48000.0


def make(kind: str, inputs: int, outputs: int, blocksize: int = 256, **values: object) -> ACore:
    return KINDS[kind](Setup(RATE, blocksize, inputs, outputs, Context(), node="x"), values)


def run(core: ACore, frames: int, signal: np.ndarray | None = None) -> np.ndarray:
    if signal is None:
        signal = np.zeros((frames, core.setup.inputs), dtype=np.float32)
    outputs = np.full((frames, core.setup.outputs), np.nan, dtype=np.float32)
    for start in range(0, frames, core.setup.blocksize):
        stop = min(start + core.setup.blocksize, frames)
        core.process(signal[start:stop], outputs[start:stop])
    return outputs


def test_sine_is_the_closed_form():
    n = np.arange(4800)
    out = run(make("sine", 0, 2, frequency=[250.0, 997.0], phase=[0.0, np.pi / 3]), 4800)
    expected = np.stack([np.sin(2 * np.pi * 250 * n / RATE), np.sin(2 * np.pi * 997 * n / RATE + np.pi / 3)], axis=1)
    assert np.abs(out - expected).max() < 1e-7


def test_sine_does_not_drift_over_days():
    core = make("sine", 0, 1, frequency=1000.0)
    frames = 7 * 24 * 3600 * 48000 // 256 * 256
    # The phase after a week is that of whole steps; jump there instead of playing it.
    core.skip(frames)
    n = frames + np.arange(256)
    expected = np.sin(2 * np.pi * ((1000 * n) % 48000) / RATE)
    assert np.abs(run(core, 256)[:, 0] - expected).max() < 1e-6


def test_sine_keeps_its_phase_when_the_frequency_changes():
    core = make("sine", 0, 1, frequency=100.0)
    first = run(core, 300)
    core.frequency = core.convert("frequency", 200.0)
    core.changed("frequency")
    second = run(core, 300)
    at = 2 * np.pi * 100 * 300 / RATE
    assert np.abs(second[:, 0] - np.sin(at + 2 * np.pi * 200 * np.arange(300) / RATE)).max() < 1e-7
    assert abs(second[0, 0] - first[-1, 0]) < 0.02


def test_a_new_phase_shifts_at_once():
    core = make("sine", 0, 1, frequency=100.0)
    run(core, 300)
    core.phase = np.array([np.pi / 2])
    core.changed("phase")
    expected = np.sin(2 * np.pi * 100 * (300 + np.arange(50)) / RATE + np.pi / 2)
    assert np.abs(run(core, 50)[:, 0] - expected).max() < 1e-7


def test_constant_fills_each_channel():
    out = run(make("constant", 0, 2, value=[0.25, -3.0]), 100)
    assert (out == [0.25, -3.0]).all()


def test_noise_is_the_stated_sequence():
    out = run(make("noise", 0, 2, seed=7, amplitude=0.5), 1000)
    expected = (np.random.Generator(np.random.PCG64(7)).random((1000, 2), dtype=np.float32) * 2 - 1) * np.float32(0.5)
    assert np.array_equal(out, expected)


def test_noise_is_flat_and_bounded():
    out = run(make("noise", 0, 1, seed=3), 48000)[:, 0]
    assert np.abs(out).max() <= 1
    assert abs(out.mean()) < 0.01
    assert abs(out.var() - 1 / 3) < 0.005


def test_a_gain_of_one_changes_nothing():
    signal = np.random.default_rng(2).standard_normal((500, 3)).astype(np.float32)
    assert np.array_equal(run(make("gain", 3, 3, gain=1.0), 500, signal), signal)


def test_gain_is_per_channel():
    signal = np.ones((10, 2), dtype=np.float32)
    assert (run(make("gain", 2, 2, gain=[0.5, -2.0]), 10, signal) == [0.5, -2.0]).all()


def test_a_new_gain_is_reached_in_a_straight_line():
    core = make("gain", 1, 1, gain=0.0)
    ones = np.ones((600, 1), dtype=np.float32)
    run(core, 100, ones)
    core.gain = np.array([1.0])
    core.changed("gain")
    out = run(core, 600, ones)[:, 0]
    assert np.abs(out[:240] - np.arange(1, 241) / 240).max() < 1e-6
    assert (out[240:] == 1).all()


def test_a_gain_that_changes_in_a_ramp_goes_on_from_where_it_stands():
    core = make("gain", 1, 1, gain=0.0)
    ones = np.ones((600, 1), dtype=np.float32)
    core.gain = np.array([1.0])
    core.changed("gain")
    middle = run(core, 120, ones)[-1, 0]
    core.gain = np.array([0.0])
    core.changed("gain")
    out = run(core, 240, ones)[:, 0]
    assert middle == pytest.approx(0.5)
    assert out[0] == pytest.approx(0.5 - 0.5 / 240, abs=1e-6)
    assert out[-1] == 0


@pytest.mark.parametrize(("mode", "divisor"), [("mean", 3), ("sum", 1)])
def test_sum(mode, divisor):
    signal = np.random.default_rng(2).standard_normal((100, 3)).astype(np.float32)
    out = run(make("sum", 3, 2, mode=mode), 100, signal)
    assert np.abs(out[:, 0] - signal.sum(axis=1) / divisor).max() < 1e-6
    assert np.array_equal(out[:, 0], out[:, 1])


@pytest.mark.parametrize("frames", [0, 1, 255, 256, 257, 3000])
def test_delay_is_exact(frames):
    signal = np.random.default_rng(2).standard_normal((4000, 2)).astype(np.float32)
    out = run(make("delay", 2, 2, frames=[frames, 7]), 4000, signal)
    assert np.array_equal(out[frames:, 0], signal[: 4000 - frames, 0])
    assert not out[:frames, 0].any()
    assert np.array_equal(out[7:, 1], signal[:-7, 1])


def test_a_new_delay_reads_what_was_really_there():
    signal = np.random.default_rng(2).standard_normal((2000, 1)).astype(np.float32)
    core = make("delay", 1, 1, frames=10, maximum=500)
    run(core, 1000, signal[:1000])
    core.frames = np.array([500.0])
    core.changed("frames")
    out = run(core, 1000, signal[1000:])
    assert np.array_equal(out, signal[500:1500])
