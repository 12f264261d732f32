"""Sine organ: many sines with envelopes, played from a melody or from the keyboard.

Needs a loudspeaker at outputs 1 and 2. Each of the 16 keys has a pipe of its own: a Sine with an output for each harmonic,
a Matrix that mixes them as the drawbars of an organ do, and an ADSR envelope; that is 80 sines, running all the time. A
melody is played for --seconds, and the pitch of each note is measured while it sounds. With --keys you play: letters and
Enter (several letters are a chord), an empty line ends. The letters lie as the keys of a piano do: a s d f is C D E F.

    python -m asmu_control.examples.sineorgan --device portaudio --keys
"""

import itertools
import sys
import time
from collections.abc import Iterator

import numpy as np

import asmu_control as asmu
from asmu_control.examples._common import options, show

KEYS = "awsedftgyhujkolp"  # semitones from C4 on
DRAWBARS = {1: 0.10, 2: 0.06, 3: 0.04, 4: 0.02, 6: 0.01}  # harmonic: level
MELODY = "ddfggfdsaasddssddfggfdsaasdsaa"
NOTE = 0.5  # seconds


def keyboard() -> Iterator[str]:
    """The chords that the user types."""
    print(f"keys {KEYS} and Enter; an empty line ends")
    while line := sys.stdin.readline().strip():
        yield "".join(key for key in KEYS if key in line)


def measured(fft: asmu.analyzer.FFT, pitch: float) -> float:
    """What sounds near `pitch`, Hz: between the two highest of the bins there, as their ratio says with a Hann window."""
    spectrum = fft.get_rfft(latest=True)
    if spectrum is False:
        raise SystemExit("the device delivers nothing")
    peaks, step = np.asarray(fft.rfft2peak(spectrum))[:, 0], fft.frequencies[1]
    near = round(pitch / step)
    low = near if peaks[near + 1] > peaks[near - 1] else near - 1
    ratio = peaks[low + 1] / peaks[low]
    return float(step * (low + (2 * ratio - 1) / (ratio + 1)))


def main() -> None:
    """Build the organ and play it."""
    parser = options(__doc__, device="virtual", seconds=8, plot=True)
    parser.add_argument("--keys", action="store_true", help="play from the keyboard instead of the melody")
    args = parser.parse_args()

    interface = asmu.Interface(device=args.device)
    fs = interface.samplerate
    pitches = {key: 440 * 2 ** ((semitone - 9) / 12) for semitone, key in enumerate(KEYS)}  # equal temperament, A4 is 440 Hz
    pipes = {}
    mix = asmu.effect.Sum(interface, mode="sum")
    for idx, key in enumerate(KEYS):
        sines = asmu.generator.Sine(interface, [harmonic * pitches[key] for harmonic in DRAWBARS])
        drawbars = asmu.effect.Matrix(interface, [list(DRAWBARS.values())])
        pipes[key] = asmu.effect.ADSR(interface, attack=0.02, decay=0.1, sustain=0.8, release=0.1)
        for bar in range(len(DRAWBARS)):
            sines.output(bar).connect(drawbars.input(bar))
        drawbars.output().connect(pipes[key].input())
        pipes[key].output().connect(mix.input(idx))
    fft = asmu.analyzer.FFT(interface, np.hanning(2 * round(fs / 10) + 1)[:-1])  # 0.2 s
    take = asmu.AFile(interface, "w+", channels=1, temp=True)
    recorder = asmu.analyzer.Recorder(interface, take)
    for target in (interface.ioutput(ch=1), interface.ioutput(ch=2), fft.input(), recorder.input()):
        mix.output().connect(target)

    with interface.start():
        begin = time.monotonic()
        for chord in keyboard() if args.keys else itertools.cycle([*MELODY, "adg", "adgk"]):
            if not args.keys and time.monotonic() > begin + args.seconds - NOTE:
                break
            with interface.edit():  # all keys of the chord at the same sample
                for key in chord:
                    pipes[key].start()
            time.sleep(0.8 * NOTE)
            for key in chord:
                print(f"{key}: {pitches[key]:8.3f} Hz wanted, {measured(fft, pitches[key]):8.3f} Hz measured")
            with interface.edit():
                for key in chord:
                    pipes[key].release()
            time.sleep(0.2 * NOTE)
        stats = interface.stats()
    block = 1e6 * interface.blocksize / fs
    print(f"{len(KEYS) * len(DRAWBARS)} sines take {stats['callback_us']['p50']:.0f} µs of a block's {block:.0f} µs")

    if args.plot is not None:
        import matplotlib.pyplot as plt
        from matplotlib.mlab import specgram

        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        density, frequencies, times = map(np.asarray, specgram(take.data[:, 0], NFFT=8192, Fs=fs, noverlap=6144))
        shown = frequencies <= 3000
        # Between the notes there is silence, which has no logarithm.
        axes.pcolormesh(times, frequencies[shown], 10 * np.log10(density[shown] + 1e-12))
        axes.set(xlabel="time in s", ylabel="frequency in Hz")
        show(figure, args.plot)


if __name__ == "__main__":
    main()
