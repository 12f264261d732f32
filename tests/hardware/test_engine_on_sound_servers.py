"""The whole engine on real PortAudio: every sample that is played comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from engine_takes import RATE, first_sound, noise, patch, use
from sound_servers import JACK_PERIOD, Server

import asmu_control as asmu

pytestmark = pytest.mark.hardware


@pytest.mark.parametrize("channels", [2, 16])
def test_every_sample_comes_back(jack: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, channels: int) -> None:
    use(jack, monkeypatch)
    interface, _ = patch(jack, tmp_path / "back.wav", channels, JACK_PERIOD)
    with interface.start(end_frame=100) as stream:
        assert stream.wait(30)
        stats = interface.stats()
    data, samplerate = soundfile.read(tmp_path / "back.wav", dtype="float32")
    assert samplerate == RATE
    assert stats["device"]["host_api"].startswith("JACK")
    assert stats["blocks"] == 103
    delay = 2 * JACK_PERIOD
    assert first_sound(data) == delay
    if stats["lost_frames"] == 0 and stats["output_underflow"] == 0 and stats["input_overflow"] == 0:
        assert len(data) == 100 * JACK_PERIOD
        assert np.array_equal(data[delay:], noise(len(data) - delay, channels))
    else:
        # This machine stalled the stream: the status flags say so, and what came back before is exact.
        assert np.array_equal(data[delay : delay + 10 * JACK_PERIOD], noise(10 * JACK_PERIOD, channels))


def test_a_device_that_is_not_there_is_named_with_what_exists(jack: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(jack, monkeypatch)
    interface = asmu.Interface(device="portaudio:no such card", samplerate=RATE)
    interface.ioutput(ch=1)
    with pytest.raises(asmu.exceptions.DeviceError, match=r"no such card.*loopback") as caught:
        interface.start()
    assert caught.value.code == "device_unknown"


def test_a_channel_too_many_and_another_samplerate_are_refused(jack: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(jack, monkeypatch)
    interface = asmu.Interface(device=jack.device, samplerate=RATE)
    interface.ioutput(ch=65)
    with pytest.raises(asmu.exceptions.DeviceError, match="65"):
        interface.start()
    other = asmu.Interface(device=jack.device, samplerate=44100)
    other.ioutput(ch=1)
    with pytest.raises(asmu.exceptions.DeviceError, match="44100") as caught:
        other.start()
    assert caught.value.code == "device_samplerate"
