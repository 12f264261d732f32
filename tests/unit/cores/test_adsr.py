"""Envelopes against numpy.interp."""

import numpy as np
import pytest
from core_runs import RATE, make, run, said, tell

from asmu_engine.cores.adsr import AADSR

TIMES = {"attack": 0.01, "decay": 0.02, "sustain": 0.4, "release": 0.03}


def ones(frames: int, channels: int = 1) -> np.ndarray:
    return np.ones((frames, channels), dtype=np.float32)


@pytest.mark.parametrize("scale", ["lin", "log"])
@pytest.mark.parametrize("blocksize", [64, 441, 1024])
@pytest.mark.parametrize("samplerate", [44100, 48000])
def test_the_whole_envelope_is_exact(scale, blocksize, samplerate):
    core = make(AADSR, 1, 1, blocksize, samplerate, **TIMES, scale=scale)
    mapped = (lambda x: (10.0**x - 1) / 9) if scale == "log" else (lambda x: x)
    assert not run(core, ones(500)).any()
    core.start()
    t = np.arange(3000) / samplerate
    held = run(core, ones(3000))[:, 0]
    assert np.abs(held - mapped(np.interp(t, [0, 0.01, 0.03], [0, 1, 0.4]))).max() < 1e-7
    assert held[0] == 0
    assert held[round(0.01 * samplerate)] == 1
    assert (held[round(0.03 * samplerate) :] == np.float32(mapped(0.4))).all()
    core.release_now()
    fallen = run(core, ones(3000))[:, 0]
    assert np.abs(fallen - mapped(np.interp(t, [0, 0.03], [0.4, 0]))).max() < 1e-7
    assert not fallen[round(0.03 * samplerate) :].any()


def test_times_between_samples():
    core = make(AADSR, 1, 1, attack=0.00105, decay=0.00333, sustain=0.5, release=0.1)
    core.start()
    t = np.arange(400) / RATE
    assert np.abs(run(core, ones(400))[:, 0] - np.interp(t, [0, 0.00105, 0.00438], [0, 1, 0.5])).max() < 1e-7


def test_times_of_zero_are_steps():
    core = make(AADSR, 1, 1, attack=0, decay=0, sustain=0.5, release=0)
    core.start()
    assert (run(core, ones(300)) == 0.5).all()
    core.release_now()
    assert not run(core, ones(300)).any()
    tell(core, decay=0.01)
    core.start()
    assert run(core, ones(1))[0, 0] == 1


def test_a_release_before_the_sustain_falls_from_where_it_stands():
    core = make(AADSR, 1, 1, **TIMES)
    core.start()
    run(core, ones(240))
    core.release_now()
    out = run(core, ones(2000))[:, 0]
    assert np.abs(out - np.maximum(0.5 * (1 - np.arange(2000) / 1440), 0)).max() < 1e-7


@pytest.mark.parametrize("released", [False, True])
def test_a_start_while_it_runs_goes_on_from_where_it_stands(released):
    core = make(AADSR, 1, 1, **TIMES)
    core.start()
    run(core, ones(2000))
    if released:
        core.release_now()
        run(core, ones(720))
    level = 0.2 if released else 0.4
    core.start()
    out = run(core, ones(480))[:, 0]
    assert np.abs(out - np.interp(np.arange(480), [0, 480], [level, 1])).max() < 1e-7


def test_new_parameters_hold_from_the_next_call():
    core = make(AADSR, 1, 1, **TIMES)
    core.start()
    run(core, ones(2000))
    tell(core, sustain=0.9, release=0.01)
    assert (run(core, ones(100)) == np.float32(0.4)).all()
    core.release_now()
    assert np.abs(run(core, ones(480))[:, 0] - 0.4 * (1 - np.arange(480) / 480)).max() < 1e-7


def test_cuts_do_not_show_and_channels_are_alike():
    signal = np.random.default_rng(1).standard_normal((2500, 3)).astype(np.float32)
    results = []
    for cuts in ([], [480], [479, 481, 1439], list(range(1, 2500))):
        core = make(AADSR, 3, 3, 2500, **TIMES, scale="log")
        core.start()
        results.append(run(core, signal, cuts))
    assert all(np.array_equal(result, results[0]) for result in results)
    t = np.arange(2500) / RATE
    factors = ((10 ** np.interp(t, [0, 0.01, 0.03], [0, 1, 0.4]) - 1) / 9)[:, None]
    assert np.abs(results[0] - signal * factors).max() < 1e-6


def test_it_is_silent_at_rest_whatever_comes_in():
    core = make(AADSR, 1, 1, **TIMES)
    assert not run(core, np.full((300, 1), np.nan, dtype=np.float32)).any()


def test_it_says_when_it_starts_falls_and_ends():
    core = make(AADSR, 1, 1, 480, **TIMES)
    core.release_now()
    run(core, ones(480))
    assert said(core) == []
    core.start()
    run(core, ones(4800))
    assert said(core) == [("triggered", 480)]
    core.release_now()
    run(core, ones(960))
    core.release_now()  # it falls already
    assert said(core) == [("released", 5280)]
    run(core, ones(480))
    assert said(core) == [("finished", 5280 + 1440)]
    run(core, ones(480))
    core.release_now()
    run(core, ones(480))
    assert said(core) == []


def test_started_and_released_with_the_same_frame():
    core = make(AADSR, 1, 1, 480, **TIMES)
    core.start()
    core.release_now()
    run(core, ones(1920))
    assert said(core) == [("triggered", 0), ("released", 0), ("finished", 1440)]


@pytest.mark.parametrize("cuts", [None, [1439], [1440], [1441], list(range(1, 2000))])
def test_what_it_says_does_not_depend_on_the_blocks(cuts):
    core = make(AADSR, 1, 1, 480 if cuts is None else 2000, **TIMES)
    core.start()
    run(core, ones(100))
    core.release_now()
    run(core, ones(2000), cuts)
    assert said(core) == [("triggered", 0), ("released", 100), ("finished", 1540)]


def test_reset_and_another_number_of_channels():
    core = make(AADSR, 1, 1, **TIMES)
    core.start()
    run(core, ones(240))
    wider = make(AADSR, 2, 2, **TIMES)
    wider.adopt(core)
    assert (run(wider, ones(241, 2))[-1] == 1).all()
    core.reset()
    assert not run(core, ones(300)).any()
