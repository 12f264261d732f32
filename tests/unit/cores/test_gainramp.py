"""Ramps against the line that they are."""

import numpy as np
import pytest
from core_runs import RATE, make, peak_bytes, run, tell

from asmu_engine.cores.gainramp import AGainRamp

ONES = np.ones((4000, 1), dtype=np.float32)


def log_factor(x: np.ndarray) -> np.ndarray:
    return (10.0**x - 1) / 9


@pytest.mark.parametrize("scale", ["lin", "log"])
@pytest.mark.parametrize(("start", "target"), [(0.0, 1.0), (1.0, 0.0), (0.25, 0.75)])
@pytest.mark.parametrize("blocksize", [64, 441, 1024])
def test_exact_to_the_sample(scale, start, target, blocksize):
    gradient = 20.0
    core = make(AGainRamp, 1, 1, blocksize, gain=start, gradient=gradient, scale=scale)
    mapped = log_factor if scale == "log" else np.asarray
    assert np.allclose(run(core, ONES[:100]), mapped(start), rtol=1e-6, atol=1e-9)
    tell(core, gain=target)
    out = run(core, ONES)[:, 0]
    sign = np.sign(target - start)
    k = np.arange(1, 4001)
    points = start + sign * np.minimum(gradient * k / RATE, abs(target - start))
    assert np.abs(out - mapped(points)).max() < 1e-7
    # The words: the last sample of the first block.
    assert out[blocksize - 1] == pytest.approx(mapped(start + sign * gradient * blocksize / RATE), abs=1e-7)
    assert out[-1] == np.float32(mapped(target))


def test_a_new_set_point_goes_on_from_where_it_stands():
    core = make(AGainRamp, 1, 1, gain=0.0, gradient=48.0)
    tell(core, gain=1.0)
    run(core, ONES[:100])
    tell(core, gain=0.0)
    out = run(core, ONES[:200])[:, 0]
    assert np.abs(out - np.maximum(0.1 - np.arange(1, 201) / 1000, 0)).max() < 1e-7
    tell(core, gradient=0.0, gain=1.0)
    assert not run(core, ONES[:500]).any()
    tell(core, gradient=480.0)
    assert np.abs(run(core, ONES[:100])[:, 0] - np.arange(1, 101) / 100).max() < 1e-6


def test_a_new_gradient_bends_the_line():
    core = make(AGainRamp, 1, 1, gain=0.0, gradient=48.0)
    tell(core, gain=1.0)
    run(core, ONES[:500])
    tell(core, gradient=96.0)
    out = run(core, ONES[:300])[:, 0]
    assert np.abs(out - np.minimum(0.5 + np.arange(1, 301) / 500, 1)).max() < 1e-6


@pytest.mark.parametrize("scale", ["lin", "log"])
def test_channels_move_at_the_same_rate_to_their_own_ends(scale):
    core = make(AGainRamp, 3, 3, 100, gain=[0.0, 0.5, 1.0], gradient=48.0, scale=scale)
    signal = np.random.default_rng(1).standard_normal((1000, 3)).astype(np.float32)
    tell(core, gain=[0.2, 0.5, 0.1])
    k = np.arange(1, 1001) / 1000
    points = np.stack([np.minimum(k, 0.2), np.full(1000, 0.5), np.maximum(1 - k, 0.1)], axis=1)
    factors = log_factor(points) if scale == "log" else points
    assert np.abs(run(core, signal) - signal * factors).max() < 1e-6


@pytest.mark.parametrize("gains", [0.75, [0.75, 0.5]])
def test_cuts_do_not_show(gains):
    signal = np.random.default_rng(1).standard_normal((1000, 2)).astype(np.float32)
    results = []
    for cuts in ([], [1], [499, 500, 501], list(range(1, 1000))):
        core = make(AGainRamp, 2, 2, 1000, gain=0.25, gradient=37.7, scale="log")
        tell(core, gain=gains)
        results.append(run(core, signal, cuts))
    assert all(np.array_equal(result, results[0]) for result in results)


def test_a_gain_of_one_changes_nothing():
    signal = np.random.default_rng(2).standard_normal((500, 3)).astype(np.float32)
    for scale in ("lin", "log"):
        assert np.array_equal(run(make(AGainRamp, 3, 3, gain=1.0, scale=scale), signal), signal)


def test_reset_and_another_number_of_channels():
    core = make(AGainRamp, 1, 1, gain=0.0, gradient=48.0)
    tell(core, gain=1.0)
    run(core, ONES[:100])
    wider = make(AGainRamp, 2, 2, gain=1.0, gradient=48.0)
    wider.adopt(core)
    out = run(wider, np.ones((1000, 2), dtype=np.float32))
    assert np.abs(out[:, 0] - np.minimum(0.1 + np.arange(1, 1001) / 1000, 1)).max() < 1e-6
    assert (out[:, 1] == 1).all()
    core.reset()
    assert (run(core, ONES[:10]) == 1).all()


def test_a_set_point_that_is_too_large_for_log_is_limited():
    core = make(AGainRamp, 1, 1, gain=100.0, scale="log")
    assert run(core, ONES[:1])[0, 0] == pytest.approx((10**6 - 1) / 9)


@pytest.mark.parametrize("gains", [1.0, [1.0, 0.5]])
def test_a_ramp_allocates_nothing(gains):
    core = make(AGainRamp, 2, 2, 4096, gain=0.0, gradient=1e-3, scale="log")
    tell(core, gain=gains)
    assert peak_bytes(core) < 8192
