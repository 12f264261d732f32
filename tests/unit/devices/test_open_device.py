"""What `open_device` checks for every simulated device, and PortAudio where it is missing."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from asmu_engine.devices.open import open_device
from asmu_engine.devices.portaudio_library import list_devices
from asmu_engine.protocol.device import Offline, Virtual
from asmu_engine.protocol.errors import ConfigError, DeviceError


@pytest.mark.parametrize("kind", ["virtual", "offline"])
@pytest.mark.parametrize(
    ("options", "asked", "code", "said"),
    [
        (
            "inputs=2",
            {"inputs": [1, 3]},
            "device_channels",
            "input channel 3 asked .* channels 1 to 2; open .*:inputs=N",
        ),
        ("outputs=0", {"outputs": [1]}, "device_channels", "no output channels"),
        ("inputs=2", {"inputs": [0]}, "device_channels", "input channel 0"),
        ("inputs=2", {"inputs": [2, 2]}, "device_channels", "more than once"),
        ("inputs=2", {"inputs": [], "outputs": []}, "device_channels", "no channel of"),
        ("samplerate=44100", {"samplerate": 48000}, "device_samplerate", "48000 Hz asked .* 44100 Hz; use samplerate 44100"),
        ("inputs=2", {"samplerate": 0.5}, "device_samplerate", "0.5 Hz"),
        ("inputs=2", {"blocksize": 0}, "device_failed", "blocksize of 0 frames; use 1 to 65536"),
    ],
)
def test_what_a_simulated_device_does_not_have_is_refused(
    kind: str, options: str, asked: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(DeviceError, match=said) as caught:
        open_device(f"{kind}:{options}", **asked)
    assert caught.value.code == code


def test_all_channels_and_the_devices_samplerate_are_the_defaults() -> None:
    device = open_device(Virtual(inputs=3, outputs=1, samplerate=96000))
    assert (device.inputs, device.outputs, device.samplerate, device.blocksize) == ((1, 2, 3), (1,), 96000, 256)
    device.close()
    device = open_device(Offline())
    assert device.samplerate == 48000
    device.close()


def test_a_text_that_is_no_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="no option 'channels'"):
        open_device("virtual:channels=2")


def test_portaudio_that_is_not_installed_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules makes the import fail as it does where the package or its library is missing.
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for attempt in (lambda: open_device("portaudio"), list_devices):
        with pytest.raises(DeviceError, match="install") as caught:
            attempt()
        assert caught.value.code == "portaudio_missing"
        assert "device='virtual'" in caught.value.message
