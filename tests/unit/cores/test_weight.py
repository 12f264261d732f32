"""Frequency weighting against the table of IEC 61672-1 and its analog poles, measured on the running core."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from asmu_engine.cores.weight import AWeight
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.weighting import HIGH, LOW, MIDDLE, analog, response, sections

TABLE = Path(__file__).parents[2] / "references" / "iec61672_frequency_weighting.csv"
RATES = [44100, 48000, 96000, 192000]
DEVIATION_DB = {44100: 0.0082, 48000: 0.0074, 96000: 0.0080, 192000: 0.0101}
"""What the documentation states."""


def table() -> list[dict[str, float]]:
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    for number, row in enumerate(rows):
        row["hz"] = 1000 * 10 ** ((number - 20) / 10)
    return rows


def make(weight: str, samplerate: float = 48000, channels: int = 1, blocksize: int = 256) -> AWeight:
    return AWeight(Setup(samplerate, blocksize, channels, channels, Context()), {"weight": weight})


def run(core: AWeight, inputs: np.ndarray) -> np.ndarray:
    outputs = np.full_like(inputs, np.nan)
    size = core.setup.blocksize
    for start in range(0, len(inputs), size):
        core.process(inputs[start : start + size], outputs[start : start + size])
    return outputs


def impulse_response_db(core: AWeight, frequencies: np.ndarray) -> np.ndarray:
    """From one second of the core's answer to an impulse: the lowest pole has fallen by more than 500 dB then."""
    samplerate = int(core.setup.samplerate)
    impulse = np.zeros((samplerate, 1), dtype=np.float32)
    impulse[0] = 1
    answer = run(core, impulse)[:, 0].astype(np.float64)
    turns = -2j * np.pi * frequencies / samplerate
    return 20 * np.log10([abs(np.dot(np.exp(turn * np.arange(samplerate)), answer)) for turn in turns])


@pytest.mark.parametrize("samplerate", RATES)
@pytest.mark.parametrize("weight", ["Z", "A", "C"])
def test_class_1_holds_with_a_tenth_of_its_room(weight, samplerate):
    rows = table()
    assert len(rows) == 34
    frequencies = np.array([row["hz"] for row in rows])
    found = impulse_response_db(make(weight, samplerate), frequencies)
    exact = 20 * np.log10(analog(weight, frequencies)) if weight != "Z" else np.zeros(len(rows))
    for row, db, truth in zip(rows, found, exact, strict=True):
        assert row["class1_lower_db"] < db - row[f"{weight}_db"] < row["class1_upper_db"]
        # The table is rounded to 0.1 dB; against the curve itself all stays within a hundredth.
        assert abs(db - truth) < 0.0105
        assert abs(truth - row[f"{weight}_db"]) <= 0.0501


@pytest.mark.parametrize("samplerate", RATES)
@pytest.mark.parametrize("weight", ["A", "C"])
def test_the_largest_deviation_is_the_documented_one(weight, samplerate):
    frequencies = np.append(np.geomspace(10, 20000, 4000), 20000.0)
    found = 20 * np.log10(np.abs(response(sections(weight, samplerate), frequencies, samplerate)) / analog(weight, frequencies))
    assert np.abs(found).max() <= DEVIATION_DB[samplerate]


@pytest.mark.parametrize("weight", ["A", "C"])
def test_the_analog_curve_is_that_of_its_poles(weight):
    poles = [LOW, LOW, HIGH, HIGH] + (list(MIDDLE) if weight == "A" else [])
    zeros = [0.0] * (4 if weight == "A" else 2)
    frequencies = np.geomspace(1, 100000, 50)
    _, h = signal.freqs_zpk(zeros, -2 * np.pi * np.array(poles), 1.0, 2 * np.pi * frequencies)
    _, at_1k = signal.freqs_zpk(zeros, -2 * np.pi * np.array(poles), 1.0, [2 * np.pi * 1000])
    assert np.allclose(analog(weight, frequencies), np.abs(h) / np.abs(at_1k), rtol=1e-12)


@pytest.mark.parametrize("samplerate", [8000, 16000, 22050, 32000, *RATES, 384000])
@pytest.mark.parametrize("weight", ["A", "C"])
def test_the_filter_is_stable_of_minimum_phase_and_0_db_at_1_khz(weight, samplerate):
    cascade = sections(weight, samplerate)
    zeros, poles, _ = signal.sos2zpk(cascade)
    assert np.abs(poles).max() < 1
    assert np.abs(zeros).max() <= 1 + 1e-7
    at = np.array([min(1000.0, samplerate / 10)])
    assert 20 * np.log10(np.abs(response(cascade, at, samplerate)) / analog(weight, at)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("blocksize", [1, 64, 441, 4096])
@pytest.mark.parametrize("weight", ["A", "C"])
def test_the_samples_are_those_of_sosfilt_at_any_blocksize(weight, blocksize):
    noise = np.random.default_rng(4).standard_normal((6000, 2)).astype(np.float32)
    out = run(make(weight, channels=2, blocksize=blocksize), noise)
    expected = signal.sosfilt(sections(weight, 48000), noise.astype(np.float64), axis=0)
    assert np.abs(out - expected).max() < 1e-6
    assert np.array_equal(out, run(make(weight, channels=2), noise))


def test_z_changes_nothing():
    noise = np.random.default_rng(4).standard_normal((1000, 3)).astype(np.float32)
    assert np.array_equal(run(make("Z", channels=3), noise), noise)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_where_it_is(bad):
    noise = np.random.default_rng(4).standard_normal((1000, 2)).astype(np.float32)
    silent = noise.copy()
    silent[300, 1] = 0
    broken = noise.copy()
    broken[300, 1] = bad
    assert np.array_equal(run(make("A", channels=2), broken), run(make("A", channels=2), silent))


def test_another_weighting_begins_from_rest():
    noise = np.random.default_rng(4).standard_normal((1000, 1)).astype(np.float32)
    core = make("A")
    run(core, noise)
    core.weight = "C"
    core.changed("weight")
    assert np.array_equal(run(core, noise), run(make("C"), noise))


@pytest.mark.parametrize("weight", ["A", "C"])
def test_another_channel_does_not_disturb_the_first(weight):
    noise = np.random.default_rng(4).standard_normal((1000, 2)).astype(np.float32)
    whole = run(make(weight, channels=2), noise)
    one = make(weight)
    first = run(one, np.ascontiguousarray(noise[:500, :1]))
    two = make(weight, channels=2)
    two.adopt(one)
    second = run(two, noise[500:])
    assert np.abs(np.concatenate([first[:, 0], second[:, 0]]) - whole[:, 0]).max() < 1e-6
