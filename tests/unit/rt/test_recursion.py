"""The block filter against scipy.signal, which runs sample by sample."""

import tracemalloc

import numpy as np
import pytest
from scipy import signal

from asmu_engine.rt.recursion import PIECE, Recursion, StateSpace, from_sections

FRAMES = 3000
DESIGNS = {
    "butterworth low-pass": signal.butter(4, 1000, fs=48000, output="sos"),
    "elliptic band-pass": signal.ellip(6, 0.5, 60, [200, 4000], "band", fs=48000, output="sos"),
    "very low high-pass": signal.butter(2, 1.0, "high", fs=192000, output="sos"),
    "of order one": signal.butter(1, 3000, fs=48000, output="sos"),
    "not normalised": signal.butter(2, 3000, fs=48000, output="sos") * 2.5,
    "a gain": np.array([[0.5, 0, 0, 1, 0, 0]]),
}


@pytest.fixture(params=DESIGNS)
def sections(request):
    return DESIGNS[request.param]


@pytest.fixture(params=[1, 2, 3, 64])
def channels(request):
    return request.param


@pytest.fixture
def noise(channels):
    return np.random.default_rng(5).standard_normal((FRAMES, channels)).astype(np.float32)


def run(recursion: Recursion, inputs: np.ndarray, cuts: list[int]) -> np.ndarray:
    outputs = np.full_like(inputs, np.nan)
    for start, stop in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        recursion.process(inputs[start:stop], outputs[start:stop])
    return outputs


def reference(sections: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    normalised = sections / sections[:, 3:4]
    return signal.sosfilt(normalised, inputs.astype(np.float64), axis=0)


def test_the_samples_are_those_of_sosfilt(sections, channels, noise):
    expected = reference(sections, noise)
    out = run(Recursion(from_sections(sections), channels), noise, list(range(256, FRAMES, 256)))
    # Rounding to float32 at the very end is all that differs.
    assert np.abs(out - expected).max() <= 6.1e-8 * np.abs(expected).max() + 1e-9


def test_any_cut_gives_the_same_bits(sections, channels, noise):
    whole = run(Recursion(from_sections(sections), channels), noise, [])
    for cuts in ([1], [PIECE - 1, PIECE, PIECE + 1], [100, 441, 882, 2999], list(range(1, 500)), list(range(7, FRAMES, 7))):
        assert np.array_equal(run(Recursion(from_sections(sections), channels), noise, cuts), whole)


def test_columns_of_wider_blocks(noise):
    sections = DESIGNS["butterworth low-pass"]
    expected = run(Recursion(from_sections(sections), noise.shape[1]), noise, [500])
    wide, out = np.zeros((FRAMES, 80), dtype=np.float32), np.zeros((FRAMES, 90), dtype=np.float32)
    mine, theirs = wide[:, 3 : 3 + noise.shape[1]], out[:, 5 : 5 + noise.shape[1]]
    mine[...] = noise
    Recursion(from_sections(sections), noise.shape[1]).process(mine, theirs)
    assert np.array_equal(theirs, expected)
    assert not out[:, :5].any()
    assert not out[:, 5 + noise.shape[1] :].any()


def test_in_place(channels, noise):
    sections = DESIGNS["butterworth low-pass"]
    expected = run(Recursion(from_sections(sections), channels), noise, [500])
    recursion = Recursion(from_sections(sections), channels)
    recursion.process(noise, noise)
    assert np.array_equal(noise, expected)


def test_reset_repeats(noise, channels):
    recursion = Recursion(from_sections(DESIGNS["elliptic band-pass"]), channels)
    first = run(recursion, noise, [333])
    recursion.reset()
    assert np.array_equal(run(recursion, noise, [700]), first)


@pytest.mark.parametrize("others", [1, 3])
def test_another_number_of_channels_goes_on_within_a_piece(others):
    noise = np.random.default_rng(5).standard_normal((200, 3)).astype(np.float32)
    sections = DESIGNS["butterworth low-pass"]
    expected = reference(sections, noise)
    first = Recursion(from_sections(sections), 2)
    run(first, np.ascontiguousarray(noise[:77, :2]), [])
    second = Recursion(from_sections(sections), others)
    second.adopt(first)
    out = run(second, np.ascontiguousarray(noise[77:, :others]), [])
    shared = min(2, others)
    assert np.abs(out[:, :shared] - expected[77:, :shared]).max() < 1e-6
    if others == 3:
        assert np.abs(out[:, 2] - reference(sections, noise[77:, 2:])[:, 0]).max() < 1e-6


CHOICES = [(slice(1, 3), slice(0, 2)), (np.array([3, 0]), np.array([2, 1])), (slice(0, 1), np.array([2]))]


@pytest.mark.parametrize(("mine", "theirs"), CHOICES)
@pytest.mark.parametrize(("heard", "late"), [(96, 0), (77, 0), (77, 13), (64, 5), (69, 5)])
def test_columns_are_carried_to_another_that_goes_on(sections, mine, theirs, heard, late):
    # The second begins `late` frames after the first, so its pieces may lie elsewhere; all of its other columns just go on.
    noise = np.random.default_rng(5).standard_normal((400, 4)).astype(np.float32)
    first, second = Recursion(from_sections(sections), 3), Recursion(from_sections(sections), 4)
    run(first, np.ascontiguousarray(noise[:heard, :3]), [])
    run(second, noise[late:heard], [10])
    second.carry(first, mine, theirs)
    after = run(second, noise[heard:], [1])
    expected = reference(sections, noise[late:])[heard - late :]
    heard_there = np.array(noise)
    heard_there[:heard, mine] = noise[:heard, theirs]
    expected[:, mine] = reference(sections, heard_there)[heard:, mine]
    assert np.abs(after - expected).max() <= 6.1e-8 * np.abs(expected).max() + 1e-9


def test_a_recursion_at_rest_takes_over_the_very_bits(sections):
    noise = np.random.default_rng(5).standard_normal((400, 3)).astype(np.float32)
    whole = run(Recursion(from_sections(sections), 3), noise, [77])
    first, second = Recursion(from_sections(sections), 3), Recursion(from_sections(sections), 3)
    run(first, noise[:77], [])
    second.carry(first, np.array([2, 1, 0]), np.array([0, 1, 2]))
    assert np.array_equal(run(second, np.ascontiguousarray(noise[77:, ::-1]), [])[:, ::-1], whole[77:])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_counts_as_zero(bad):
    noise = np.random.default_rng(5).standard_normal((400, 2)).astype(np.float32)
    damaged = noise.copy()
    damaged[40:45, 1] = bad
    noise[40:45, 1] = 0
    damaged[300, 0], noise[300, 0] = bad, 0
    sections = DESIGNS["butterworth low-pass"]
    expected = run(Recursion(from_sections(sections), 2), noise, [])
    assert np.array_equal(run(Recursion(from_sections(sections), 2), damaged, [42]), expected)


def test_huge_but_finite_samples_pass():
    inputs = np.full((100, 1), 1e30, dtype=np.float32)
    out = run(Recursion(from_sections(DESIGNS["a gain"]), 1), inputs, [])
    assert (out == np.float32(0.5e30)).all()


def test_an_unstable_filter_comes_back():
    recursion = Recursion(from_sections([[1, 0, 0, 1, -(2.0**20), 0]]), 1)
    with np.errstate(all="ignore"):
        run(recursion, np.ones((4 * PIECE, 1), dtype=np.float32), [PIECE, 2 * PIECE, 3 * PIECE])
        out = np.zeros((1, 1), dtype=np.float32)
        recursion.reset()
        recursion.process(np.ones((1, 1), dtype=np.float32), out)
    assert out[0, 0] == 1
    assert np.isfinite(recursion.state).all()


def test_covariance_is_that_of_the_running_filter():
    filter_ = from_sections(signal.butter(2, 5000, fs=48000, output="sos"))
    impulse = np.zeros(20000)
    impulse[0] = 1
    response = signal.sosfilt(signal.butter(2, 5000, fs=48000, output="sos"), impulse)
    power = filter_.c @ filter_.covariance() @ filter_.c + filter_.d**2
    assert power == pytest.approx(np.sum(response**2), rel=1e-12)
    assert filter_.scaled(3.0).d == 3 * filter_.d


def test_sections_of_lower_order_have_fewer_states():
    sections = [[1, 0.5, 0, 1, -0.5, 0], [2, 0, 0, 1, 0, 0], [1, 0, 0.1, 1, 0, 0], [1, 0, 0, 1, 0, 0.1]]
    assert from_sections(sections).order == 1 + 0 + 2 + 2


def test_a_filter_of_no_order_is_its_gain():
    recursion = Recursion(StateSpace(np.zeros((0, 0)), np.zeros(0), np.zeros(0), 2.0), 2)
    noise = np.random.default_rng(5).standard_normal((100, 2)).astype(np.float32)
    assert np.array_equal(run(recursion, noise, [33]), 2 * noise)


def test_nothing_is_allocated():
    recursion = Recursion(from_sections(DESIGNS["elliptic band-pass"]), 8)
    block = np.ones((1024, 8), dtype=np.float32)
    out = np.empty_like(block)
    recursion.process(block, out)
    tracemalloc.start()
    recursion.process(block, out)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    recursion.process(block, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 4096
