"""The matrix against numpy's product."""

import numpy as np
import pytest
from core_runs import make, peak_bytes, run, tell

from asmu_engine.cores.matrix import AMatrix
from asmu_engine.protocol.arrays import Array

SHAPES = [(1, 1), (2, 3), (3, 2), (1, 8), (8, 1), (16, 16), (64, 64)]


def wire(values: np.ndarray) -> Array:
    return Array("f4", values.shape, np.ascontiguousarray(values, dtype="<f4").tobytes())


@pytest.fixture
def random():
    return np.random.default_rng(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_output_is_its_weighted_sum(shape, random):
    gains = random.standard_normal(shape).astype(np.float32)
    signal = random.standard_normal((1000, shape[1])).astype(np.float32)
    out = run(make(AMatrix, shape[1], shape[0], 300, gain=wire(gains)), signal)
    exact = signal.astype(np.float64) @ gains.T.astype(np.float64)
    # Each of so many additions rounds by half a unit in the last place at most.
    assert (np.abs(out - exact) <= shape[1] * 2.0**-24 * (np.abs(signal) @ np.abs(gains.T))).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_cuts_do_not_show(shape, random):
    signal = random.standard_normal((1000, shape[1])).astype(np.float32)
    old, new = (wire(random.standard_normal(shape)) for _ in range(2))
    results = []
    for cuts in ([], [1], [63, 64, 65, 500], list(range(1, 1000)), list(range(7, 1000, 7))):
        core = make(AMatrix, shape[1], shape[0], 1000, gain=old)
        first = run(core, signal, cuts)
        tell(core, gain=new)
        results.append(np.concatenate([first, run(core, signal, cuts)]))
    for result in results[1:]:
        assert np.array_equal(result, results[0])


def test_without_gains_it_changes_nothing(random):
    signal = random.standard_normal((500, 3)).astype(np.float32)
    assert np.array_equal(run(make(AMatrix, 3, 3), signal), signal)
    assert not run(make(AMatrix, 3, 5), signal)[:, 3:].any()


def test_a_change_is_a_straight_line_over_5_ms():
    core = make(AMatrix, 2, 1, 100, gain=wire(np.array([[1.0, 0.0]])))
    signal = np.tile(np.array([[1.0, -1.0]], dtype=np.float32), (600, 1))
    assert (run(core, signal[:100]) == 1).all()
    tell(core, gain=wire(np.array([[0.0, 1.0]])))
    part = np.minimum(np.arange(1, 601) / 240, 1)
    assert np.abs(run(core, signal)[:, 0] - (1 - 2 * part)).max() < 1e-6


def test_a_change_within_a_change_goes_on_from_where_it_stands():
    core = make(AMatrix, 1, 1, 100, gain=wire(np.array([[0.0]])))
    ones = np.ones((240, 1), dtype=np.float32)
    tell(core, gain=wire(np.array([[1.0]])))
    assert run(core, ones[:120])[-1, 0] == pytest.approx(0.5)
    tell(core, gain=wire(np.array([[0.0]])))
    out = run(core, ones)[:, 0]
    assert np.abs(out - 0.5 * (1 - np.arange(1, 241) / 240)).max() < 1e-6
    assert (run(core, ones) == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_counts_as_zero(bad, random):
    signal = random.standard_normal((300, 2)).astype(np.float32)
    gains = wire(np.array([[1.0, 0.0], [0.5, 0.5]]))
    damaged = signal.copy()
    damaged[100, 1] = bad
    signal[100, 1] = 0
    assert np.array_equal(run(make(AMatrix, 2, 2, gain=gains), damaged), run(make(AMatrix, 2, 2, gain=gains), signal))


def test_gains_of_another_shape_are_fitted_and_of_another_rank_refused(random):
    gains = random.standard_normal((2, 3)).astype(np.float32)
    core = make(AMatrix, 2, 4, gain=wire(gains))
    assert np.array_equal(core.gain, np.vstack([gains[:, :2], np.zeros((2, 2))]).T)
    with pytest.raises(ValueError, match=r"\(3,\).*\(outputs, inputs\)"):
        make(AMatrix, 3, 1, gain=wire(np.zeros(3)))


def test_reset_and_another_number_of_channels():
    ones = np.ones((240, 1), dtype=np.float32)
    core = make(AMatrix, 1, 1, 100, gain=wire(np.array([[0.0]])))
    tell(core, gain=wire(np.array([[1.0]])))
    run(core, ones[:120])
    wider = make(AMatrix, 1, 2, 100, gain=wire(np.array([[1.0], [0.25]])))
    wider.adopt(core)
    out = run(wider, ones)
    assert np.abs(out[:, 0] - np.minimum(np.arange(121, 361) / 240, 1)).max() < 1e-6
    assert np.allclose(out[:, 1], 0.25)
    core.reset()
    assert (run(core, ones) == 1).all()


def test_a_change_allocates_nothing():
    core = make(AMatrix, 2, 2, 4096, gain=wire(np.eye(2)), samplerate=10e6)
    tell(core, gain=wire(np.ones((2, 2))))
    assert peak_bytes(core) < 8192
    assert core._left
