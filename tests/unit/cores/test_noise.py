"""Noise: white as stated, pink by its spectrum at every samplerate."""

import numpy as np
import pytest
from scipy import signal

from asmu_engine.cores.noise import PINK_RMS, ANoise
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.pink import pink_filter

RATES = [44100, 48000, 88200, 96000, 176400, 192000]


def make(samplerate: float = 48000, channels: int = 1, blocksize: int = 1024, **values: object) -> ANoise:
    return ANoise(Setup(samplerate, blocksize, 0, channels, Context()), {"weight": "pink", **values})


def run(core: ANoise, frames: int) -> np.ndarray:
    outputs = np.empty((frames, core.channels), dtype=np.float32)
    for start in range(0, frames, core.setup.blocksize):
        core.process(np.empty((0, 0), np.float32), outputs[start : start + core.setup.blocksize])
    return outputs


@pytest.mark.parametrize("samplerate", [8000, 22050, 32000, *RATES, 384000])
def test_the_filter_has_the_slope(samplerate):
    filter_ = pink_filter(samplerate)
    frequencies = np.geomspace(20, min(20000, 0.46 * samplerate), 500)
    response = [
        filter_.c @ np.linalg.solve(z * np.eye(filter_.order) - filter_.a, filter_.b) + filter_.d
        for z in np.exp(2j * np.pi * frequencies / samplerate)
    ]
    level = 20 * np.log10(np.abs(response)) + 10 * np.log10(frequencies)
    assert (level.max() - level.min()) / 2 < 0.02
    assert np.abs(np.linalg.eigvals(filter_.a)).max() < 1


@pytest.mark.parametrize("samplerate", RATES)
def test_pink_noise_by_welch(samplerate):
    # 16 channels of 2²⁰ frames in third octaves: what is left at 20 Hz is the spread of so few periods, not the filter.
    frames = 2**20
    noise = run(make(samplerate, channels=16, blocksize=8192, seed=1), frames)
    length = 2**16
    # Channels in rows: as columns their transforms take three times as long.
    frequencies, density = signal.welch(np.ascontiguousarray(noise.T), samplerate, nperseg=length)
    density = density.mean(axis=0)
    centres = 1000 * 2 ** (np.arange(-17, 13) / 3)  # 20 Hz to 16 kHz
    levels = []
    for centre in centres:
        band = (frequencies >= centre * 2 ** (-1 / 6)) & (frequencies < centre * 2 ** (1 / 6))
        levels.append(10 * np.log10((density[band] * frequencies[band]).mean()))
    deviation = np.array(levels) - np.mean(levels[10:])
    assert np.abs(deviation).max() < 0.25
    top = (frequencies > 18000) & (frequencies <= 20000)
    assert abs(10 * np.log10((density[top] * frequencies[top]).mean()) - np.mean(levels[10:])) < 0.05
    slope = np.polyfit(np.log2(centres), 10 * np.log10(1 / centres) + deviation, 1)[0]
    assert slope == pytest.approx(-3.0103, abs=0.02)


@pytest.mark.parametrize("samplerate", RATES)
def test_pink_noise_has_the_stated_level(samplerate):
    noise = run(make(samplerate, channels=16, seed=2), 2**18)
    assert np.abs(noise).max() <= 1
    assert np.sqrt((noise**2).mean()) == pytest.approx(PINK_RMS, rel=0.02)
    assert np.abs(noise).max() > 4 * PINK_RMS  # a crest like that of Gaussian noise


def test_pink_noise_is_stationary_from_the_first_sample_on():
    ensemble = run(make(channels=64, seed=0), 2)
    firsts = [run(make(channels=64, seed=seed), 2) for seed in range(40)]
    power = np.mean([(first[0] ** 2).mean() for first in firsts])
    assert np.sqrt(power) == pytest.approx(PINK_RMS, rel=0.05)
    # Neighbours correlate at once as they do ever after.
    later = run(make(channels=64, seed=0), 20000)
    steady = (later[1:] * later[:-1]).mean() / (later**2).mean()
    first = np.mean([(f[0] * f[1]).mean() for f in firsts]) / power
    assert first == pytest.approx(steady, abs=0.05)
    assert not np.array_equal(ensemble[:, 0], ensemble[:, 1])


def test_pink_channels_are_independent_and_seeds_differ():
    noise = run(make(channels=4, seed=3), 2**18).astype(np.float64)
    correlation = np.corrcoef(noise.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.06
    assert not np.array_equal(run(make(seed=1), 100), run(make(seed=2), 100))
    assert np.array_equal(run(make(seed=1), 100), run(make(seed=1), 100))


def test_pink_noise_has_no_seams():
    assert np.array_equal(run(make(blocksize=64), 10000), run(make(blocksize=441), 10000))


def test_pink_amplitude_scales_and_clips():
    core = make(seed=4)
    full = run(core, 5000)
    assert np.array_equal(run(make(seed=4, amplitude=0.5), 5000), full * np.float32(0.5))
    # A state far out of bounds is limited.
    core.reset()
    core._pink.state[...] *= 100
    assert np.abs(run(core, 5000)).max() == 1.0


def test_pink_reset_and_another_number_of_channels():
    core = make(channels=2, seed=5)
    first = run(core, 700)
    core.reset()
    assert np.array_equal(run(core, 700), first)
    wider = make(channels=3, seed=5)
    wider.adopt(core)
    core_goes_on = core._pink.state.copy()
    assert np.array_equal(wider._pink.state[:, :2], core_goes_on)
    assert np.abs(run(wider, 1000)).max() <= 1
