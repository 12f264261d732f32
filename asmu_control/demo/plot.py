"""The demo's picture: what was recorded, its spectrum, and how much of each block the callback needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from asmu_control.demo.measurement import DemoResult
from asmu_control.demo.verify import Samples

_INK, _QUIET, _ACCENT = "#1b3a4b", "#9fb3bf", "#c8553d"


def draw(result: DemoResult, played: Samples, recorded: Samples, path: Path) -> None:
    """Write the picture of a result to `path` as PNG; `played` and `recorded` have shape (frames, channels)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _envelope(axes[0, 0], result, recorded)
    _excerpt(axes[0, 1], result, played, recorded)
    _spectrum(axes[1, 0], result, recorded)
    _callback(axes[1, 1], result)
    verdict = "bit-exact" if result.bit_exact else f"{result.differing_samples} samples differ"
    figure.suptitle(f"asmu demo: {result.recorded_frames} frames of {result.channels} channels, {verdict}", color=_INK)
    figure.savefig(path, dpi=110)


def _envelope(axes: Any, result: DemoResult, recorded: Samples) -> None:
    """Least and greatest sample of each of a thousand slices, so that nothing hides between pixels."""
    signal = recorded[:, 0]
    slices = min(1000, len(signal))
    edges = np.linspace(0, len(signal), slices + 1).astype(int)
    low = np.minimum.reduceat(signal, edges[:-1])
    high = np.maximum.reduceat(signal, edges[:-1])
    axes.fill_between(edges[:-1] / result.samplerate, low, high, color=_INK, linewidth=0.3)
    axes.set(xlabel="time in s", ylabel="amplitude", xlim=(0, len(signal) / result.samplerate))
    axes.set_title("recording, channel 1", fontsize=10)


def _excerpt(axes: Any, result: DemoResult, played: Samples, recorded: Samples) -> None:
    """The first milliseconds of sound: each sample that was played, and where it was recorded."""
    heard = np.flatnonzero(recorded[:, 0])
    first = int(heard[0]) if heard.size else 0
    frames = np.arange(max(first - 16, 0), min(first + 80, len(recorded)))
    source = frames - result.delay_frames
    there = (source >= 0) & (source < len(played))
    axes.vlines(frames[there], 0, played[source[there], 0], color=_ACCENT, linewidth=1, label="played")
    axes.plot(frames, recorded[frames, 0], "o", color=_INK, markersize=3, label="recorded")
    axes.set(xlabel="recorded frame", ylabel="amplitude")
    axes.set_title(f"first frames, played {result.delay_frames} frames earlier", fontsize=10)
    axes.legend(loc="lower left", fontsize=8)


def _spectrum(axes: Any, result: DemoResult, recorded: Samples) -> None:
    """Power spectral density by averaged periodograms (Welch: Hann window, half overlap), dB re 1/Hz."""
    signal = recorded[:, 0].astype(np.float64)
    length = min(8192, len(signal))
    window = np.hanning(length + 1)[:-1] if length > 1 else np.ones(length)
    starts = range(0, len(signal) - length + 1, max(1, length // 2))
    power = sum(np.abs(np.fft.rfft(window * signal[start : start + length])) ** 2 for start in starts)
    density = 2 * np.asarray(power) / (len(starts) * result.samplerate * np.sum(window**2))
    frequencies = np.fft.rfftfreq(length, 1 / result.samplerate)
    axes.semilogx(frequencies[1:-1], 10 * np.log10(density[1:-1] + 1e-30), color=_INK, linewidth=0.8)
    axes.set(xlabel="frequency in Hz", ylabel="density in dB re 1/Hz", xlim=(20, result.samplerate / 2))
    axes.set_title("spectrum of channel 1", fontsize=10)
    axes.grid(which="both", color=_QUIET, alpha=0.3)


def _callback(axes: Any, result: DemoResult) -> None:
    """The callback's time as bars on the scale of a block, the deadline as a line."""
    names = ["p50", "p99", "max"]
    values = [max(result.callback_us[name], 0.1) for name in names]
    axes.barh(names, values, color=_INK, height=0.5)
    for row, value in enumerate(values):
        axes.text(value * 1.1, row, f"{value:.0f} µs = {100 * value / result.block_us:.2g} %", va="center", fontsize=9)
    axes.axvline(result.block_us, color=_ACCENT)
    axes.set_xscale("log")
    axes.set(xlabel="callback time in µs", xlim=(1, result.block_us * 30))
    axes.invert_yaxis()
    axes.set_title(f"deadline {result.block_us:.0f} µs, missed {result.deadline_misses} of {result.blocks}", fontsize=10)
