"""The list of devices, from a child process that is made to say what is needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asmu_control import devicelist, query_devices
from asmu_control.exceptions import DeviceError


def device(index: int, name: str, api: int, inputs: int, outputs: int) -> dict[str, Any]:
    return {
        "name": name,
        "index": index,
        "hostapi": api,
        "max_input_channels": inputs,
        "max_output_channels": outputs,
        "default_samplerate": 48000.0,
    }


FACTS: dict[str, Any] = {
    "devices": [
        device(0, "Fireface 802", 0, 30, 30),
        device(1, "Headset", 0, 1, 2),
        device(2, "system", 1, 64, 0),
        device(3, "Headset Pro", 1, 0, 2),
    ],
    "apis": [
        {"name": "ALSA", "default_input_device": 1, "default_output_device": 0},
        {"name": "JACK Audio Connection Kit", "default_input_device": 2, "default_output_device": -1},
    ],
    "default": [-1, -1],
}


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch):
    def says(text: str) -> None:
        monkeypatch.setattr(devicelist, "_PROGRAM", text)

    says(f"print({json.dumps(json.dumps(FACTS))})")
    return says


def test_all_devices(child) -> None:
    found = query_devices()
    assert [one["index"] for one in found] == [0, 1, 2, 3]
    assert found[2]["hostapi_name"] == "JACK Audio Connection Kit"
    assert repr(found).splitlines() == [
        "< 0 Fireface 802, ALSA (30 in, 30 out)",
        "> 1 Headset, ALSA (1 in, 2 out)",
        "  2 system, JACK Audio Connection Kit (64 in, 0 out)",
        "  3 Headset Pro, JACK Audio Connection Kit (0 in, 2 out)",
    ]


def test_one_device(child) -> None:
    assert query_devices(3)["name"] == "Headset Pro"
    assert query_devices("fireface")["index"] == 0
    assert query_devices("jack system")["index"] == 2
    assert query_devices("headset")["index"] == 1  # the whole name decides
    assert query_devices("headset", "output")["index"] == 1
    assert query_devices("pro", "output")["index"] == 3
    assert query_devices(kind="input")["index"] == 1
    assert query_devices(kind="output")["index"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"), [((9,), "there is no device 9"), (("a",), "several"), (("system", "output"), "no output device")]
)
def test_unknown_and_ambiguous_devices_list_what_exists(child, arguments: tuple, words: str) -> None:
    with pytest.raises(DeviceError, match=words) as caught:
        query_devices(*arguments)
    assert caught.value.code == "device_unknown"
    assert "Fireface" in str(caught.value)


def test_no_device_at_all(child) -> None:
    child(f"print({json.dumps(json.dumps({**FACTS, 'devices': [], 'apis': []}))})")
    assert query_devices() == ()
    assert repr(query_devices()) == ""
    with pytest.raises(DeviceError, match="devices: none"):
        query_devices(kind="input")


def test_without_portaudio_the_error_says_what_to_do(child) -> None:
    error = DeviceError("PortAudio cannot be loaded; install it with …", code="portaudio_missing")
    child(f"print({json.dumps(json.dumps({'error': error.to_wire()}))})")
    with pytest.raises(DeviceError, match="install") as caught:
        query_devices()
    assert caught.value.code == "portaudio_missing"


def test_a_child_that_fails_is_quoted(child, monkeypatch: pytest.MonkeyPatch) -> None:
    child("raise SystemExit('the bus is on fire')")
    with pytest.raises(DeviceError, match="the bus is on fire") as caught:
        query_devices()
    assert caught.value.code == "device_failed"
    child("import os; os.abort()")
    with pytest.raises(DeviceError, match="listing the devices failed"):
        query_devices()
    monkeypatch.setattr(devicelist, "_TIMEOUT", 0.3)
    child("import time; time.sleep(60)")
    with pytest.raises(DeviceError, match=r"within 0\.3 s"):
        query_devices()


def test_kind_is_checked(child) -> None:
    with pytest.raises(ValueError, match="kind 'both'"):
        query_devices(kind="both")  # type: ignore[arg-type]


def test_the_real_child() -> None:
    try:
        found = query_devices()
    except DeviceError as error:
        assert error.code == "portaudio_missing"  # noqa: PT017 - which of the two holds is the machine's affair
    else:
        assert isinstance(found, tuple)
