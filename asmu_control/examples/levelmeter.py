"""Level meter: the sound pressure level at the first input, live in the terminal, and its mean at the end.

Needs a microphone whose calibration is in a set-up (``calibrate_pressure --setup lab.asmu``) or given by ``--cpa``. Shows
A and C weighting, RMS, and calibrated values. The virtual device's microphone hears a tone of 1 kHz with 91.0 dB.
"""

import numpy as np
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

import asmu_control as asmu
from asmu_control.examples._common import options

P0 = 20e-6  # Pa


def main() -> None:
    """Meter eight times a second."""
    parser = options(__doc__, device="virtual:tone_hz=1000,tone_dbfs=-20", seconds=5)
    parser.add_argument("--weight", choices="ACZ", default="A", help="frequency weighting; default: %(default)s")
    parser.add_argument("--setup", help="set-up file with the calibration, e.g. lab.asmu")
    parser.add_argument("--cpa", type=float, default=10, help="Pa at full scale where no set-up says it; default: %(default)s")
    parser.add_argument("--gain", type=float, default=0, help="of the preamplifier, dB; default: %(default)s")
    args = parser.parse_args()

    asetup = asmu.ASetup(args.setup) if args.setup else None
    interface = asmu.Interface(asetup, args.device)
    mic = interface.iinput(ch=1)
    mic.cPa = mic.cPa or args.cpa

    weight = asmu.effect.Weight(interface, args.weight)
    rms = asmu.analyzer.RMS(interface, round(interface.samplerate / 8))
    mic.connect(weight.input())
    weight.output().connect(rms.input())

    squares: list[float] = []
    with interface.start(), Live(transient=True, refresh_per_second=8) as live:
        rms.get_rms()  # the filter settles
        while len(squares) < 8 * args.seconds and (value := rms.get_rms()) is not False:
            pressure = float(value[0]) * mic.cPa / 10 ** (args.gain / 20)
            squares.append(max(pressure, 1e-9) ** 2)
            level = 10 * np.log10(squares[-1] / P0**2)
            row = Table.grid(padding=1)
            row.add_row(f"{level:6.1f} dB({args.weight})", ProgressBar(130, level, 50), "CLIPPED" if value.clipped else "")
            live.update(row)
    print(f"level: {10 * np.log10(np.mean(squares) / P0**2):.2f} dB({args.weight})")


if __name__ == "__main__":
    main()
