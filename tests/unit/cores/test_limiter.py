"""The limiter: never above the threshold, bit-exact below it, against its definition computed sample by sample."""

import numpy as np
import pytest
from core_runs import RATE, make, run, tell

from asmu_engine.cores.limiter import ALimiter

VALUES = {"threshold": 0.5, "attack": 0.001, "release": 0.02}
AHEAD = 48


def reference(signal: np.ndarray, threshold: float, ahead: int, release: float) -> np.ndarray:
    """The docstring's words as loops, one channel."""
    needed = np.minimum(1, threshold / np.maximum(np.abs(signal), 1e-300))
    padded = np.concatenate([np.ones(2 * ahead), needed])
    least = np.array([padded[n - ahead : n + 1].min() for n in range(ahead, len(padded))])
    held = np.empty_like(least)
    level = 1.0
    for n, value in enumerate(least):
        held[n] = level = min(value, level + 1 / max(1.0, release))
    gain = np.array([held[n - ahead : n + 1].mean() for n in range(ahead, len(held))])
    return gain * np.concatenate([np.zeros(ahead), signal])[: len(signal)]


@pytest.fixture
def loud():
    random = np.random.default_rng(1)
    envelope = np.abs(np.sin(np.arange(6000) / 700))[:, None]
    return (random.standard_normal((6000, 2)) * envelope).astype(np.float32)


def test_below_the_threshold_it_is_a_delay_to_the_bit():
    signal = np.random.default_rng(1).uniform(-0.5, 0.5, (3000, 3)).astype(np.float32)
    core = make(ALimiter, 3, 3, **VALUES)
    assert core.latency_frames == AHEAD
    out = run(core, signal)
    assert not out[:AHEAD].any()
    assert np.array_equal(out[AHEAD:], signal[:-AHEAD])


def test_a_channel_that_needs_nothing_is_untouched_beside_one_that_does(loud):
    signal = loud.copy()
    signal[:, 1] *= 0.05
    out = run(make(ALimiter, 2, 2, **VALUES), signal)
    assert np.array_equal(out[AHEAD:, 1], signal[:-AHEAD, 1])


@pytest.mark.parametrize("threshold", [0.5, 0.1, 1 / 3, 0.7071067811865476, 1e-3, 1e-6])
@pytest.mark.parametrize("attack", [0.0, 0.0001, 0.001, 0.01])
def test_it_never_passes_the_threshold(loud, threshold, attack):
    core = make(ALimiter, 2, 2, threshold=threshold, attack=attack, release=0.005)
    out = run(core, loud)
    assert np.abs(out.astype(np.float64)).max() <= threshold
    assert np.abs(out).max() > 0.98 * threshold


def test_extreme_samples():
    signal = np.zeros((2000, 1), dtype=np.float32)
    signal[100] = 3e38
    signal[700] = -1e20
    signal[1000:] = 1e-30
    out = run(make(ALimiter, 1, 1, **VALUES), signal)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 0.5


@pytest.mark.parametrize("attack", [0.0, 1 / RATE, 0.001, 0.00152])
@pytest.mark.parametrize("release", [0.0, 0.001, 0.02])
def test_it_is_what_it_says(loud, attack, release):
    core = make(ALimiter, 2, 2, threshold=0.5, attack=attack, release=release)
    out = run(core, loud)
    for channel in range(2):
        expected = reference(loud[:, channel].astype(np.float64), 0.5, core.latency_frames, release * RATE)
        assert np.abs(out[:, channel] - expected).max() < 2e-7


def test_the_gain_falls_in_a_line_to_the_peak_and_recovers_at_its_rate():
    signal = np.full((3000, 1), 0.25, dtype=np.float32)
    signal[1000] = 2.0
    gain = run(make(ALimiter, 1, 1, **VALUES), signal)[AHEAD:, 0] / signal[:-AHEAD, 0]
    before = np.arange(1000 - AHEAD, 1001)
    assert (gain[: 1000 - AHEAD] == 1).all()
    line = 1 - 0.75 * (before - (1000 - AHEAD) + 1) / (AHEAD + 1)
    assert np.abs(gain[before] - line).max() < 1e-6
    assert gain[1000] == 0.25
    rises = np.diff(gain[1000 + AHEAD + 1 : 1000 + 650])
    assert np.abs(rises - 1 / (0.02 * RATE)).max() < 1e-5
    assert (gain[1000 + 2 * AHEAD + 720 + 2 :] == 1).all()


@pytest.mark.parametrize("attack", [0.0, 0.001, 0.05])
def test_cuts_do_not_show(loud, attack):
    signal = loud.copy()
    signal[2000:4500] *= 0.01
    results = []
    for cuts in ([], [1], [999, 1000, 1001], list(range(64, 6000, 64)), list(range(1, 3000))):
        core = make(ALimiter, 2, 2, 6000, threshold=0.5, attack=attack, release=0.003)
        results.append(run(core, signal, cuts))
    for result in results[1:]:
        assert np.array_equal(result, results[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_silence(bad):
    signal = np.random.default_rng(1).uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
    signal[300, 0] = bad
    out = run(make(ALimiter, 2, 2, **VALUES), signal)
    signal[300, 0] = 0
    assert np.array_equal(out[AHEAD:], signal[:-AHEAD])


def test_a_new_threshold_holds_for_what_comes_in(loud):
    core = make(ALimiter, 2, 2, **VALUES)
    run(core, loud[:3000])
    tell(core, threshold=0.1)
    out = run(core, loud[3000:])
    assert np.abs(out[:AHEAD]).max() > 0.1
    assert np.abs(out[AHEAD:]).max() <= 0.1
    tell(core, release=0.5)
    assert np.abs(run(core, loud)).max() <= 0.1


def test_reset_and_another_number_of_channels(loud):
    core = make(ALimiter, 2, 2, **VALUES)
    first = run(core, loud)
    core.reset()
    assert np.array_equal(run(core, loud[:3000]), first[:3000])
    wider = make(ALimiter, 3, 3, **VALUES)
    wider.adopt(core)
    out = run(wider, np.concatenate([loud[3000:], np.full((3000, 1), 0.5, dtype=np.float32)], axis=1))
    assert np.array_equal(out[:, :2], first[3000:])
    assert not out[:AHEAD, 2].any()
    assert (out[AHEAD:, 2] == 0.5).all()
