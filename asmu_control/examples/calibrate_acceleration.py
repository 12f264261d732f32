"""Calibrate acceleration: what a full-scale sample is in m/s², with an accelerometer on a shaker of known acceleration.

Needs an accelerometer at the first input on a running calibration shaker, mostly 10 m/s² rms at 159.15 Hz. Shows
CalIInput and the set-up file that keeps the factor. The virtual device's shaker reaches -26 dBFS.
"""

import asmu_control as asmu
from asmu_control.examples._common import options, setup_interface


def main() -> None:
    """Calibrate the first input."""
    parser = options(__doc__, device="virtual:tone_hz=159.155,tone_dbfs=-26,noise_dbfs=-90", seconds=4)
    parser.add_argument("--acceleration", type=float, default=10, help="of the shaker, m/s² rms; default: %(default)s")
    parser.add_argument("--gain", type=float, default=0, help="of the preamplifier, dB; default: %(default)s")
    parser.add_argument("--setup", help="set-up file to save to, e.g. lab.asmu; what is in it stays")
    args = parser.parse_args()

    interface = setup_interface(args.device, args.setup)
    sensor = interface.iinput(ch=1)
    averages = max(1, round(args.seconds))  # a window takes a second
    calibration = asmu.analyzer.CalIInput(interface, args.acceleration, "ARms", averages=averages, gain=args.gain)
    sensor.connect(calibration.input())
    with interface.start():
        if not calibration.evaluate(timeout=args.seconds + 10):
            raise SystemExit("no signal in time")

    print(f"frequency: {sensor.fA:.2f} Hz")
    print(f"input: cA = {sensor.cA:.6f} m/s²")
    if interface.asetup:
        interface.asetup.save()


if __name__ == "__main__":
    main()
