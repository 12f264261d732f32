"""Envelopes: ADSR and GainRamp, with linear and logarithmic scale.

Needs nothing: a constant 1 goes through all four, so that what comes out is the envelope itself. All start with the same
sample and are released together. The numbers say what was measured: times exact to the sample.

    python -m asmu_control.examples.envelopes --plot envelopes.png
"""

import numpy as np

import asmu_control as asmu
from asmu_control.examples._common import options, show


def main() -> None:
    """Run all four, and measure what comes out."""
    parser = options(__doc__, device="virtual", seconds=2, plot=True)
    args = parser.parse_args()
    attack, decay, sustain, release = 0.1 * args.seconds, 0.15 * args.seconds, 0.6, 0.2 * args.seconds

    interface = asmu.Interface(device=args.device)
    fs = interface.samplerate
    constant = asmu.generator.Constant(interface, 1)
    adsrs = [
        asmu.effect.ADSR(interface, attack, decay, sustain, release, scale="lin"),
        asmu.effect.ADSR(interface, attack, decay, sustain, release, scale="log"),
    ]
    ramps = [
        asmu.effect.GainRamp(interface, 0, 1 / attack, scale="lin"),
        asmu.effect.GainRamp(interface, 0, 1 / attack, scale="log"),
    ]
    names = ["ADSR lin", "ADSR log", "GainRamp lin", "GainRamp log"]
    vector = asmu.analyzer.Vector(interface, round(args.seconds * fs), channels=4)
    interface.ioutput(ch=1)  # a device to play to, though nothing is to be heard

    for idx, effect in enumerate((*adsrs, *ramps)):
        constant.output().connect(effect.input())
        effect.output().connect(vector.input(idx))

    with interface.start():
        with interface.edit() as begun:  # all of it with the same sample
            for adsr in adsrs:
                adsr.start()
            for ramp in ramps:
                ramp.set_gain(1)
        with interface.edit(at=begun.at + round(args.seconds / 2 * fs)):
            for adsr in adsrs:
                adsr.release()
            for ramp in ramps:
                ramp.set_gain(0)
        envelopes = vector.get_buffer(timeout=args.seconds + 10)
    if envelopes is False:
        raise SystemExit("the device delivers nothing")

    print("               up in s   half way    held at  down in s")
    for name, envelope in zip(names, np.asarray(envelopes, float).T, strict=True):
        sounding = np.flatnonzero(envelope)
        top = int(np.argmax(envelope))
        begin = int(sounding[0]) - 1  # the last zero
        end = int(sounding[-1]) + 1  # the first one
        held = envelope[begin + round((attack + decay + 0.05 * args.seconds) * fs)]
        released = int(np.flatnonzero(envelope == held)[-1])
        half = envelope[begin + (top - begin) // 2]
        print(f"{name:12} {(top - begin) / fs:9.5f} {half:10.6f} {held:10.6f} {(end - released) / fs:10.5f}")

    if args.plot is not None:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        for name, envelope in zip(names, np.asarray(envelopes).T, strict=True):
            axes.plot(np.arange(len(envelopes)) / fs, envelope, "--" if "Ramp" in name else "-", label=name)
        axes.set(xlabel="time in s", ylabel="factor", xlim=(0, args.seconds))
        axes.grid(alpha=0.3)
        axes.legend()
        show(figure, args.plot)


if __name__ == "__main__":
    main()
