"""Third-octave spectrogram of all inputs at once, 64 by default, computed beside the engine in worker processes.

Each block of half a second becomes the level of each third octave of each channel, many times a second (`--rate`): too much for
the loop of a script, so ``Tap.map`` runs it in worker processes, which read the blocks where the engine puts them. The last lines
say whether anything was missed. Levels are in dB re a sine of full scale; the plot shows the loudest channel over time, and the
mean of each channel.

    python -m asmu_control.examples.spectrogram --device portaudio --workers 4 --seconds 60 --plot spectrogram.png
"""

import os

import numpy as np
from numpy.typing import NDArray
from scipy import fft

import asmu_control as asmu
from asmu_control.analyzer.mapping.result import MapResult
from asmu_control.examples._common import options, show

DEVICE = "virtual:inputs=64,outputs=1,tone_hz=1000,tone_dbfs=-20,noise_dbfs=-60"
Levels = NDArray[np.float32]


class ThirdOctaves:
    """Mean squares of the third octaves of a block, by its Hann-windowed spectrum: ``bands(block)``, shape (bands, channels).

    Parameters
    ----------
    samplerate
        Hz.
    frames
        Of a block. A band needs a few lines of the spectrum, which are samplerate / frames apart: the lowest is the first one
        that is six lines wide.

    Attributes
    ----------
    centers
        Exact mid-band frequencies, Hz: 1000 · 10^(n/10), IEC 61260-1, up to 20 kHz or what the samplerate allows.
    """

    def __init__(self, samplerate: float, frames: int) -> None:
        line = samplerate / frames
        numbers = np.arange(-20, 14)
        lower, upper = (1000 * 10 ** ((numbers + side) / 10) for side in (-0.5, 0.5))
        kept = (upper - lower >= 6 * line) & (upper <= samplerate / 2)
        self.centers = 1000 * 10 ** (numbers[kept] / 10)
        window = np.hanning(frames + 1)[:-1]
        # A line at the edge of a band belongs to it by as much as lies in it. All lines of a band add up to its mean square.
        middle = line * np.arange(frames // 2 + 1)[None, :]
        shares = np.minimum(upper[kept, None], middle + line / 2) - np.maximum(lower[kept, None], middle - line / 2)
        self._weights = (np.clip(shares / line, 0, 1) * 2 / (frames * np.sum(window**2))).astype(np.float32)
        self._window = window.astype(np.float32)[:, None]

    def __call__(self, block: NDArray[np.float32]) -> Levels:
        """Mean square in each band of each channel; 0.5 is a sine of full scale."""
        spectrum = fft.rfft(block * self._window, axis=0)
        power = spectrum.real**2 + spectrum.imag**2
        levels: Levels = self._weights @ power
        return levels


def main() -> None:
    """Measure, and show how the work keeps up."""
    parser = options(__doc__, device=DEVICE, seconds=5, plot=True)
    parser.add_argument("--channels", type=int, default=64, help="inputs to analyze, from the first on; default: %(default)s")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes; default: %(default)s")
    parser.add_argument("--rate", type=int, default=16, help="spectra a second; default: %(default)s")
    args = parser.parse_args()

    interface = asmu.Interface(device=args.device)
    fs = round(interface.samplerate)
    tap = asmu.analyzer.Tap(interface, channels=args.channels)
    for index in range(args.channels):
        interface.iinput(ch=index + 1).connect(tap.input(index))

    bands = ThirdOctaves(fs, fs // 2)
    results: list[MapResult[Levels]] = []
    with interface.start(), tap.map(bands, args.workers, blocksize=fs // 2, hop=fs // args.rate, progress=True) as spectra:
        for result in spectra:
            results.append(result)
            if len(results) >= args.rate * args.seconds:
                break
        stats = interface.stats()
        state = spectra.progress()

    levels = 10 * np.log10(2 * np.array([result.value for result in results]) + 1e-20)  # (times, bands, channels)
    mean = 10 * np.log10(np.mean(10 ** (levels / 10), axis=0))
    for center, level in zip(bands.centers, mean.max(axis=1), strict=True):
        print(f"{center:8.1f} Hz {level:7.1f} dB")
    print(f"workers {100 * state.busy:.0f} % busy, {state.lag_seconds:.2f} s behind")
    print(f"frames lost: {spectra.total_lost}, skipped: {spectra.total_skipped}; deadlines missed: {stats['deadline_misses']}")

    if args.plot is not None:
        import matplotlib.pyplot as plt

        loudest = int(np.argmax(mean.max(axis=0)))
        times = (np.array([result.position for result in results]) - results[0].position) / fs
        figure, (above, below) = plt.subplots(2, figsize=(9, 8), layout="constrained")
        scale = {"shading": "nearest", "vmin": levels.max() - 80, "vmax": levels.max()}
        above.pcolormesh(times, bands.centers, levels[:, :, loudest].T, **scale)
        above.set(yscale="log", xlabel="time in s", ylabel="frequency in Hz", title=f"channel {loudest + 1}")
        image = below.pcolormesh(np.arange(args.channels) + 1, bands.centers, mean, **scale)
        below.set(yscale="log", xlabel="channel", ylabel="frequency in Hz", title="mean of each channel")
        figure.colorbar(image, ax=(above, below), label="dB re a sine of full scale")
        show(figure, args.plot)


if __name__ == "__main__":
    main()
