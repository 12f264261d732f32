"""Spectra against numpy, scipy.signal and closed forms."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.signal

import asmu_control as asmu
from asmu_control.analyzer import FFT
from asmu_control.analyzer.result import Result
from asmu_engine.protocol.errors import PatchError

N = 4800
WINDOWS = {
    "hann": scipy.signal.get_window("hann", N),
    "rectangle": np.ones(N),
    "flattop": scipy.signal.get_window("flattop", N),
    "kaiser": 3.7 * scipy.signal.get_window(("kaiser", 9.0), N),
}
WINDOW = pytest.mark.parametrize("win", WINDOWS.values(), ids=WINDOWS.keys())


def noise(frames, channels=2, seed=1):
    return (0.2 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def test_the_default_window_is_hann_of_one_second(interface):
    fft = FFT(interface)
    assert np.allclose(fft.window, scipy.signal.get_window("hann", 48_000), atol=1e-15)
    assert np.array_equal(fft.std_fft_window(), fft.window)
    assert fft.samples == 48_000
    assert np.allclose(fft.frequencies, np.fft.rfftfreq(48_000, 1 / 48_000))


@pytest.mark.parametrize(
    ("samplerate", "blocksize", "samples"), [(11025, 256, 11026), (44100, 256, 44100), (8000, 8192, 8192), (8000, 8193, 8194)]
)
def test_the_default_window_is_even_and_at_least_a_block(samplerate, blocksize, samples):
    fft = FFT(asmu.Interface(device="virtual", samplerate=samplerate, blocksize=blocksize))
    assert fft.samples == len(fft.std_fft_window()) == samples
    assert np.allclose(fft.frequencies, np.fft.rfftfreq(samples, 1 / samplerate))


@WINDOW
def test_spectra_of_consecutive_windows(interface, make_source, win):
    source = make_source(channels=2)
    fft = FFT(interface, win)
    source.feed(fft)
    data = noise(3 * N + 100)
    source.write(data)
    for k in range(3):
        spectrum = fft.get_rfft(block=False)
        assert isinstance(spectrum, Result)
        assert (spectrum.position, spectrum.lost, spectrum.clipped) == (k * N, 0, 0)
        expected = np.fft.rfft(data[k * N : (k + 1) * N].astype(float) * win[:, None], axis=0)
        assert spectrum.shape == (N // 2 + 1, 2)
        assert np.allclose(spectrum, expected, rtol=0, atol=1e-10)
    assert fft.get_rfft(block=False) is False
    assert fft.get_rfft(block=False, latest=True).position == 2 * N + 100


@WINDOW
def test_a_sine_of_amplitude_1_has_peak_1(interface, win):
    fft = FFT(interface, win)
    t = np.arange(N) / 48_000
    spectrum = fft.rfft(np.sin(2 * np.pi * 1000 * t + 0.3))
    k = 100
    assert fft.frequencies[k] == 1000
    assert np.argmax(np.abs(spectrum)) == k
    assert fft.rfft2peak(spectrum)[k] == pytest.approx(1, abs=1e-6)
    assert fft.rfft2rms(spectrum)[k] == pytest.approx(np.sqrt(0.5), abs=1e-6)
    assert fft.rfft2ps(spectrum)[k] == pytest.approx(0.5, abs=1e-6)


@WINDOW
def test_constant_and_alternating_parts_are_single_lines(interface, win):
    fft = FFT(interface, win)
    spectrum = fft.rfft(0.25 + 0.5 * (-1.0) ** np.arange(N))
    for scaled in (fft.rfft2peak(spectrum), fft.rfft2rms(spectrum), np.sqrt(fft.rfft2ps(spectrum))):
        assert scaled[0] == pytest.approx(0.25, abs=1e-6)
        assert scaled[-1] == pytest.approx(0.5, abs=1e-6)


@WINDOW
def test_spectra_and_densities_as_in_scipy(interface, win):
    fft = FFT(interface, win)
    data = noise(N)
    spectrum = fft.rfft(data)
    for scaled, scaling in ((fft.rfft2ps(spectrum), "spectrum"), (fft.rfft2psd(spectrum), "density")):
        _, expected = scipy.signal.periodogram(data.astype(float), 48_000, win, detrend=False, scaling=scaling, axis=0)
        assert np.allclose(scaled, expected, rtol=1e-9, atol=1e-25)
    assert np.allclose(fft.rfft2rms(spectrum) ** 2, fft.rfft2ps(spectrum))


def test_averaged_density_of_noise_is_welchs_and_the_true_one(interface, make_source):
    source = make_source()
    fft = FFT(interface, WINDOWS["hann"])
    source.feed(fft)
    data = noise(80 * N, 1)
    source.write(data)
    densities = [fft.rfft2psd(fft.get_rfft(block=False)) for _ in range(80)]
    mean = np.mean(densities, axis=0)[:, 0]
    _, welch = scipy.signal.welch(data[:, 0].astype(float), 48_000, "hann", N, 0, detrend=False)
    assert np.allclose(mean, welch, rtol=1e-9)
    true = 0.2**2 / 24_000
    assert np.mean(mean) == pytest.approx(true, rel=0.01)
    assert np.sum(mean) * 48_000 / N == pytest.approx(np.mean(np.square(data)), rel=0.01)


def test_the_two_sided_spectrum(interface):
    fft = FFT(interface, WINDOWS["hann"])
    data = noise(N)
    full = fft.rfft2fft(fft.rfft(data))
    assert full.shape == (N, 2)
    assert np.allclose(full, np.fft.fft(data.astype(float) * WINDOWS["hann"][:, None], axis=0), rtol=0, atol=1e-10)


def test_one_channel_alone_and_the_facts_that_stay(interface):
    fft = FFT(interface, WINDOWS["hann"])
    data = Result(noise(N), position=960, lost=3, clipped=2)
    spectrum = fft.rfft(data)
    for convert in (fft.rfft2peak, fft.rfft2rms, fft.rfft2ps, fft.rfft2psd, fft.rfft2fft):
        converted = convert(spectrum)
        assert (converted.position, converted.lost, converted.clipped) == (960, 3, 2)
        alone = convert(fft.rfft(np.asarray(data)[:, 1]))
        assert alone.ndim == 1
        assert np.allclose(alone, converted[:, 1])


def test_spectra_stay_when_the_next_is_computed(interface):
    fft = FFT(interface, WINDOWS["hann"])
    first = fft.rfft(noise(N))
    before = first.copy()
    fft.rfft(noise(N, seed=2))
    assert np.array_equal(first, before)


@pytest.mark.parametrize(
    ("win", "message"),
    [
        (np.ones(4801), "4801 samples"),
        (np.ones(254), "at least a block of 256"),
        (np.ones((512, 2)), "one dimension"),
        (np.r_[np.ones(511), np.nan], "finite"),
        ((-1.0) ** np.arange(512), "sum is 0"),
    ],
)
def test_a_window_that_cannot_be(interface, win, message):
    with pytest.raises(PatchError, match=message):
        FFT(interface, win)
    assert interface.processors == ()


def test_data_of_another_length_is_refused(interface):
    fft = FFT(interface, np.ones(512))
    with pytest.raises(PatchError, match="shape"):
        fft.rfft(np.zeros(511))
    with pytest.raises(PatchError, match="257 bins"):
        fft.rfft2peak(np.zeros(256))


def test_pyfftw_is_loaded_at_the_first_transform_only():
    code = (
        "import sys, numpy, asmu_control as asmu\n"
        "fft = asmu.analyzer.FFT(asmu.Interface(device='virtual'))\n"
        "print('pyfftw' in sys.modules, 'scipy' in sys.modules)\n"
        "fft.rfft(numpy.zeros(44100))\n"
        "print('pyfftw' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split() == ["False", "False", "True"]
