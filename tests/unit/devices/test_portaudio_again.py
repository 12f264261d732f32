"""A PortAudio device that was open before is found by host API and name, whatever index and number it has now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_sounddevice import FakeSounddevice, PortAudioError

from asmu_engine.devices.base import Device
from asmu_engine.devices.open import open_device
from asmu_engine.protocol.errors import DeviceError

Open = Callable[..., Device]
ALSA = 2
USB = ("Fireface: USB Audio (hw:1,0)", ALSA, 4, 2)
BACK = ("Fireface: USB Audio (hw:3,0)", ALSA, 4, 2)
ONBOARD = ("HDA Intel: ALC (hw:0,0)", ALSA, 2, 2)


@pytest.fixture
def library(library: FakeSounddevice) -> FakeSounddevice:
    """With a card of the machine's own and one that may go and come back."""
    library.devices = [ONBOARD, USB]
    library.default.device = (1, 1)
    return library


@pytest.fixture
def opened() -> Iterator[Open]:
    devices: list[Device] = []

    def make(text: str = "portaudio", known: dict[str, Any] | None = None, **channels: Any) -> Device:
        devices.append(open_device(text, 48000, 16, **channels, known=known))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


def lost(device: Device) -> dict[str, Any]:
    """Close it, and what it is found again by."""
    device.close()
    assert device.known is not None
    return device.known


def index(library: FakeSounddevice) -> Any:
    """Which device the newest stream was opened on."""
    return library.streams[-1].settings["device"]


@pytest.mark.parametrize("text", ["portaudio", "portaudio:1", "Fireface"])
def test_device_comes_back_under_another_index_and_card(library: FakeSounddevice, opened: Open, text: str) -> None:
    known = lost(opened(text))
    assert index(library) == (1, 1)
    fireface = {"host_api": "ALSA", "name": "Fireface: USB Audio (hw:,0)", "number": 0, "of": 1}
    assert known == {"input": fireface, "output": fireface}
    library.devices = [ONBOARD, ("Webcam (hw:1,0)", ALSA, 1, 0), ("Loop (hw:2,0)", ALSA, 2, 2), BACK]
    library.default.device = (0, 0)
    device = opened(text, known)
    assert index(library) == (3, 3)
    assert device.known == known


def test_index_of_another_device_is_not_taken_for_it(library: FakeSounddevice, opened: Open) -> None:
    known = lost(opened("portaudio:1"))
    library.devices = [ONBOARD, ("Other (hw:1,0)", ALSA, 4, 2)]
    with pytest.raises(DeviceError, match=r"Fireface.*\(ALSA\) is not there.*plug it in again") as caught:
        opened("portaudio:1", known)
    assert caught.value.code == "device_unknown"
    assert library.refreshed == 1  # PortAudio has looked anew


def test_same_name_of_another_host_api_is_another_device(library: FakeSounddevice, opened: Open) -> None:
    known = lost(opened())
    library.devices = [("Fireface: USB Audio (hw:1,0)", 0, 4, 2)]
    library.default.device = (0, 0)
    with pytest.raises(DeviceError, match="is not there"):
        opened(known=known)


def test_list_is_made_anew_where_the_old_one_still_has_it(library: FakeSounddevice, opened: Open) -> None:
    known = lost(opened())
    library.refusals = [PortAudioError("Device unavailable", -9985)] * 2  # of the entry in the stale list

    def look() -> None:
        library.refreshed += 1
        library.devices = [BACK, ONBOARD]

    library._terminate = look  # type: ignore[method-assign]
    opened(known=known)
    assert (library.refreshed, index(library)) == (1, (0, 0))


def test_under_jack_another_process_must_look(library: FakeSounddevice, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    known = lost(opened())
    apis = tuple({"name": name} for name in ("JACK Audio Connection Kit", "Core Audio", "ALSA"))
    monkeypatch.setattr(library, "query_hostapis", lambda: apis)
    library.devices = [ONBOARD]
    library.default.device = (0, 0)
    with pytest.raises(DeviceError, match="another process must look for it") as caught:
        opened(known=known)
    assert (caught.value.code, library.refreshed) == ("device_lost", 0)


def test_two_alike_are_told_apart_only_while_both_are_there(library: FakeSounddevice, opened: Open) -> None:
    library.devices = [ONBOARD, USB, ("Fireface: USB Audio (hw:2,0)", ALSA, 4, 2)]
    known = lost(opened("portaudio:2"))
    assert (known["input"]["number"], known["input"]["of"]) == (1, 2)
    library.devices = [ONBOARD, USB]
    with pytest.raises(DeviceError, match=r"there are 1 devices Fireface.*, there were 2"):
        opened("portaudio:2", known)
    library.devices = [BACK, ONBOARD, ("Fireface: USB Audio (hw:4,0)", ALSA, 4, 2)]
    opened("portaudio:2", known)
    assert index(library) == (2, 2)


def test_two_devices_and_the_side_that_is_not_in_use(library: FakeSounddevice, opened: Open) -> None:
    known = lost(opened("portaudio:1|0"))
    assert (known["input"]["name"], known["output"]["name"]) == ("Fireface: USB Audio (hw:,0)", "HDA Intel: ALC (hw:,0)")
    library.devices = [BACK, ONBOARD]
    opened("portaudio:1|0", known)
    assert index(library) == (0, 1)

    known = lost(opened("portaudio:0|1", inputs=[3], outputs=[]))
    assert known["output"] is None
    library.devices = [BACK]
    library.default.device = (0, 0)
    opened("portaudio:0|1", known, inputs=[3], outputs=[])
    assert index(library) == 0


def test_windows_count_of_devices_of_one_make_is_no_part_of_the_name(library: FakeSounddevice, opened: Open) -> None:
    library.devices = [("Microphone (2- USB Audio CODEC)", ALSA, 1, 0)]
    library.default.device = (0, -1)
    known = lost(opened(inputs=[1], outputs=[]))
    library.devices = [("Microphone (Webcam)", ALSA, 1, 0), ("Microphone (3- USB Audio CODEC)", ALSA, 1, 0)]
    opened(known=known, inputs=[1], outputs=[])
    assert index(library) == 1
