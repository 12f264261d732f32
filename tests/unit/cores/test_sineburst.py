"""Bursts against their closed form."""

import numpy as np
import pytest
from core_runs import RATE, make, peak_bytes, run, said, tell

from asmu_engine.cores.sineburst import ASineBurst


def expected(frames: int, frequency: float, periods: float, phase: float, length: int, samplerate: float = RATE) -> np.ndarray:
    n = np.arange(frames)
    return np.where(n < length, np.sin(2 * np.pi * frequency * n / samplerate + phase), 0)


@pytest.mark.parametrize(
    ("samplerate", "frequency", "periods", "length"),
    [
        (48000, 1000, 5, 240),
        (48000, 1000, 1, 48),
        (44100, 1000, 10, 441),
        (44100, 1000, 1, 45),  # 44.1: frame 44 lies within the period, frame 45 does not
        (48000, 997, 7, 338),  # 337.01
        (48000, 1000, 0.5, 24),
        (48000, 0.1, 0.001, 480),
        (44100, 0.3, 0.003, 441),
        (48000, 1000, 0, 0),
        (192000, 4000, 200, 9600),
    ],
)
def test_it_ends_on_the_exact_sample(samplerate, frequency, periods, length):
    core = make(ASineBurst, 0, 1, samplerate=samplerate, frequency=frequency, periods=periods, phase=1.0)
    out = run(core, 10000)[:, 0]
    assert np.abs(out - expected(10000, frequency, periods, 1.0, length, samplerate)).max() < 1e-6
    assert not out[length:].any()
    assert np.count_nonzero(out[:length]) >= length - 1


@pytest.mark.parametrize("cuts", [[], [240], [239], [241], list(range(1, 1000))])
def test_cuts_do_not_show(cuts):
    values = {"frequency": [1000.0, 1000.0, 300.0], "periods": [5.0, 2.0, 1.0], "phase": [0.0, 0.5, 0.0]}
    out = run(make(ASineBurst, 0, 3, blocksize=1000, **values), 1000, cuts)
    lengths = [240, 96, 160]
    for column, length in enumerate(lengths):
        one = expected(1000, values["frequency"][column], 0, values["phase"][column], length)
        assert np.abs(out[:, column] - one).max() < 1e-6


def test_it_can_be_restarted_also_while_it_plays():
    core = make(ASineBurst, 0, 2, frequency=1000, periods=5)
    first = run(core, 600)
    core.restart()
    assert np.array_equal(run(core, 600), first)
    core.restart()
    run(core, 100)
    core.restart()
    assert np.array_equal(run(core, 600), first)


def test_new_parameters_hold_from_the_next_start():
    core = make(ASineBurst, 0, 1, frequency=1000, periods=5)
    whole = run(core, 512)
    core.reset()
    begun = run(core, 100)
    tell(core, frequency=2000, periods=1, phase=np.pi / 2)
    rest = run(core, 412)
    assert np.array_equal(np.concatenate([begun, rest]), whole)
    core.restart()
    assert np.abs(run(core, 100)[:, 0] - expected(100, 2000, 1, np.pi / 2, 24)).max() < 1e-6


def test_it_says_when_it_starts_and_ends():
    core = make(ASineBurst, 0, 2, frequency=1000, periods=[5, 6])
    run(core, 256)
    assert said(core) == [("started", 0)]
    run(core, 256)
    assert said(core) == [("finished", 288)]
    run(core, 256)
    assert said(core) == []
    core.restart()
    run(core, 256)
    assert said(core) == [("started", 768)]


@pytest.mark.parametrize("cuts", [None, [], [239], [240], [241], list(range(1, 1000))])
def test_what_it_says_does_not_depend_on_the_blocks(cuts):
    core = make(ASineBurst, 0, 1, blocksize=1000 if cuts is not None else 256, frequency=1000, periods=5)
    run(core, 1000, cuts)
    assert said(core) == [("started", 0), ("finished", 240)]


def test_a_burst_of_no_length_is_over_as_it_begins():
    core = make(ASineBurst, 0, 1, periods=0)
    run(core, 256)
    assert said(core) == [("started", 0), ("finished", 0)]


def test_another_number_of_channels_goes_on():
    core = make(ASineBurst, 0, 1, frequency=1000, periods=5)
    whole = run(core, 512)
    core.reset()
    run(core, 100)
    wider = make(ASineBurst, 0, 2, frequency=1000, periods=5)
    wider.adopt(core)
    out = run(wider, 412)
    # A new stretch begins there, from which on a sample may be rounded the other way.
    assert np.abs(out - whole[100:]).max() < 1e-7


@pytest.mark.parametrize("frequency", [100.0, [100.0, 200.0]])
def test_nothing_is_allocated(frequency):
    assert peak_bytes(make(ASineBurst, 0, 2, 4096, frequency=frequency, periods=1e9)) < 16_384  # an array of a block has 32 KiB
