"""Calibrate latency: the frames between a sample's way out at the first output and its way in at the first input.

Needs a cable from output 1 to input 1, or a loudspeaker and a microphone, whose distance then counts as well. A burst of
noise is played and found in the recording by cross-correlation, exact to the frame. Shows Vector as generator and as
analyzer: the burst begins with the first frame of the stream, and the recording too. The virtual device has a delay of
123 frames, beside the one block that every block-wise device takes.
"""

import numpy as np
from scipy.signal import correlate

import asmu_control as asmu
from asmu_control.examples._common import options, setup_interface, show


def main() -> None:
    """Play, record, and compare."""
    parser = options(__doc__, device="virtual:delay_frames=123,gain_db=-20,noise_dbfs=-60", seconds=1, plot=True)
    parser.add_argument("--setup", help="set-up file to save to, e.g. lab.asmu; what is in it stays")
    args = parser.parse_args()

    interface = setup_interface(args.device, args.setup)
    burst = np.random.default_rng(1).uniform(-0.5, 0.5, round(interface.samplerate / 4)).astype(np.float32)
    player = asmu.generator.Vector(interface, burst)
    recorder = asmu.analyzer.Vector(interface, len(burst) + round(args.seconds * interface.samplerate))
    player.output().connect(interface.ioutput(ch=1))
    interface.iinput(ch=1).connect(recorder.input())
    with interface.start():
        recording = recorder.get_buffer(timeout=args.seconds + 10)
        by_clocks = interface.get_latency()
    if recording is False or recording.lost:
        raise SystemExit("the device lost frames; try again")

    # How alike the burst and the recording are, the burst moved by 0, 1, 2 … frames.
    likeness = np.abs(correlate(recording[:, 0], burst, "valid"))
    latency = int(likeness.argmax())
    rest = np.sqrt(np.mean(likeness**2))
    if likeness[latency] <= 10 * rest:
        raise SystemExit("the burst is not in the recording: check cable and gains")
    interface.latency = latency

    print(f"latency: {latency} frames, {1000 * latency / interface.samplerate:.2f} ms")
    print(f"by the device's clocks: {by_clocks} frames")
    print(f"clearness: {likeness[latency] / rest:.0f} times the rest")
    if interface.asetup:
        interface.asetup.save()
    if args.plot is not None:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
        axes.plot(likeness / likeness[latency])
        axes.set(xlabel="delay in frames", ylabel="likeness", title=f"burst found after {latency} frames")
        axes.set_xlim(max(latency - 2000, 0), latency + 2000)
        show(figure, args.plot)


if __name__ == "__main__":
    main()
