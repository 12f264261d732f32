"""The examples that measure responses and noise, and those that make music, against what the virtual device was given."""

import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from scipy import signal

import asmu_control as asmu

pytestmark = pytest.mark.e2e

FS = 44_100


def run(name: str, *arguments: str, given: str = "") -> str:
    """What an example prints."""
    command = [sys.executable, "-W", "error", "-m", f"asmu_control.examples.{name}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)]


def third_octaves(response: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The truth: the impulse response's power, averaged over frequency within each band, dB."""
    frequencies = np.fft.rfftfreq(2**19, 1 / FS)
    power = np.abs(np.fft.rfft(response, 2**19)) ** 2
    return np.array([10 * np.log10(power[abs(np.log2(frequencies.clip(1) / c)) <= 1 / 6].mean()) for c in centers])


def loudspeaker() -> np.ndarray:
    """80 Hz to 14 kHz, a resonance at 1.2 kHz, and a reflection 3 ms after the direct sound."""
    response = np.zeros(8192)
    response[40], response[40 + 132] = 0.5, 0.2
    response = signal.sosfilt(signal.butter(2, [80, 14_000], "bandpass", fs=FS, output="sos"), response)
    return response + 0.3 * signal.lfilter(*signal.iirpeak(1200, 8, fs=FS), response)


@pytest.mark.parametrize("noise_dbfs", [-200, -70])
def test_frequency_response_is_that_of_the_impulse_response(tmp_path, noise_dbfs):
    path = tmp_path / "room.wav"
    soundfile.write(path, loudspeaker(), FS, "FLOAT")
    plot = tmp_path / "response.png"
    device = f"virtual:inputs=1,outputs=1,delay_frames=3000,noise_dbfs={noise_dbfs},speed=3,buffer_s=60,ir={path}"
    out = run("frequency_response", "--device", device, "--seconds", "12", "--plot", str(plot))
    table = np.array([numbers(line) for line in out.splitlines() if "coherence" in line])
    assert table[0, 0] < 50
    assert table[-1, 0] == 16_000
    # The table's own centers are rounded.
    truth = third_octaves(loudspeaker(), 1000 * 2 ** (np.arange(-13, 13) / 3))
    assert np.abs(table[:, 1] - truth).max() < 0.2
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_voltage_noise_is_that_of_the_device_times_the_calibration(tmp_path):
    asetup = asmu.ASetup(tmp_path / "lab.asmu")
    interface = asmu.Interface(samplerate=48_000)
    interface.asetup = asetup
    interface.iinput(ch=1).cV = 4.2
    asetup.save()
    plot = tmp_path / "noise.png"
    device = "virtual:inputs=1,outputs=1,noise_dbfs=-80,speed=3,buffer_s=60"
    out = run("voltage_noise", "--device", device, "--setup", str(asetup.path), "--seconds", "8", "--plot", str(plot))
    density = 4.2 * 1e-4 / np.sqrt(2) / np.sqrt(24_000)  # V/√Hz
    octaves = dict(numbers(line) for line in out.splitlines() if "nV/√Hz" in line)
    assert octaves[1000] == pytest.approx(1e9 * density, rel=0.03)
    assert octaves[10_000] == pytest.approx(1e9 * density, rel=0.01)
    low, high, rms, dbv = numbers(out.replace(" kHz", "e3 kHz").splitlines()[-2])
    assert (low, high) == (20, 20_000)
    assert rms == pytest.approx(1e6 * density * np.sqrt(19_981), rel=0.005)
    assert dbv == pytest.approx(20 * np.log10(rms * 1e-6), abs=0.01)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_envelopes_are_exact(tmp_path):
    plot = tmp_path / "envelopes.png"
    out = run("envelopes", "--device", "virtual:buffer_s=60", "--seconds", "4", "--plot", str(plot))
    rows = {line[:12].strip(): numbers(line[12:]) for line in out.splitlines()[1:5]}
    log = (10 ** np.array([0.5, 0.6]) - 1) / 9
    truth = {
        "ADSR lin": [0.4, 0.5, 0.6, 0.8],
        "ADSR log": [0.4, log[0], log[1], 0.8],
        "GainRamp lin": [0.4, 0.5, 1, 0.4],
        "GainRamp log": [0.4, log[0], 1, 0.4],
    }
    assert rows.keys() == truth.keys()
    for name, (up, half, held, down) in truth.items():
        assert rows[name][0] == pytest.approx(up, abs=1.5 / FS)
        assert rows[name][1:3] == pytest.approx([half, held], abs=2e-6)
        assert rows[name][3] == pytest.approx(down, abs=1.5 / FS)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_drumloop_is_recorded_as_it_was_played(tmp_path):
    path, plot = tmp_path / "take.wav", tmp_path / "take.png"
    out = run("drumloop", "--device", "virtual", "--seconds", "5", "--record", str(path), "--plot", str(plot))
    assert "drums, largest difference from the file: 0\n" in out
    assert "mix, largest difference from drums + bass: 0\n" in out
    assert "frames lost: 0\n" in out
    take, samplerate = soundfile.read(path, dtype="float32")
    assert samplerate == FS
    assert len(take) > 4.5 * FS
    loop = 4 * FS // 2
    assert np.array_equal(take[loop:, 0], take[:-loop, 0])
    assert np.array_equal(take[:, 2], take[:, 0] + take[:, 1])
    assert np.abs(take[:, 0]).max() > 0.5
    # Its envelopes begin at any phase of the tone, so the loudest of them meets a crest of it more or less well.
    assert np.abs(take[:, 1]).max() == pytest.approx(0.3, rel=0.08)
    spectrum = np.abs(np.fft.rfft(take[: 2 * FS, 1]))
    assert np.argmax(spectrum) / 2 == pytest.approx(55, abs=2)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_sineorgan_plays_the_melody_in_tune(tmp_path):
    plot = tmp_path / "organ.png"
    out = run("sineorgan", "--device", "virtual", "--seconds", "6", "--plot", str(plot))
    notes = re.findall(r"^(\w): +([\d.]+) Hz wanted, +([\d.]+) Hz measured$", out, re.MULTILINE)
    assert "ddfggfdsaasd".startswith("".join(key for key, _, _ in notes))
    assert len(notes) >= 4
    truth = {key: 440 * 2 ** (semitones / 12) for key, semitones in {"a": -9, "s": -7, "d": -5, "f": -4, "g": -2}.items()}
    assert [float(wanted) for _, wanted, _ in notes] == pytest.approx([truth[key] for key, _, _ in notes], abs=0.001)
    wrong = [abs(float(measured) - float(wanted)) for _, wanted, measured in notes]
    assert np.median(wrong) < 0.02
    assert max(wrong) < 3
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_sineorgan_plays_from_the_keyboard():
    out = run("sineorgan", "--device", "virtual", "--keys", given="kda\n\n")
    notes = re.findall(r"^(\w): +([\d.]+) Hz wanted, +([\d.]+) Hz measured$", out, re.MULTILINE)
    assert [key for key, _, _ in notes] == ["a", "d", "k"]
    for _, wanted, measured in notes:
        assert float(measured) == pytest.approx(float(wanted), abs=3)
