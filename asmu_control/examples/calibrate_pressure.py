"""Calibrate pressure: what a full-scale sample is in pascal, with a sound calibrator on the microphone.

Needs a microphone at the first input in a running calibrator, mostly 94 dB at 1 kHz. Shows CalIInput and the set-up file
that keeps the factor, for the level meter and others. The virtual device's calibrator reaches -20 dBFS.
"""

import asmu_control as asmu
from asmu_control.examples._common import options, setup_interface


def main() -> None:
    """Calibrate the first input."""
    parser = options(__doc__, device="virtual:tone_hz=1000,tone_dbfs=-20,noise_dbfs=-80", seconds=4)
    parser.add_argument("--level", type=float, default=94, help="of the calibrator, dB SPL; default: %(default)s")
    parser.add_argument("--gain", type=float, default=0, help="of the preamplifier, dB; default: %(default)s")
    parser.add_argument("--setup", help="set-up file to save to, e.g. lab.asmu; what is in it stays")
    args = parser.parse_args()

    interface = setup_interface(args.device, args.setup)
    mic = interface.iinput(ch=1)
    averages = max(1, round(args.seconds))  # a window takes a second
    calibration = asmu.analyzer.CalIInput(interface, args.level, "SPL", averages=averages, gain=args.gain)
    mic.connect(calibration.input())
    with interface.start():
        if not calibration.evaluate(timeout=args.seconds + 10):
            raise SystemExit("no signal in time")

    print(f"frequency: {mic.fPa:.2f} Hz")
    print(f"input: cPa = {mic.cPa:.6f} Pa")
    if interface.asetup:
        interface.asetup.save()


if __name__ == "__main__":
    main()
