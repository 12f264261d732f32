"""Frequency response of a loudspeaker, measured with pink noise and smoothed to third octaves.

Needs a loudspeaker at output 1 and a measurement microphone at input 1. What the microphone hears is compared with
what is played, window by window, so that neither the noise's spectrum nor the noise of the room matters: the response
is H1 = Sxy / Sxx, and the coherence says how much of what was heard is the loudspeaker's (1: all of it). The table
shows the response in dB re full scale a full scale; more --seconds, less noise in it.

    python -m asmu_control.examples.frequency_response --device portaudio --plot response.png

The virtual device plays the loudspeaker and the room: give it an impulse response with "virtual:ir=room.wav".
"""

import numpy as np
from numpy.typing import NDArray

import asmu_control as asmu
from asmu_control.analyzer.result import Result
from asmu_control.examples._common import options, show

ROOM = "virtual:inputs=1,outputs=1,delay_frames=480,taps=0.5:0.35:0.1:-0.1:-0.15:-0.05,noise_dbfs=-80"

Floats = NDArray[np.float64]


def spectra(fft: asmu.analyzer.FFT) -> Result:
    """What was played and what was heard in the next window, as columns."""
    result = fft.get_rfft(timeout=10)
    if result is False:
        raise SystemExit("the device delivers nothing")
    return result


def third_octaves(frequencies: Floats, values: Floats, centers: Floats) -> Floats:
    """The mean of `values` within a third of an octave around each of `centers`."""
    first, last = (np.searchsorted(frequencies, centers * 2**sixth) for sixth in (-1 / 6, 1 / 6))
    return np.array([values[i:k].mean() for i, k in zip(first, last, strict=True)])


def main() -> None:
    """Measure and show the response."""
    parser = options(__doc__, device=ROOM, seconds=10, plot=True)
    args = parser.parse_args()

    interface = asmu.Interface(device=args.device)
    fs = round(interface.samplerate)
    noise = asmu.generator.Noise(interface, "pink")
    reference = asmu.effect.Delay(interface, 0, maximum=2 * fs)
    window = 0.5 - 0.5 * np.cos(np.arange(2 * fs) * np.pi / fs)  # Hann, two seconds: a bin every half hertz
    fft = asmu.analyzer.FFT(interface, window, channels=2)

    noise.output().connect(interface.ioutput(ch=1))
    noise.output().connect(reference.input())
    reference.output().connect(fft.input(0))
    interface.iinput(ch=1).connect(fft.input(1))

    played_power, heard_power, cross = np.zeros((3, fs + 1), complex)
    with interface.start():
        spectra(fft)  # the sound is on its way
        played, heard = np.asarray(spectra(fft)).T
        latency = int(np.argmax(np.abs(np.fft.irfft(heard / played))))
        reference.set_frames(latency)  # from now on the same noise is in the same window
        changed = interface.stats()["frame_position"]
        while spectra(fft).position < changed:
            pass
        for _ in range(max(1, round(args.seconds / 2))):
            played, heard = np.asarray(spectra(fft)).T
            played_power += np.abs(played) ** 2
            heard_power += np.abs(heard) ** 2
            cross += np.conj(played) * heard

    response = np.abs(cross / played_power) ** 2
    coherence = np.abs(cross) ** 2 / (played_power * heard_power).real

    centers = 1000 * 2 ** (np.arange(-13, 13) / 3)
    levels = 10 * np.log10(third_octaves(fft.frequencies, response, centers))
    print(f"latency {latency} frames = {1000 * latency / fs:.2f} ms")
    for row in zip(centers, levels, third_octaves(fft.frequencies, coherence, centers), strict=True):
        print("{:8.1f} Hz {:8.3f} dB   coherence {:.4f}".format(*row))

    if args.plot is not None:
        import matplotlib.pyplot as plt

        fine = 1000 * 2 ** (np.arange(-130, 121) / 30)
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        axes.semilogx(fft.frequencies[1:], 10 * np.log10(response[1:]), color="0.8", linewidth=0.5, label="measured")
        smooth = 10 * np.log10(third_octaves(fft.frequencies, response, fine))
        axes.semilogx(fine, smooth, color="C0", label="third-octave smoothed")
        axes.set(xlabel="frequency in Hz", ylabel="response in dB", xlim=(40, 20_000), ylim=(max(levels) - 40, max(levels) + 10))
        axes.grid(which="both", alpha=0.3)
        axes.legend()
        show(figure, args.plot)


if __name__ == "__main__":
    main()
