"""Which sound devices there are, asked in a process of its own, so that PortAudio never comes into the script's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final, Literal

from asmu_control.launch import environment
from asmu_engine.protocol.errors import DeviceError, from_wire

_TIMEOUT: Final = 30.0
_PROGRAM: Final = """
import json
from asmu_engine.devices.portaudio_library import load
from asmu_engine.protocol.errors import AsmuError
try:
    sd = load()
    facts = {"devices": list(sd.query_devices()), "apis": list(sd.query_hostapis()), "default": list(sd.default.device)}
    print(json.dumps(facts))
except AsmuError as error:
    print(json.dumps({"error": error.to_wire()}))
"""


class DeviceList(tuple[dict[str, Any], ...]):
    """Devices as dictionaries, with a readable repr: ``>`` marks the default input, ``<`` the default output, ``*`` both."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        digits = len(str(max((device["index"] for device in self), default=0)))
        for device in self:
            mark = {(True, True): "*", (True, False): ">", (False, True): "<"}.get(
                (device["default_input"], device["default_output"]), " "
            )
            yield (
                f"{mark} {device['index']:{digits}} {device['name']}, {device['hostapi_name']} "
                f"({device['max_input_channels']} in, {device['max_output_channels']} out)"
            )


def query_devices(device: int | str | None = None, kind: Literal["input", "output"] | None = None) -> DeviceList | dict[str, Any]:
    """What PortAudio knows of all devices or of one, as sounddevice.query_devices does.

    Parameters
    ----------
    device
        Index, or part of the name and host API, in any case.
    kind
        ``"input"`` or ``"output"``: only devices with such channels; without `device` the default one.

    Returns
    -------
    DeviceList or dict
        Without arguments all devices; else one: ``name``, ``index``, ``hostapi``, ``max_input_channels``,
        ``max_output_channels``, ``default_samplerate``, latencies as in sounddevice, and ``hostapi_name``,
        ``default_input``, ``default_output``.

    Raises
    ------
    DeviceError
        ``portaudio_missing`` says how to install it; ``device_unknown`` lists what exists.
    """
    if kind not in ("input", "output", None):
        raise ValueError(f"kind {kind!r}: use 'input', 'output' or None")
    devices = _list()
    if device is None and kind is None:
        return devices
    matching = [one for one in devices if _matches(one, device, kind)]
    if len(matching) > 1:
        # As sounddevice does: the whole name, or the whole name with its host API, decides between several that contain it.
        exact = [one for one in matching if str(device).lower() in (one["name"].lower(), _full_name(one))]
        matching = exact if len(exact) == 1 else matching
    if len(matching) != 1:
        wanted = f"{kind or ''} device {'' if device is None else repr(device)}".strip() + (
            " (the default one)" if device is None else ""
        )
        what = f"several devices match {wanted}" if matching else f"there is no {wanted}"
        listed = "; ".join(f"{one['index']}: {one['name']}, {one['hostapi_name']}" for one in (matching or devices)) or "none"
        raise DeviceError(f"{what}; devices: {listed}", code="device_unknown", where=str(device), retry=True)
    return matching[0]


def _list() -> DeviceList:
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM],
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            env=environment(()),
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"PortAudio did not list its devices within {_TIMEOUT:g} s; a sound server may hang", code="device_failed", retry=True
        ) from None
    try:
        answer = json.loads(child.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = child.stderr.strip().splitlines()[-1:] or [os.strerror(abs(child.returncode))]
        raise DeviceError(f"listing the devices failed: {said[0]}", code="device_failed", retry=True) from None
    if "error" in answer:
        raise from_wire(answer["error"])
    default_input, default_output = _defaults(answer)
    return DeviceList(
        {
            **one,
            "hostapi_name": answer["apis"][one["hostapi"]]["name"],
            "default_input": one["index"] == default_input,
            "default_output": one["index"] == default_output,
        }
        for one in answer["devices"]
    )


def _defaults(answer: dict[str, Any]) -> tuple[int, int]:
    """Index of the default input and output, -1 for none: sounddevice's setting, else those of the first host API."""
    first, second = answer["default"]
    if answer["apis"] and first < 0 and second < 0:
        api = answer["apis"][0]
        return api["default_input_device"], api["default_output_device"]
    return first, second


def _matches(one: dict[str, Any], device: int | str | None, kind: str | None) -> bool:
    if kind is not None and not one[f"max_{kind}_channels"]:
        return False
    if device is None:
        return bool(one[f"default_{kind}"])
    if isinstance(device, int):
        return bool(one["index"] == device)
    return all(part in _full_name(one) for part in device.lower().split())


def _full_name(one: dict[str, Any]) -> str:
    return f"{one['name']}, {one['hostapi_name']}".lower()
