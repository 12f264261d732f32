"""The shipped examples on the virtual device, whose truth is known; the others are in test_examples_b.py."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.e2e

FAST = "speed=4,buffer_s=60"  # seconds of audio, four times as fast


def example(name: str, *arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-W", "error", "-m", f"asmu_control.examples.{name}", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == status, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    return answer.stderr if status else answer.stdout


def number(output: str, label: str) -> float:
    """The first number behind a label at the beginning of a line."""
    found = re.search(rf"^{re.escape(label)}[^\d\n-]*(-?\d+(\.\d+)?)", output, re.MULTILINE)
    assert found, output
    return float(found[1])


def png(path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_devices_says_what_the_device_has():
    output = example("devices", "--device", "virtual:inputs=5,outputs=3")
    assert number(output, "inputs:") == 5
    assert number(output, "outputs:") == 3
    assert number(output, "samplerate:") == 44_100
    assert number(output, "latency as it says:") == pytest.approx(1000 * 1024 / 44_100, abs=0.1)


def test_hello_plays_as_long_as_asked():
    output = example("hello", "--seconds", "1")
    assert number(output, "played:") == 43 * 1024
    assert number(output, "lost:") == 0


def test_the_level_meter_knows_the_level():
    # A peak of 0.1, 10 Pa a full scale; 1 kHz has 0 dB in all weightings.
    expected = 20 * np.log10(10 * 0.1 / np.sqrt(2) / 20e-6)
    assert number(example("levelmeter", "--seconds", "1"), "level:") == pytest.approx(expected, abs=0.1)


def test_the_level_meter_weights():
    # IEC 61672-1, table 3: 100 Hz has -19.1 dB in A, and -0.3 dB in C.
    device = f"virtual:tone_hz=100,tone_dbfs=-20,{FAST}"
    levels = [number(example("levelmeter", "--device", device, "--weight", w, "--seconds", "2"), "level:") for w in "ZAC"]
    assert levels[1] - levels[0] == pytest.approx(-19.1, abs=0.1)
    assert levels[2] - levels[0] == pytest.approx(-0.3, abs=0.1)


def test_the_scope_sees_the_tone(tmp_path):
    plot = tmp_path / "scope.png"
    output = example("scope", "--seconds", "2", "--plot", str(plot))
    assert number(output, "strongest:") == 1000
    assert float(output.split("amplitude ")[1].split()[0]) == pytest.approx(0.1, rel=1e-3)
    assert number(output, "peak to peak:") == pytest.approx(0.2, rel=0.01)
    assert png(plot)


def test_voltage_is_calibrated_within_a_thousandth(tmp_path):
    # 0.775 V at the multimeter is a peak of 0.5 at the output, and 6.5 dB less at the input.
    setup = tmp_path / "lab.asmu"
    device = f"virtual:gain_db=-6.5,noise_dbfs=-90,delay_frames=777,{FAST}"
    output = example("calibrate_voltage", "--device", device, "--volts", "0.775", "--setup", str(setup))
    peak = 0.775 * np.sqrt(2)
    assert number(output, "input: cV =") == pytest.approx(peak / (0.5 * 10 ** (-6.5 / 20)), rel=1e-3)
    assert number(output, "output: cV =") == pytest.approx(peak / 0.5, rel=1e-3)
    assert number(output, "frequency:") == pytest.approx(997, abs=0.01)
    saved = json.loads(setup.read_text())
    assert saved["ioutputs"][0]["cV"] == pytest.approx(peak / 0.5, rel=1e-3)


def test_pressure_is_calibrated_within_a_thousandth_and_the_level_meter_uses_it(tmp_path):
    setup = tmp_path / "lab.asmu"
    device = f"virtual:tone_hz=1000,tone_dbfs=-23,noise_dbfs=-80,{FAST}"
    output = example("calibrate_pressure", "--device", device, "--gain", "20", "--setup", str(setup))
    expected = 20e-6 * 10 ** (94 / 20) * np.sqrt(2) / 10 ** (-23 / 20) * 10
    assert number(output, "input: cPa =") == pytest.approx(expected, rel=1e-3)
    quieter = f"virtual:tone_hz=1000,tone_dbfs=-43,{FAST}"
    output = example("levelmeter", "--device", quieter, "--gain", "20", "--setup", str(setup), "--seconds", "2")
    assert number(output, "level:") == pytest.approx(74, abs=0.1)


def test_acceleration_is_calibrated_within_a_thousandth():
    output = example("calibrate_acceleration", "--seconds", "2")
    assert number(output, "input: cA =") == pytest.approx(10 * np.sqrt(2) / 10 ** (-26 / 20), rel=1e-3)
    assert number(output, "frequency:") == pytest.approx(159.155, abs=0.01)


def test_latency_on_the_device_of_its_own():
    assert number(example("calibrate_latency"), "latency:") == 1024 + 123


@pytest.mark.parametrize(
    ("delay", "system"), [(0, "noise_dbfs=-60"), (456, "gain_db=-40,noise_dbfs=-50"), (20_001, "taps=-1:0.5:0.25")]
)
def test_latency_is_exact_to_the_frame(delay, system, tmp_path):
    plot, setup = tmp_path / "latency.png", tmp_path / "lab.asmu"
    device = f"virtual:inputs=1,outputs=1,delay_frames={delay},{system},{FAST}"
    output = example("calibrate_latency", "--device", device, "--plot", str(plot), "--setup", str(setup))
    assert number(output, "latency:") == 1024 + delay
    assert number(output, "by the device's clocks:") == 1024
    assert json.loads(setup.read_text())["latency"] == 1024 + delay
    assert png(plot)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hello", "--device", "virtual:outputs=0"], "no output channels"),
        (["hello", "--device", "virtual:nonsense=1"], "nonsense"),
        (["levelmeter", "--setup", "missing.asmu"], "missing.asmu"),
        (["calibrate_pressure", "--device", "virtual", "--seconds", "1"], "too weak"),
        (["calibrate_latency", "--device", f"virtual:matrix=0:0/0:0,noise_dbfs=-40,{FAST}"], "burst"),
        (["calibrate_latency", "--device", f"virtual:matrix=0:0/0:0,{FAST}"], "burst"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_line(arguments, message):
    error = example(*arguments, status=1)
    assert message in error
    assert len(error.strip().splitlines()) == 1
