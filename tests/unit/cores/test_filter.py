"""Filters against scipy.signal."""

import numpy as np
import pytest
from scipy import signal

from asmu_engine.cores.filter import AFilter
from asmu_engine.protocol.arrays import Array
from asmu_engine.rt.context import Context, Setup

RNG = np.random.default_rng(11)
DESIGNS = {
    "low-pass": signal.butter(4, 1000, fs=48000, output="sos"),
    "band-pass": signal.cheby1(3, 1, [300, 3000], "bandpass", fs=48000, output="sos"),
    "not normalised": signal.butter(2, 3000, fs=48000, output="sos") * -2.0,
}


def array(values: np.ndarray, dtype: str = "f8") -> Array:
    return Array(dtype, values.shape, np.ascontiguousarray(values, dtype="<" + dtype).tobytes())


def make(channels: int = 2, blocksize: int = 256, **values: np.ndarray) -> AFilter:
    arrays = {name: array(value, "f8" if name == "sos" else "f4") for name, value in values.items()}
    return AFilter(Setup(48000.0, blocksize, channels, channels, Context()), arrays)


def change(core: AFilter, **values: np.ndarray | None) -> None:
    for name, value in values.items():
        setattr(core, name, core.convert(name, None if value is None else array(value)))
        core.changed(name)


def run(core: AFilter, inputs: np.ndarray, cuts: list[int] | None = None) -> np.ndarray:
    outputs = np.full_like(inputs, np.nan)
    cuts = list(range(core.setup.blocksize, len(inputs), core.setup.blocksize)) if cuts is None else cuts
    for start, stop in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        core.process(inputs[start:stop], outputs[start:stop])
    return outputs


def noise(frames: int = 3000, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((frames, channels)).astype(np.float32)


def fir_reference(taps: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    wide = np.broadcast_to(np.atleast_2d(taps.T).T, (len(taps), inputs.shape[1])).astype(np.float32).astype(np.float64)
    return signal.fftconvolve(inputs.astype(np.float64), wide, axes=0)[: len(inputs)]


@pytest.mark.parametrize("design", DESIGNS)
def test_sections_are_those_of_sosfilt(design):
    sections = DESIGNS[design]
    expected = signal.sosfilt(sections / sections[:, 3:4], noise().astype(np.float64), axis=0)
    assert np.abs(run(make(sos=sections), noise()) - expected).max() < 1e-6


@pytest.mark.parametrize("taps", [1, 2, 31, 256, 257, 1000])
@pytest.mark.parametrize("columns", [0, 1, 2])
def test_responses_are_those_of_convolution(taps, columns):
    fir = RNG.standard_normal((taps, columns) if columns else taps)
    expected = fir_reference(fir, noise())
    assert np.abs(run(make(fir=fir), noise()) - expected).max() < 1e-6 * np.abs(expected).max()


def test_both_run_one_after_the_other():
    fir = RNG.standard_normal(40)
    filtered = signal.sosfilt(DESIGNS["low-pass"], noise().astype(np.float64), axis=0).astype(np.float32)
    assert np.abs(run(make(sos=DESIGNS["low-pass"], fir=fir), noise()) - fir_reference(fir, filtered)).max() < 1e-5


def test_without_coefficients_nothing_changes():
    assert np.array_equal(run(make(), noise()), noise())


@pytest.mark.parametrize(
    "values", [{"sos": DESIGNS["band-pass"]}, {"fir": RNG.standard_normal(30)}, {"fir": RNG.standard_normal((900, 2))}]
)
def test_any_cut_gives_the_same_bits_and_reset_repeats_them(values):
    core = make(blocksize=1000, **values)
    whole = run(core, noise(2000), [1000])
    for cuts in ([1, 1000], [17, 999, 1200], sorted({*range(1, 2000, 7), 1000})):
        core.reset()
        assert np.array_equal(run(core, noise(2000), cuts), whole)


def test_new_sections_of_the_same_number_go_on_with_the_state():
    # The same coefficients again: nothing must be heard of it.
    core = make(sos=DESIGNS["low-pass"])
    first = run(core, noise()[:1000])
    change(core, sos=DESIGNS["low-pass"].copy())
    second = run(core, noise()[1000:])
    assert np.array_equal(np.concatenate([first, second]), run(make(sos=DESIGNS["low-pass"]), noise()))


def test_sections_of_another_number_begin_from_rest():
    core = make(sos=DESIGNS["low-pass"])
    run(core, noise())
    change(core, sos=DESIGNS["band-pass"])
    assert np.array_equal(run(core, noise()), run(make(sos=DESIGNS["band-pass"]), noise()))


def test_a_new_short_response_applies_to_what_was_heard_before():
    first, second = RNG.standard_normal((2, 100))
    core = make(fir=first)
    run(core, noise()[:1000])
    change(core, fir=second)
    expected = fir_reference(second, noise())[1000:]
    assert np.abs(run(core, noise()[1000:]) - expected).max() < 1e-5


def test_a_new_long_response_has_replaced_the_former_within_the_stated_time():
    first, second = RNG.standard_normal((2, 12000))
    signal_ = noise(30000)
    core = make(fir=first)
    run(core, signal_[:14000])
    change(core, fir=second)
    out = run(core, signal_[14000:])
    settled = 32 * 256 + 256
    expected = fir_reference(second, signal_)[14000 + settled :]
    assert np.abs(out[settled:] - expected).max() < 1e-5 * np.abs(expected).max()


def test_sections_give_way_to_a_response():
    core = make(sos=DESIGNS["low-pass"])
    run(core, noise())
    fir = RNG.standard_normal(50)
    change(core, sos=None, fir=fir)
    assert np.abs(run(core, noise()) - fir_reference(fir, noise())).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("sos", np.ones((2, 5)), "shape"),
        ("sos", np.ones(6), "shape"),
        ("sos", np.zeros((0, 6)), "shape"),
        ("sos", np.tile([1.0, 0, 0, 1, 0, 0], (65, 1)), "64"),
        ("sos", np.array([[1.0, 0, 0, 0, 0, 0]]), "a0"),
        ("sos", np.array([[1.0, 0, 0, 1, -2, 1]]), "unstable"),
        ("sos", np.array([[1.0, 0, 0, 1, 0, 1.5]]), "unstable"),
        ("fir", np.ones((10, 3)), "shape"),
        ("fir", np.ones((10, 2, 1)), "shape"),
        ("fir", np.ones((0, 2)), "0 taps"),
    ],
)
def test_bad_coefficients_are_refused(name, values, words):
    with pytest.raises(ValueError, match=words):
        make(**{name: values})


def test_a_node_of_more_channels_goes_on():
    one, fir = make(channels=1, fir=DESIGNS["low-pass"][0]), DESIGNS["low-pass"][0]
    first = run(one, np.ascontiguousarray(noise()[:700, :1]))
    two = make(fir=fir)
    two.adopt(one)
    second = run(two, noise()[700:])
    assert np.abs(np.concatenate([first[:, 0], second[:, 0]]) - fir_reference(fir, noise())[:, 0]).max() < 1e-6


def test_short_filters_do_not_load_pyfftw():
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from asmu_engine.rt.convolution import Convolution; from asmu_engine.audio.kinds import Kinds;"
        "Kinds(); Convolution(np.ones((256, 1)), 2, 256); assert not {'pyfftw', 'scipy', 'soundfile'} & set(sys.modules);"
        "import asmu_engine.rt.transform as t; t.process_is_ours = True; Convolution(np.ones((9000, 1)), 2, 256);"
        "assert 'pyfftw' in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
