"""``asmu demo`` as a user runs it."""

import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.e2e


def demo(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asmu_control", "demo", "--out", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_the_report_and_its_status(tmp_path):
    answer = demo(tmp_path, "--seconds", "2", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    result = json.loads(answer.stdout)
    assert result["bit_exact"] is True
    assert result["lost_frames"] == 0
    assert result["xruns"] == 0
    assert result["blocks"] == 375
    assert result["recorded_frames"] == 375 * 256
    assert result["delay_frames"] == 256 + 128
    assert set(result["callback_us"]) == {"p50", "p99", "max"}
    data, samplerate = soundfile.read(result["recording"], dtype="float32")
    assert samplerate == 48000
    # The noise is documented, so anyone can compute what must stand in the file.
    played = (np.random.Generator(np.random.PCG64(20_251)).random((96000, 2), dtype=np.float32) * 2 - 1) * np.float32(0.5)
    assert np.array_equal(data[384:], played[:-384])
    assert Path(result["plot"]).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_sound_file_is_recorded_bit_for_bit(tmp_path):
    path = tmp_path / "source.wav"
    rng = np.random.default_rng(4)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(3)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(rng.integers(-32768, 32767, (30_001, 3), dtype=np.int16).tobytes())
    answer = demo(tmp_path / "out", "--json", "--device", f"file:{path}")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    result = json.loads(answer.stdout)
    expected, _ = soundfile.read(path, dtype="float32")
    recorded, samplerate = soundfile.read(result["recording"], dtype="float32")
    assert samplerate == 44100
    assert np.array_equal(recorded, expected)


def test_an_inexact_loopback_fails_and_says_where(tmp_path):
    answer = demo(tmp_path, "--seconds", "1", "--json", "--device", "virtual:noise_dbfs=-80")
    assert answer.returncode == 1
    result = json.loads(answer.stdout)
    assert result["bit_exact"] is False
    assert result["delay_frames"] == 256
    assert result["differing_samples"] > 90_000
    assert result["first_difference"] == 0


def test_the_report_for_people(tmp_path):
    answer = demo(tmp_path, "--seconds", "1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for text in ("deadline misses", "lost frames", "yes, every sample", "asmu_demo.wav", "asmu_demo.png"):
        assert text in answer.stdout


@pytest.mark.parametrize(
    ("device", "message"),
    [("file:missing.wav", "missing.wav"), ("virtual:inputs=nonsense", "inputs"), ("virtual:inputs=1", "channel 2")],
)
def test_a_wrong_device_is_one_clear_line(tmp_path, device, message):
    answer = demo(tmp_path, "--seconds", "1", "--device", device)
    assert answer.returncode == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_no_hot_loop_outlives_a_killed_demo(tmp_path):
    import psutil

    command = [sys.executable, "-m", "asmu_control", "demo", "--out", str(tmp_path), "--seconds", "60"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = psutil.Process(child.pid)
    try:
        while len(family := process.children(recursive=True)) < 2 + (os.cpu_count() or 1):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert len(gone) == len(family)
