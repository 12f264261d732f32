"""Analyzers on whole engines with the virtual device, whose signals are known."""

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import CalibrationError

pytestmark = pytest.mark.e2e

FS = 48_000
TONE = "virtual:inputs=2,outputs=2,tone_hz=997,tone_dbfs=-20"
SHORT = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4800) / 4800)


def interface(device: str = TONE, **options) -> asmu.Interface:
    return asmu.Interface(device=device, samplerate=FS, blocksize=256, **options)


def tone(position: int, frames: int) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * 997 * np.arange(position, position + frames) / FS)


def test_buffers_rms_and_spectra_of_the_devices_tone():
    face = interface()
    vector = asmu.analyzer.Vector(face, 5000, channels=2)
    rms = asmu.analyzer.RMS(face, FS // 2)
    fft = asmu.analyzer.FFT(face)
    for ch in (1, 2):
        face.iinput(ch=ch).connect(vector.input(ch - 1))
    face.iinput(ch=1).connect(rms.input())
    face.iinput(ch=1).connect(fft.input())
    with face.start():
        buffers = [vector.get_buffer(timeout=10) for _ in range(5)]
        level = rms.get_rms(timeout=10)
        spectrum = fft.get_rfft(timeout=10)
        newest = vector.get_buffer(timeout=10, latest=True)
    first = buffers[0].position
    assert [buffer.position for buffer in buffers] == list(range(first, first + 25_000, 5000))
    for buffer in buffers:
        assert (buffer.lost, buffer.skipped, buffer.clipped) == (0, 0, 0)
        for channel in (0, 1):
            assert np.allclose(buffer[:, channel], tone(buffer.position, 5000), atol=1e-7)
    assert newest.position > buffers[-1].position + 5000
    assert np.allclose(newest[:, 0], tone(newest.position, 5000), atol=1e-7)
    assert level.position == spectrum.position == first
    assert level[0] == pytest.approx(0.1 / np.sqrt(2), rel=1e-3)
    assert fft.frequencies[np.argmax(abs(spectrum))] == 997
    assert fft.rfft2peak(spectrum).max() == pytest.approx(0.1, rel=1e-5)
    assert fft.rfft2rms(spectrum).max() == pytest.approx(0.1 / np.sqrt(2), rel=1e-5)


def test_what_is_not_fetched_until_the_end_is_still_there():
    face = interface()
    vector = asmu.analyzer.Vector(face, 1000)
    face.iinput(ch=1).connect(vector.input())
    with face.start(end_frame=40) as stream:
        assert stream.wait(20)
    buffers = [vector.get_buffer(timeout=10) for _ in range(11)]
    assert buffers.pop() is False
    got = np.concatenate(buffers)[:, 0]
    assert np.allclose(got, tone(buffers[0].position, 10_000), atol=1e-7)
    # A new engine: a new ring, from its first frame.
    with face.start(end_frame=8) as stream:
        assert vector.get_buffer(timeout=10).position == buffers[0].position
        assert stream.wait(20)


def test_a_stream_that_starts_again_begins_anew():
    face = interface()
    vector = asmu.analyzer.Vector(face, 2000)
    face.iinput(ch=1).connect(vector.input())
    with face.start() as stream:
        first = vector.get_buffer(timeout=10)
        stream.stop()
        face.start()
        second = vector.get_buffer(timeout=10)
        assert second.position == 256 * face.start_frame + 3 * 256
        assert second.position > first.position + 2000
        assert (second.lost, second.skipped) == (0, 0)


def test_losses_of_the_device_are_in_the_results():
    face = interface()
    vector = asmu.analyzer.Vector(face, FS // 2)
    face.iinput(ch=1).connect(vector.input())
    with face.start():
        assert vector.get_buffer(timeout=10).lost == 0
        face.fault("lose", frames=77)
        # The loss is as soon as the device gets to it: in the next buffer, or one of those that follow.
        losses = []
        while not any(losses) and len(losses) < 20:
            losses.append(vector.get_buffer(timeout=10).lost)
        losses.append(vector.get_buffer(timeout=10).lost)
    assert sum(losses) == 77


def test_an_input_added_while_it_runs():
    face = interface(inputs=[1, 2])
    vector = asmu.analyzer.Vector(face, 1000)
    face.iinput(ch=1).connect(vector.input())
    with face.start():
        assert vector.get_buffer(timeout=10).shape == (1000, 1)
        face.iinput(ch=2).connect(vector.input(1))
        while (buffer := vector.get_buffer(timeout=10)).shape != (1000, 2):
            assert buffer is not False
        buffer = vector.get_buffer(timeout=10)
        assert np.allclose(buffer, tone(buffer.position, 1000)[:, None], atol=1e-7)


def test_the_oscilloscope_on_the_devices_tone():
    face = interface()
    scope = asmu.analyzer.Oscilloscope(face, 100, 0.05, "falling_edge", 1000)
    face.iinput(ch=1).connect(scope.input())
    position = 0
    with face.start():
        for _ in range(5):
            buffer = scope.get_buffer(timeout=10)
            assert buffer[99, 0] > 0.05 >= buffer[100, 0]
            assert not position or position <= buffer.position + 100 <= position + FS / 997 + 1
            assert np.allclose(buffer[:, 0], tone(buffer.position, 1000), atol=1e-7)
            position = buffer.position + 1000


def test_an_offline_device_waits_for_a_paced_analyzer():
    face = interface("offline:inputs=1,outputs=1,tone_hz=997,tone_dbfs=-20", ring_seconds=1)
    vector = asmu.analyzer.Vector(face, 10_000, paced=True)
    face.iinput(ch=1).connect(vector.input())
    with face.start(end_frame=1000) as stream:
        got = []
        while len(got) < 25:
            got.append(vector.get_buffer(timeout=20))
        assert [buffer.skipped for buffer in got] == [0] * 25
        assert stream.wait(20)
    assert np.allclose(np.concatenate(got)[:, 0], tone(got[0].position, 250_000), atol=1e-7)


@pytest.mark.parametrize(
    ("unit", "actual", "quantity", "expected"),
    [("VRms", 2.0, "V", 2 * np.sqrt(2) / 0.1), ("SPL", 94.0, "Pa", 2e-5 * 10**4.7 * np.sqrt(2) / 0.1), ("Ap", 10.0, "A", 100.0)],
)
def test_an_input_is_calibrated_within_a_thousandth(unit, actual, quantity, expected):
    # Noise as a real calibration has it, at -80 dBFS.
    face = interface(f"{TONE},noise_dbfs=-80")
    calibration = asmu.analyzer.CalIInput(face, actual, unit, SHORT)
    channel = face.iinput(ch=2)
    channel.connect(calibration.input())
    with face.start():
        frequency, factor = calibration.evaluate()
    assert factor == pytest.approx(expected, rel=1e-3)
    assert frequency == pytest.approx(997, rel=1e-5)
    assert getattr(channel, f"c{quantity}") == factor
    assert getattr(channel, f"f{quantity}") == frequency


def test_the_default_calibration():
    face = asmu.Interface(device=TONE)  # 44 100 Hz, blocks of 1024
    calibration = asmu.analyzer.CalIInput(face, 1, "Vp", averages=2)
    face.iinput(ch=1).connect(calibration.input())
    with face.start():
        assert calibration.evaluate(timeout=0.2) is False
        assert calibration.evaluate() == pytest.approx((997, 10.0), rel=1e-5)


@pytest.mark.parametrize("mode", ["peak", "rms"])
def test_an_output_is_calibrated_within_a_thousandth(mode):
    # The loopback's gain stands for all that lies between the converters.
    face = interface("virtual:inputs=1,outputs=1,delay_frames=1000,gain_db=-6,noise_dbfs=-90")
    sine = asmu.generator.Sine(face, 440)
    gain = asmu.effect.Gain(face, 0.5)
    sine.output().connect(gain.input())
    gain.output().connect(face.ioutput(ch=1))
    iinput = face.iinput(ch=1)
    iinput.cV = 3.0
    value = 0.5 if mode == "peak" else 0.5 / np.sqrt(2)
    calibration = asmu.analyzer.CalIOutput(face, value, "V", face.ioutput(ch=1), SHORT, mode=mode, gain=20)
    iinput.connect(calibration.input())
    with face.start():
        frequency, factor = calibration.evaluate()
    assert factor == pytest.approx(3.0 * 10 ** (-6 / 20) / 10, rel=1e-3)
    assert frequency == pytest.approx(440, rel=1e-5)
    assert face.ioutput(ch=1).cV == factor


@pytest.mark.parametrize(
    ("device", "code"),
    [
        ("virtual:inputs=1,outputs=1", "signal_weak"),
        ("virtual:inputs=1,outputs=1,tone_hz=1000,tone_dbfs=3", "signal_clipped"),
        ("virtual:inputs=1,outputs=1,noise_dbfs=-20", "signal_unsteady"),
        ("virtual:inputs=1,outputs=1,tone_hz=1000,tone_dbfs=-20,noise_dbfs=-30", "signal_unsteady"),
    ],
)
def test_what_cannot_calibrate_is_refused(device, code):
    face = interface(device)
    calibration = asmu.analyzer.CalIInput(face, 1, "Vp", SHORT)
    face.iinput(ch=1).connect(calibration.input())
    with face.start(), pytest.raises(CalibrationError) as caught:
        calibration.evaluate()
    assert caught.value.code == code
    assert getattr(face.iinput(ch=1), "cV", None) is None
