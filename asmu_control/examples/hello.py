"""Hello world: a quiet sine on the first output.

Needs a device with one output. Shows an interface, a patch of two processors, and a stream.
"""

import asmu_control as asmu
from asmu_control.examples._common import options


def main() -> None:
    """Play a sine and say how it went."""
    parser = options(__doc__, device="virtual", seconds=2)
    parser.add_argument("--frequency", type=float, default=440, help="Hz; default: %(default)s")
    args = parser.parse_args()

    interface = asmu.Interface(device=args.device)
    sine = asmu.generator.Sine(interface, args.frequency)
    gain = asmu.effect.Gain(interface, 0.1)
    sine.output().connect(gain.input())
    gain.output().connect(interface.ioutput(ch=1))

    blocks = round(args.seconds * interface.samplerate / interface.blocksize)
    with interface.start(end_frame=blocks, drop=0) as stream:
        stream.wait()

    stats = interface.stats()
    print(f"played: {stats['frame_position']} frames, {stats['frame_position'] / interface.samplerate:.2f} s")
    print(f"lost: {stats['lost_frames']} frames")
    print(f"callback: {stats['callback_us']['p99']:.0f} µs of {1e6 * interface.blocksize / interface.samplerate:.0f} µs")


if __name__ == "__main__":
    main()
