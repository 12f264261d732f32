"""Tap.map beside a whole engine, and its example."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import psutil
import pytest
from plain_engine import until

import asmu_control as asmu

pytestmark = pytest.mark.e2e

CODE = """
from dataclasses import dataclass
@dataclass
class Level:
    peak: float
def level(block):
    return Level(scale * float(abs(block).max()))
"""


def test_functions_of_a_notebook_over_the_blocks_of_a_running_engine():
    # As a notebook has them: in a module that no other process can import.
    notebook = {"__name__": "__main__", "scale": 4.0}
    exec(CODE, notebook)
    interface = asmu.Interface(device="virtual:inputs=2,outputs=2", samplerate=48000, blocksize=256)
    constant, tap = asmu.generator.Constant(interface, 0.25), asmu.analyzer.Tap(interface, channels=2)
    for index in range(2):
        constant.output().connect(tap.input(index))
    with interface.start():
        with tap.map(notebook["level"], workers=2, blocksize=1000, hop=500, timeout=30) as levels:
            results = [next(levels) for _ in range(20)]
            workers = [psutil.Process(pid) for pid in levels.pids]
            # Each steps back by itself, once it has begun.
            until(lambda: all(worker.nice() >= 10 for worker in workers), "the workers to step back")
        assert not any(worker.is_running() for worker in workers)
        first = results[0].position
        assert [result.position for result in results] == list(range(first, first + 10_000, 500))
        assert [(result.value.peak, result.lost, result.skipped) for result in results] == [(1.0, 0, 0)] * 20
        assert (results[-1].utc - results[0].utc) / np.timedelta64(1, "s") == pytest.approx(9500 / 48000, abs=0.05)
        levels = interface.client.tap(tap.name).map(lambda block: block.shape, blocksize=480, timeout=30)
        assert next(levels).value == (480, 2)
    # The engine is gone: what it left is done, and then the map ends.
    assert all(result.value == (480, 2) for result in levels)


def test_an_engine_without_a_clock_waits_for_the_map():
    interface = asmu.Interface(device="offline:inputs=1,outputs=1", samplerate=48000, blocksize=256)
    sine, tap = asmu.generator.Sine(interface, 1000.0), asmu.analyzer.Tap(interface)
    sine.output().connect(tap.input())
    interface.open()
    with tap.map(lambda block: float((block**2).mean()), 1, start="oldest", blocksize=48_000, paced=True, timeout=30) as powers:
        interface.start(drop=0)
        found = [next(powers) for _ in range(25)]  # more than twice what the ring holds
    interface.close()
    assert [result.position for result in found] == [48_000 * second for second in range(25)]
    assert powers.total_skipped == 0
    assert [result.value for result in found] == pytest.approx([found[0].value] * 25, rel=1e-5)


def test_the_example_shows_a_tone_in_its_band(tmp_path):
    plot = tmp_path / "spectrogram.png"
    device = "virtual:inputs=8,outputs=1,tone_hz=1000,tone_dbfs=-20,noise_dbfs=-60"
    command = [sys.executable, "-W", "error", "-m", "asmu_control.examples.spectrogram"]
    options = ["--device", device, "--channels", "8", "--seconds", "0.5", "--plot", str(plot)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    levels = {float(hz): float(db) for hz, db in re.findall(r"^ *([\d.]+) Hz +(-?[\d.]+) dB$", done.stdout, re.MULTILINE)}
    assert levels[1000.0] == pytest.approx(-20, abs=0.05)
    assert max(db for hz, db in levels.items() if hz != 1000.0) < -60
    assert "frames lost: 0, skipped: 0;" in done.stdout
    assert "8 results, " in done.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")
