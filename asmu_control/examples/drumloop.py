"""A drum loop with a bass to it, played and recorded.

Needs a loudspeaker at outputs 1 and 2. The loop is made here and written to a sound file with AFile; a Player repeats
it without a gap, a Sine with an ADSR envelope plays the bass. A Recorder takes the drums, the bass and the mix, and in
the end the recording is compared with what was played, sample by sample.

    python -m asmu_control.examples.drumloop --device portaudio --record take.wav
"""

import time

import numpy as np
from numpy.typing import NDArray

import asmu_control as asmu
from asmu_control.examples._common import options, show

BEAT = 0.5  # seconds
BASS = [55.0, 55.0, 65.41, 73.42]  # Hz: A, A, C, D


def drum_loop(fs: float) -> NDArray[np.float32]:
    """Four beats of drums: kick, hi-hat, snare, hi-hat."""
    t = np.arange(round(BEAT * fs)) / fs
    hiss = np.random.default_rng(1).uniform(-1, 1, len(t))
    kick = np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.12)
    snare = (0.7 * hiss + 0.3 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.08)
    hat = 0.3 * np.diff(hiss, prepend=0) * np.exp(-t / 0.02)
    return 0.6 * np.concatenate([kick, hat, snare + hat, hat]).astype(np.float32)


def main() -> None:
    """Make the loop, play and record it, and compare."""
    parser = options(__doc__, device="virtual", seconds=8, plot=True)
    parser.add_argument("--record", metavar="FILE.wav", help="keep the recording; without it goes into a temporary file")
    args = parser.parse_args()
    interface = asmu.Interface(device=args.device)
    fs = interface.samplerate

    loop = drum_loop(fs)
    with asmu.AFile(interface, "w", temp=True, channels=1) as drums:
        drums.write(loop)

    player = asmu.generator.Player(interface, drums, loop=True)
    sine = asmu.generator.Sine(interface, BASS[0])
    adsr = asmu.effect.ADSR(interface, attack=0.01, decay=0.1, sustain=0.6, release=0.1, scale="log")
    bass = asmu.effect.Gain(interface, 0.3)
    mix = asmu.effect.Sum(interface, mode="sum")
    recording = asmu.AFile(interface, "w+", args.record, channels=3, temp=not args.record)
    recorder = asmu.analyzer.Recorder(interface, recording)

    sine.output().connect(adsr.input())
    adsr.output().connect(bass.input())
    player.output().connect(mix.input(0))
    bass.output().connect(mix.input(1))
    for ch in (1, 2):
        mix.output().connect(interface.ioutput(ch=ch))
    for idx, output in enumerate((player.output(), bass.output(), mix.output())):
        output.connect(recorder.input(idx))

    with interface.start():
        begin = time.monotonic()
        beat = 0
        while time.monotonic() < begin + args.seconds:
            sine.set_frequency(BASS[beat % len(BASS)])
            adsr.start()
            time.sleep(0.6 * BEAT)
            adsr.release()
            beat += 1
            time.sleep(max(0, begin + beat * BEAT - time.monotonic()))

    take = recording.data
    played = np.resize(loop, len(take))  # again and again
    print(f"recorded {len(take)} frames = {len(take) / fs:.2f} s, {len(take) / len(loop):.2f} loops, {beat} notes")
    print(f"drums, largest difference from the file: {abs(take[:, 0] - played).max():.3g}")
    print(f"mix, largest difference from drums + bass: {abs(take[:, 2] - (take[:, 0] + take[:, 1])).max():.3g}")
    print(f"peaks: drums {abs(take[:, 0]).max():.3f}, bass {abs(take[:, 1]).max():.3f}, mix {abs(take[:, 2]).max():.3f}")
    print(f"frames lost: {recorder.status()['lost_frames']}")

    if args.plot is not None:
        import matplotlib.pyplot as plt

        figure, rows = plt.subplots(3, 1, figsize=(8, 5), sharex=True, sharey=True, layout="constrained")
        for axes, track, name in zip(rows, take.T, ("drums", "bass", "mix"), strict=True):
            axes.plot(np.arange(len(take)) / fs, track, linewidth=0.4)
            axes.set(ylabel=name, xlim=(0, len(take) / fs))
        rows[-1].set_xlabel("time in s")
        show(figure, args.plot)


if __name__ == "__main__":
    main()
