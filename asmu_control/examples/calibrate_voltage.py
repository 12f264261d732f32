"""Calibrate voltage: what a full-scale sample is in volts, at the first input and the first output.

Needs a cable from output 1 to input 1 and a multimeter across it. A sine is played; ``--volts`` is what the multimeter
reads meanwhile, or ``--ask`` asks for it. Shows CalIInput, then CalIOutput by way of that input. The virtual device's
cable has -6 dB, and its multimeter reads 1 V.
"""

import asmu_control as asmu
from asmu_control.examples._common import options, setup_interface

PEAK = 0.5


def main() -> None:
    """Calibrate the input, then the output."""
    parser = options(__doc__, device="virtual:gain_db=-6,noise_dbfs=-90", seconds=4)
    parser.add_argument("--volts", type=float, default=1, help="reading of the multimeter, V rms; default: %(default)s")
    parser.add_argument("--ask", action="store_true", help="ask for it while the sine plays")
    parser.add_argument("--setup", help="set-up file to save to, e.g. lab.asmu; what is in it stays")
    args = parser.parse_args()

    interface = setup_interface(args.device, args.setup)
    iinput, ioutput = interface.iinput(ch=1), interface.ioutput(ch=1)
    sine = asmu.generator.Sine(interface, 997)
    gain = asmu.effect.Gain(interface, PEAK)
    sine.output().connect(gain.input())
    gain.output().connect(ioutput)

    averages = max(1, round(args.seconds / 2))  # a window takes a second
    with interface.start():
        volts = float(input("the multimeter reads, V rms: ")) if args.ask else args.volts
        for calibration in (
            asmu.analyzer.CalIInput(interface, volts, "VRms", averages=averages),
            asmu.analyzer.CalIOutput(interface, PEAK, "V", ioutput, averages=averages, mode="peak"),
        ):
            iinput.connect(calibration.input())
            if not calibration.evaluate(timeout=args.seconds + 10):
                raise SystemExit("no signal in time")

    print(f"frequency: {iinput.fV:.2f} Hz")
    print(f"input: cV = {iinput.cV:.6f} V")
    print(f"output: cV = {ioutput.cV:.6f} V")
    if interface.asetup:
        interface.asetup.save()


if __name__ == "__main__":
    main()
