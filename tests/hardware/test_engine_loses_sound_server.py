"""A sound server that dies under the engine is a lost device: noticed, reported, and the recording is whole up to there."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from engine_takes import first_sound, noise, patch, use
from sound_servers import JACK_PERIOD, Server, Standstill, until

import asmu_control as asmu

pytestmark = pytest.mark.hardware


def lose(server: Server, interface: asmu.Interface) -> tuple[float, float]:
    """Kill the server: seconds until the engine has noticed, and for how long of that this machine stood still."""
    with Standstill() as standstill:
        server.process.kill()
        killed = time.monotonic()
        until(lambda: interface.stats()["state"] == "lost", 60, "the device was not lost")
        return time.monotonic() - killed, standstill.seconds


def test_a_killed_server_is_a_lost_device_within_two_seconds(
    own_jack: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(own_jack, monkeypatch)
    interface, recorder = patch(own_jack, tmp_path / "until.wav", 2, JACK_PERIOD)
    stream = interface.start()
    until(lambda: interface.stats()["blocks"] > 50, 60, "the stream did not run")
    noticed, standstill = lose(own_jack, interface)
    assert noticed < 2.0 + standstill
    assert not stream.active
    until(lambda: recorder.status()["state"] == "finished", 60, "the recording was not finished")
    began = time.monotonic()
    with pytest.raises(asmu.exceptions.DeviceError, match="lost"):
        stream.close()
    assert time.monotonic() - began < 10
    data, _ = soundfile.read(tmp_path / "until.wav", dtype="float32")
    assert len(data) >= 45 * JACK_PERIOD
    delay = first_sound(data)
    assert np.array_equal(data[delay : 40 * JACK_PERIOD], noise(40 * JACK_PERIOD - delay, 2))


def test_a_killed_pulse_server_is_a_lost_device_too(own_pulse: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(own_pulse, monkeypatch)
    interface, recorder = patch(own_pulse, tmp_path / "until.wav", 2, 512)
    stream = interface.start()
    until(lambda: interface.stats()["blocks"] > 100, 60, "the stream did not run")
    noticed, standstill = lose(own_pulse, interface)
    assert noticed < 2.0 + standstill
    until(lambda: recorder.status()["state"] == "finished", 60, "the recording was not finished")
    with pytest.raises(asmu.exceptions.DeviceError, match="lost"):
        stream.close()
    data, _ = soundfile.read(tmp_path / "until.wav", dtype="float32")
    assert len(data) >= 90 * 512
