"""The third octaves of the spectrogram example against the limits of the standard."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from asmu_control.examples.spectrogram import ThirdOctaves

MASK = Path(__file__).parents[2] / "references" / "iec61260_octave_mask.csv"
SAMPLERATE, FRAMES = 48_000, 24_000


def level(bands: ThirdOctaves, band: int, frequency: float) -> float:
    """Of a sine of full scale in that band, dB."""
    sine = np.sin(2 * np.pi * frequency / SAMPLERATE * np.arange(FRAMES)).astype(np.float32)
    return float(10 * np.log10(2 * bands(sine[:, None])[band, 0] + 1e-12))


@pytest.fixture(scope="module")
def bands() -> ThirdOctaves:
    return ThirdOctaves(SAMPLERATE, FRAMES)


def test_bands_are_those_of_the_standard(bands):
    assert bands.centers == pytest.approx(1000 * 10 ** (np.arange(-12, 14) / 10))
    assert ThirdOctaves(8000, 8000).centers[[0, -1]] == pytest.approx([1000 * 10**-1.5, 1000 * 10**0.5])


@pytest.mark.parametrize("number", [-6, 0, 12])
def test_a_band_is_of_class_1(bands, number):
    with MASK.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    center = 1000 * 10 ** (number / 10)
    band = int(np.argmin(np.abs(bands.centers - center)))
    assert len(rows) == 10
    for row in rows:
        ratio = float(row["third_octave_omega_h"])
        # The edge itself stands twice in the table, for what is just within and just without.
        ratio *= {"1/2 inside": 0.9999, "1/2 outside": 1.0001}.get(row["x_label"], 1.0)
        for frequency in (center * ratio, center / ratio):
            if frequency < 0.45 * SAMPLERATE:
                assert float(row["class1_min_db"]) <= -level(bands, band, frequency) <= float(row["class1_max_db"]), frequency


def test_all_bands_together_are_the_power_of_noise(bands):
    noise = np.random.default_rng(3).standard_normal((FRAMES, 2)).astype(np.float32)
    found = bands(noise)
    # White noise has its power evenly over frequency; each band's share follows from its width.
    width = bands.centers * (10**0.05 - 10**-0.05)
    np.testing.assert_allclose(found[12:].mean(axis=1), width[12:] / (SAMPLERATE / 2), rtol=0.15)
