"""Oscilloscope: the signal of the first input around its trigger, and its spectrum, live in the terminal.

Needs a device with one input. Shows the analyzers Oscilloscope and FFT with ``latest=True``, which is for displays.
"""

import time

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Group
from rich.live import Live

import asmu_control as asmu
from asmu_control.examples._common import options, show


def draw(values: ArrayLike, low: float, high: float, filled: bool = False, rows: int = 10, columns: int = 72) -> str:
    """A curve in braille characters, which have 4 by 2 dots each; of the values in one column the range is drawn."""
    edges = np.linspace(0, np.size(values), 2 * columns + 1).astype(int)[:-1]
    heights = np.clip((high - np.asarray(values)) / (high - low), 0, 1) * (4 * rows - 1)
    first, last = np.minimum.reduceat(heights, edges).round(), np.maximum.reduceat(heights, edges).round()
    last = np.full_like(last, 4 * rows) if filled else last
    dots = np.arange(4 * rows)[:, None]
    cells = ((first <= dots) & (dots <= last)).reshape(rows, 4, columns, 2)
    bits = np.array([[1, 8], [2, 16], [4, 32], [64, 128]])  # the dots' numbers in Unicode
    return "\n".join("".join(map(chr, row)) for row in 0x2800 + (cells * bits[:, None]).sum(axis=(1, 3)))


def decibels(peaks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levels re full scale, not below -180."""
    return 20 * np.log10(np.maximum(peaks, 1e-9))


def main() -> None:
    """Look at the input until the time is up."""
    parser = options(__doc__, device="virtual:tone_hz=1000,tone_dbfs=-20,noise_dbfs=-80", seconds=5, plot=True)
    parser.add_argument("--threshold", type=float, default=0, help="of the trigger, full scale 1; default: %(default)s")
    parser.add_argument("--hysteresis", type=float, default=0.001, help="a little more than the noise; default: %(default)s")
    args = parser.parse_args()

    interface = asmu.Interface(device=args.device)
    scope = asmu.analyzer.Oscilloscope(interface, 50, args.threshold, buffersize=288, hysteresis=args.hysteresis)
    fft = asmu.analyzer.FFT(interface)
    interface.iinput(ch=1).connect(scope.input())
    interface.iinput(ch=1).connect(fft.input())

    wave, peaks = np.zeros(288), np.zeros(len(fft.frequencies))
    with interface.start(), Live(transient=True, refresh_per_second=10) as live:
        end = time.monotonic() + args.seconds
        while time.monotonic() < end and (spectrum := fft.get_rfft(latest=True)) is not False:
            peaks = np.asarray(fft.rfft2peak(spectrum))[:, 0]
            buffer = scope.get_buffer(block=False, latest=True)
            wave = wave if buffer is False else np.asarray(buffer)[:, 0]
            span = np.abs(wave).max() or 1.0
            title = f"oscilloscope, ±{span:.3g}, {1000 * len(wave) / interface.samplerate:.1f} ms"
            bands = np.maximum.reduceat(peaks, np.geomspace(20, len(peaks) - 1, 144).astype(int))
            live.update(
                Group(
                    title + ", no trigger" * (buffer is False),
                    draw(wave, -span, span),
                    "spectrum, 20 Hz to half the samplerate, -120 to 0 dBFS",
                    draw(decibels(bands), -120, 0, filled=True),
                    f"strongest: {fft.frequencies[peaks.argmax()]:.1f} Hz, amplitude {peaks.max():.5f}",
                )
            )
    print(f"strongest: {fft.frequencies[peaks.argmax()]:.1f} Hz, amplitude {peaks.max():.5f}")
    print(f"peak to peak: {np.ptp(wave):.5f}")

    if args.plot is not None:
        import matplotlib.pyplot as plt

        figure, (above, below) = plt.subplots(2, layout="constrained")
        above.plot((np.arange(len(wave)) - 50) * 1000 / interface.samplerate, wave)
        above.set(xlabel="time after the trigger in ms", ylabel="amplitude")
        below.semilogx(fft.frequencies[1:], decibels(peaks[1:]))
        below.set(xlabel="frequency in Hz", ylabel="peak in dBFS", xlim=(20, interface.samplerate / 2), ylim=(-150, 0))
        show(figure, args.plot)


if __name__ == "__main__":
    main()
