"""The vector generator: exactly what it was given."""

import numpy as np
import pytest
from core_runs import make, run, said, tell

from asmu_engine.cores.vector import AVector
from asmu_engine.protocol.arrays import Array


def wire(values: np.ndarray, dtype: str = "f4") -> Array:
    return Array(dtype, values.shape, np.ascontiguousarray(values, dtype="<" + dtype).tobytes())


@pytest.fixture
def values():
    return np.random.default_rng(1).standard_normal((700, 2)).astype(np.float32)


@pytest.mark.parametrize("cuts", [None, [], [699], [700], [701], list(range(1, 1000))])
def test_every_sample_once_then_silence(values, cuts):
    out = run(make(AVector, 0, 2, blocksize=1000 if cuts is not None else 256, vector=wire(values)), 1000, cuts)
    assert np.array_equal(out[:700], values)
    assert not out[700:].any()


def test_restart_and_reset(values):
    core = make(AVector, 0, 2, vector=wire(values))
    run(core, 300)
    core.restart()
    assert np.array_equal(run(core, 700), values)
    core.reset()
    assert np.array_equal(run(core, 700), values)


def test_a_new_array_begins_at_once(values):
    core = make(AVector, 0, 2, vector=wire(values))
    run(core, 300)
    tell(core, vector=wire(values[::-1]))
    assert np.array_equal(run(core, 700), values[::-1])


@pytest.mark.parametrize("dtype", ["f8", "i4", "i8"])
def test_other_types_become_float32(dtype):
    values = np.arange(10).reshape(10, 1)
    assert np.array_equal(run(make(AVector, 0, 1, vector=wire(values, dtype)), 10), values.astype(np.float32))


def test_columns_and_outputs_that_do_not_match(values):
    out = run(make(AVector, 0, 3, vector=wire(values)), 700)
    assert np.array_equal(out[:, :2], values)
    assert not out[:, 2].any()
    assert np.array_equal(run(make(AVector, 0, 1, vector=wire(values)), 700), values[:, :1])


def test_a_wrong_shape_is_refused_when_it_is_made():
    with pytest.raises(ValueError, match=r"\(5,\).*\(samples, channels\)"):
        make(AVector, 0, 1, vector=wire(np.zeros(5)))


def test_it_says_when_it_starts_and_ends(values):
    core = make(AVector, 0, 2, vector=wire(values))
    run(core, 512)
    assert said(core) == [("started", 0)]
    run(core, 256)
    assert said(core) == [("finished", 700)]
    run(core, 232)
    assert said(core) == []
    core.restart()
    run(core, 1050)
    assert said(core) == [("started", 1000), ("finished", 1700)]


@pytest.mark.parametrize("cuts", [None, [], [699], [700], [701], list(range(1, 1000))])
def test_what_it_says_does_not_depend_on_the_blocks(values, cuts):
    core = make(AVector, 0, 2, blocksize=1000 if cuts is not None else 256, vector=wire(values))
    run(core, 1000, cuts)
    assert said(core) == [("started", 0), ("finished", 700)]


def test_nothing_to_play_is_finished_at_once():
    core = make(AVector, 0, 1)
    assert not run(core, 256).any()
    assert said(core) == [("started", 0), ("finished", 0)]


def test_another_number_of_channels_goes_on(values):
    core = make(AVector, 0, 2, vector=wire(values))
    run(core, 300)
    narrower = make(AVector, 0, 1, vector=wire(values))
    narrower.adopt(core)
    assert np.array_equal(run(narrower, 400), values[300:, :1])
