"""Input voltage noise density: how much an input of the interface hisses, in volts per root hertz.

Needs nothing at input 1, or a short-circuit plug; and the calibration factor cV of the input (volts a full scale) from
a set-up file that `calibrate_voltage` wrote. Without --setup a full scale counts as 1 V.

    python -m asmu_control.examples.voltage_noise --device portaudio --setup lab.asmu --plot noise.png

The power spectral density of as many windows of one second as --seconds says is averaged.
"""

import numpy as np

import asmu_control as asmu
from asmu_control.examples._common import options, show


def main() -> None:
    """Average the spectral density of the input."""
    parser = options(__doc__, device="virtual:inputs=1,outputs=1,noise_dbfs=-100", seconds=10, plot=True)
    parser.add_argument("--setup", metavar="FILE.asmu", help="set-up file with the cV of input 1")
    args = parser.parse_args()

    asetup = asmu.ASetup(args.setup) if args.setup else None
    interface = asmu.Interface(asetup, device=args.device)
    fft = asmu.analyzer.FFT(interface)
    iinput = interface.iinput(ch=1)
    iinput.connect(fft.input())
    factor = iinput.cV or 1.0

    averages = max(1, round(args.seconds))
    power = np.zeros(len(fft.frequencies))
    with interface.start():
        for _ in range(averages):
            spectrum = fft.get_rfft(timeout=10)
            if spectrum is False:
                raise SystemExit("the device delivers nothing")
            power += np.asarray(fft.rfft2psd(spectrum))[:, 0]
    square_density = power / averages * factor**2  # V²/Hz

    print(f"cV {factor:g} V a full scale{'' if iinput.cV else ' (not calibrated)'}")
    for center in (31.5, 100, 315, 1000, 3150, 10_000):
        band = abs(np.log2(fft.frequencies.clip(1) / center)) < 0.5  # an octave
        print(f"{center:8g} Hz {1e9 * np.sqrt(square_density[band].mean()):12.4g} nV/√Hz")
    audible = (fft.frequencies >= 20) & (fft.frequencies <= 20_000)
    rms = np.sqrt(square_density[audible].sum() * fft.frequencies[1])
    print(f"20 Hz to 20 kHz {1e6 * rms:.4g} µV rms = {20 * np.log10(rms):.2f} dBV")

    if args.plot is not None:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        density = 1e9 * np.sqrt(square_density[1:-1])
        axes.loglog(fft.frequencies[1:-1], density, linewidth=0.7)
        axes.set(xlabel="frequency in Hz", ylabel="voltage noise density in nV/√Hz")
        axes.set(xlim=(10, fft.frequencies[-1]), ylim=(density.min() / 10, density.max() * 10))
        axes.grid(which="both", alpha=0.3)
        show(figure, args.plot)


if __name__ == "__main__":
    main()
