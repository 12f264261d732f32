"""What analyzers hand out is an array, with its facts."""

import pickle

import numpy as np
import pytest

from asmu_control.analyzer.result import Result, count_clipped


@pytest.fixture
def result() -> Result:
    return Result(np.arange(6.0).reshape(3, 2), position=480, lost=2, skipped=7, clipped=1)


def facts(result):
    return result.position, result.lost, result.skipped, result.clipped


def test_it_is_an_array(result):
    assert isinstance(result, np.ndarray)
    assert np.array_equal(result, [[0, 1], [2, 3], [4, 5]])
    assert type(np.asarray(result)) is np.ndarray
    assert np.allclose(np.fft.rfft(result, axis=0), np.fft.rfft(np.asarray(result), axis=0))


def test_what_numpy_makes_of_it_keeps_the_facts(result):
    for made in (result * 2, abs(result), result[1:], result.T, np.sqrt(result), result.astype(np.float32), result.mean(axis=0)):
        assert type(made) is Result
        assert facts(made) == (480, 2, 7, 1)


def test_a_single_number_is_a_number(result):
    for number in (result.sum(), result.mean(), np.max(result), result[0, 0], np.std(result)):
        assert isinstance(number, np.floating)
    assert result.mean() == 2.5
    assert f"{result.max():.1f}" == "5.0"


def test_a_sum_knows_the_facts_of_both(result):
    later = Result(np.ones((3, 2)), position=960, lost=5, clipped=3)
    for total in (result + later, later + result):
        assert facts(total) == (480, 7, 7, 4)
    same = Result(np.ones((3, 2)), position=480, lost=5)
    assert facts(result * same) == (480, 5, 7, 1)
    assert facts(1.0 - result) == (480, 2, 7, 1)
    assert facts(np.ones((3, 2)) + result) == (480, 2, 7, 1)


def test_adding_up_in_place(result):
    total = result.copy()
    total += Result(np.ones((3, 2)), position=960, lost=5)
    assert np.array_equal(total, np.asarray(result) + 1)
    assert total.lost == 7


def test_other_values_of_the_same_frames(result):
    assert facts(result.of([1.0])) == (480, 2, 7, 1)


def test_it_goes_through_a_pipe(result):
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is Result
    assert np.array_equal(again, result)
    assert facts(again) == facts(result)


def test_clipped_is_what_is_not_inside_full_scale():
    below = np.nextafter(np.float32(1), np.float32(0))
    assert count_clipped(np.array([[0, below], [-below, 0.5]], np.float32)) == 0
    assert count_clipped(np.array([1, -1, 1.5, np.nan, 0, np.inf], np.float32)) == 5
