"""Calibrations: exact factors of known tones, and a reason for each refusal."""

import threading
from datetime import datetime

import numpy as np
import pytest
import scipy.signal

from asmu_control.analyzer import CalIInput, CalIOutput
from asmu_control.analyzer.spectrum import Transform
from asmu_control.analyzer.tone import fit_tone
from asmu_control.exceptions import CalibrationError, UnitError
from asmu_engine.protocol.errors import EngineError, PatchError

FS = 48_000
SHORT = scipy.signal.get_window("hann", 4800)


def tone(frames, frequency=1000.0, peak=0.5, phase=0.4, start=0):
    return peak * np.sin(2 * np.pi * frequency * np.arange(start, start + frames) / FS + phase)


def measure(calibration, source, signal, **options):
    """Begin, let the signal come in, and evaluate."""
    source.feed(calibration)
    assert calibration.evaluate(block=False) is False
    source.write(signal)
    return calibration.evaluate(block=False, **options)


@pytest.mark.parametrize(
    ("unit", "actual", "quantity", "peak_of_actual"),
    [
        ("VRms", 1.5, "V", 1.5 * np.sqrt(2)),
        ("Vp", 1.5, "V", 1.5),
        ("PaRms", 10.0, "Pa", 10 * np.sqrt(2)),
        ("Pap", 10.0, "Pa", 10.0),
        ("SPL", 94.0, "Pa", 20e-6 * 10 ** (94 / 20) * np.sqrt(2)),
        ("SPL", -3.0, "Pa", 20e-6 * 10 ** (-3 / 20) * np.sqrt(2)),
        ("ARms", 9.81, "A", 9.81 * np.sqrt(2)),
        ("Ap", 9.81, "A", 9.81),
    ],
)
@pytest.mark.parametrize("mode", ["peak", "rms"])
def test_factors_of_all_units(interface, make_source, unit, actual, quantity, peak_of_actual, mode):
    channel = interface.iinput(ch=1)
    calibration = CalIInput(interface, actual, unit, SHORT, 3, mode, iinput=channel)
    before = datetime.now().astimezone().replace(microsecond=0)
    frequency, factor = measure(calibration, make_source(), tone(3 * 4800, 987.654))
    assert frequency == pytest.approx(987.654, rel=1e-7)
    assert factor == pytest.approx(peak_of_actual / 0.5, rel=1e-5)
    assert getattr(channel, f"c{quantity}") == factor
    assert getattr(channel, f"f{quantity}") == frequency
    date = datetime.fromisoformat(getattr(channel, f"date{quantity}"))
    assert date.tzinfo is not None
    assert before <= date <= datetime.now().astimezone()


def test_the_preamplifier_is_taken_out(interface, make_source):
    channel = interface.iinput(ch=1)
    _, factor = measure(CalIInput(interface, 1.0, "Vp", SHORT, 1, iinput=channel, gain=20), make_source(), tone(4800))
    # 1 V comes in, 10 V behind the preamplifier are 0.5 of full scale.
    assert factor == pytest.approx(20.0, rel=1e-5)
    assert 0.5 * channel.cV / 10 ** (20 / 20) == pytest.approx(1.0, rel=1e-5)


def test_an_output_by_way_of_a_calibrated_input(interface, make_source):
    iinput, ioutput = interface.iinput(ch=1), interface.ioutput(ch=2)
    iinput.cV = 4.0
    source = make_source()
    _, factor = measure(CalIOutput(interface, 0.25, "V", ioutput, SHORT, 2, "peak", iinput), source, tone(9600))
    assert factor == pytest.approx(0.5 * 4.0 / 0.25, rel=1e-5)
    assert (ioutput.cV, iinput.cV) == (factor, 4.0)
    assert ioutput.fV == pytest.approx(1000, rel=1e-7)
    assert datetime.fromisoformat(ioutput.dateV)
    rms = CalIOutput(interface, 0.25 / np.sqrt(2), "V", ioutput, SHORT, 2, "rms", iinput, gain=6.0)
    assert measure(rms, source, tone(9600))[1] == pytest.approx(8.0 / 10 ** (6 / 20), rel=1e-5)


def test_nothing_is_written_unless_asked(interface, make_source):
    channel = interface.iinput(ch=1)
    assert measure(CalIInput(interface, 1, "Vp", SHORT, 1, iinput=channel), make_source(), tone(4800), save=False)
    assert getattr(channel, "cV", None) is None


@pytest.mark.parametrize("window", ["hann", "boxcar", "flattop", "blackmanharris"])
@pytest.mark.parametrize("frequency", [25.0, 999.5, 1003.7, 12345.6, 23900.0])
def test_any_window_and_any_frequency(window, frequency):
    win = scipy.signal.get_window(window, 9600)
    found = fit_tone(0.3 + tone(9600, frequency), win, Transform(win), FS, 77)
    assert found.frequency == pytest.approx(frequency, rel=1e-7)
    assert found.peak == pytest.approx(0.5, rel=1e-7)
    assert found.rest < 1e-7
    assert found.position == 77


def test_the_mean_square_of_all_is_told_apart_from_the_tone(interface, make_source):
    rng = np.random.default_rng(5)
    signal = tone(10 * 4800) + 0.01 * rng.standard_normal(48_000) + 0.02 * tone(48_000, 3000.0, 1.0)
    factors = {}
    for mode in ("peak", "rms"):
        calibration = CalIInput(interface, 1.0, "Vp", SHORT, 10, mode, iinput=interface.iinput(ch=1))
        _, factors[mode] = measure(calibration, make_source(), signal)
    assert factors["peak"] == pytest.approx(2.0, rel=5e-4)
    everything = np.sqrt(0.5**2 / 2 + 0.01**2 + 0.02**2 / 2)
    assert factors["rms"] == pytest.approx(np.sqrt(0.5) / everything, rel=5e-4)


def test_a_constant_part_does_not_count(interface, make_source):
    for mode in ("peak", "rms"):
        calibration = CalIInput(interface, 1.0, "Vp", SHORT, 2, mode, iinput=interface.iinput(ch=1))
        assert measure(calibration, make_source(), 0.3 + tone(9600))[1] == pytest.approx(2.0, rel=1e-5)


# The first second may be bad, so what is to be refused comes after it.
SECOND = tone(FS + 4800)
NOISE = np.random.default_rng(2).standard_normal(9600)


@pytest.mark.parametrize(
    ("signal", "code", "reason"),
    [
        (1e-5 * np.linspace(-1, 1, 9600), "signal_weak", "strongest"),
        (np.zeros(9600), "signal_weak", "silence"),
        (tone(9600, peak=0.99e-4), "signal_weak", "-80.1 dBFS"),
        (tone(9600, peak=1.0, phase=0.0), "signal_clipped", "clipped: 200 samples"),
        (np.clip(tone(9600, peak=2.0), -1, 1), "signal_clipped", "clipped"),
        (0.1 * NOISE, "signal_unsteady", "noise, distortion"),
        (np.sign(tone(9600)) * 0.5, "signal_unsteady", "4[0-9] %"),
        (tone(9600) + tone(9600, 1500.0, 0.2), "signal_unsteady", "40 %"),
        (tone(9600) + 0.1 * NOISE, "signal_unsteady", "beside"),
        (tone(9600) * (1 + 0.3 * tone(9600, 50.0, 1.0)), "signal_unsteady", "beside"),
        (tone(9600, 12.0), "signal_unsteady", "periods"),
        (np.tile(np.linspace(-0.5, 0.5, 4800), 2), "signal_unsteady", "periods"),
    ],
)
def test_refusals_give_their_reason(interface, make_source, signal, code, reason):
    channel = interface.iinput(ch=1)
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 20, iinput=channel)
    source = make_source()
    source.feed(calibration)
    assert calibration.evaluate(block=False) is False
    source.write(np.r_[SECOND, signal])
    with pytest.raises(CalibrationError, match=reason) as caught:
        calibration.evaluate(block=False)
    assert caught.value.code == code
    assert getattr(channel, "cV", None) is None
    # And the next attempt is a new one.
    assert measure(calibration, source, tone(20 * 4800))


@pytest.mark.parametrize(
    ("after", "what"),
    [(tone(4 * 4800, peak=0.51), "level changes by 2 %"), (tone(4 * 4800, 1002.0), "frequency changes by 0.2 %")],
)
def test_a_tone_that_changes_is_refused(interface, make_source, after, what):
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 16, iinput=interface.iinput(ch=1))
    source = make_source()
    with pytest.raises(CalibrationError, match=what) as caught:
        measure(calibration, source, np.r_[np.zeros(FS), tone(4 * 4800), after])
    assert caught.value.code == "signal_unsteady"


def test_what_is_bad_in_the_first_second_is_passed_over(interface, make_source):
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 12, iinput=interface.iinput(ch=1))
    # Silence, a switch-on in the middle of a window, overload, a level that moves: then the tone.
    begin = np.r_[np.zeros(7000), tone(9000, peak=1.2), tone(3200, peak=0.3), tone(9600, peak=0.4)]
    frequency, factor = measure(calibration, make_source(), np.r_[begin, tone(14 * 4800)])
    assert (frequency, factor) == (pytest.approx(1000, rel=1e-6), pytest.approx(2.0, rel=1e-5))


def test_windows_with_lost_frames_do_not_count(interface, make_source):
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 14, iinput=interface.iinput(ch=1))
    source = make_source()
    source.feed(calibration)
    calibration.evaluate(block=False)
    source.write(tone(60_000))  # the gap is in the middle of the window 12, after the settling
    source.write(tone(14 * 4800 - 60_600, start=60_600), position=60_600)
    assert calibration.evaluate(block=False) is False
    source.write(tone(4800, start=14 * 4800))
    assert calibration.evaluate(block=False)[1] == pytest.approx(2.0, rel=1e-5)


def test_only_what_comes_after_the_call_is_measured(interface, make_source):
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 2, iinput=interface.iinput(ch=1))
    source = make_source()
    source.write(np.ones(96_000))
    assert measure(calibration, source, tone(9600))[1] == pytest.approx(2.0, rel=1e-5)


def write_once_begun(monkeypatch, calibration, source, signal):
    """Have the signal come in after `evaluate` has begun, since only what comes from then on counts."""
    begin = calibration._go_to_newest

    def begin_and_write():
        begin()
        source.write(signal)

    monkeypatch.setattr(calibration, "_go_to_newest", begin_and_write)


def test_waiting_and_time_out(interface, make_source, monkeypatch):
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 2, iinput=interface.iinput(ch=1))
    source = make_source()
    source.feed(calibration)
    assert calibration.evaluate(timeout=0.01) is False
    write_once_begun(monkeypatch, calibration, source, tone(4800))
    assert calibration.evaluate(timeout=0.01) is False
    writer = threading.Timer(0.05, source.write, [tone(4800, start=4800)])
    writer.start()
    assert calibration.evaluate(timeout=20)[1] == pytest.approx(2.0, rel=1e-5)
    writer.join()


def test_a_time_out_with_a_bad_signal_says_so(interface, make_source, monkeypatch):
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 20, iinput=interface.iinput(ch=1))
    source = make_source()
    source.feed(calibration)
    write_once_begun(monkeypatch, calibration, source, np.ones(9600))
    with pytest.raises(CalibrationError, match="clipped"):
        calibration.evaluate(timeout=0.01)


def test_units_and_quantities_that_there_are_not(interface):
    with pytest.raises(UnitError, match="VRms, Vp, PaRms, Pap, SPL, ARms, Ap") as caught:
        CalIInput(interface, 1.0, "V")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(UnitError, match="V, Pa, A"):
        CalIOutput(interface, 1.0, "VRms", interface.ioutput(ch=1))
    assert interface.processors == ()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"actual": 0.0}, "actual"),
        ({"actual": float("nan")}, "actual"),
        ({"actual": "loud"}, "actual"),
        ({"averages": 0}, "averages"),
        ({"mode": "median"}, "peak, rms"),
        ({"gain": float("inf")}, "gain"),
        ({"win": np.ones(511)}, "window"),
    ],
)
def test_what_is_out_of_range_is_refused(interface, options, name):
    with pytest.raises(PatchError, match=name):
        CalIInput(interface, **{"actual": 1.0, "unit": "Vp", **options})
    assert interface.processors == ()


def test_an_output_must_be_one(interface):
    with pytest.raises(PatchError, match="output channel"):
        CalIOutput(interface, 1.0, "V", interface.iinput(ch=1))


def test_the_channel_is_the_one_connected(interface, make_source):
    channel = interface.iinput(ch=3)
    calibration = CalIInput(interface, 1.0, "Vp", SHORT, 1)
    with pytest.raises(PatchError, match="iinput=") as caught:
        calibration.evaluate()
    assert caught.value.code == "not_connected"
    channel.connect(calibration.input())
    with pytest.raises(EngineError, match="start"):
        calibration.evaluate()
    _, factor = measure(calibration, make_source(), tone(4800))
    assert channel.cV == factor


def test_an_output_needs_a_calibrated_input(interface, make_source):
    calibration = CalIOutput(interface, 0.5, "Pa", interface.ioutput(ch=1), SHORT, iinput=interface.iinput(ch=1))
    make_source().feed(calibration)
    with pytest.raises(CalibrationError, match="in_ch01 has no calibration cPa") as caught:
        calibration.evaluate()
    assert caught.value.code == "not_calibrated"
