"""PortAudio: the library, the devices that it knows, and its errors in our words. The only importer of sounddevice."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass
from typing import Any

from asmu_engine.devices.base import wrong_samplerate
from asmu_engine.protocol.errors import DeviceError

_INSTALL = {
    "linux": "install it with: sudo apt install libportaudio2 (Debian, Ubuntu) or your distribution's package of PortAudio",
    "darwin": "install it with: brew install portaudio",
}
_PROBED_RATES = (8000, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
_NUMBERED = (re.compile(r"(?<=\(hw:)\d+"), re.compile(r"(?<=\()\d+- "))
"""Numbers in a name that change when a device is plugged in again: ALSA's card, and Windows' count of devices of one make."""
_INVALID_CHANNELS, _INVALID_RATE = -9998, -9997


@dataclass(frozen=True)
class DeviceInfo:
    """One device as PortAudio lists it; rates in Hz."""

    index: int
    name: str
    host_api: str
    max_inputs: int
    max_outputs: int
    default_samplerate: float
    default_input: bool = False
    default_output: bool = False

    def __str__(self) -> str:
        return f"{self.index}: {self.name} ({self.host_api}, {self.max_inputs} in, {self.max_outputs} out)"


def load() -> Any:
    """The module `sounddevice`; DeviceError ``portaudio_missing`` where PortAudio is not installed."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        how = _INSTALL.get(sys.platform, "install it, or reinstall the Python package sounddevice")
        raise DeviceError(
            f"PortAudio cannot be loaded ({error}); {how}. Without a sound card, device='virtual' is one that is simulated",
            code="portaudio_missing",
        ) from None
    return sounddevice


@dataclass(frozen=True)
class Known:
    """One device as it can be told from the others whatever its index: host API and name, without numbers that change.

    `number`, `of`: which of how many devices of that name it was when it was opened. Where there are more or fewer of them
    later nobody can say which of them it is.
    """

    host_api: str
    name: str
    number: int = 0
    of: int = 1


def known(sounddevice: Any, device: DeviceInfo | None) -> dict[str, Any] | None:
    """What `find_known` finds a listed device by, as plain data."""
    if device is None:
        return None
    alike = [info.index for info in _devices(sounddevice) if _identity(info) == _identity(device)]
    return asdict(Known(*_identity(device), alike.index(device.index), len(alike)))


def find_known(sounddevice: Any, wire: dict[str, Any] | None) -> DeviceInfo | None:
    """The device that `known` told of, under whatever index it is listed now.

    Raises
    ------
    DeviceError
        ``device_unknown``: it is not there, or there are more or fewer devices of its name than there were.
    """
    if wire is None:
        return None
    wanted = Known(**wire)
    alike = [info for info in _devices(sounddevice) if _identity(info) == (wanted.host_api, wanted.name)]
    if len(alike) == wanted.of:
        return alike[wanted.number]
    if not alike:
        raise _unknown(f"{wanted.name} ({wanted.host_api}) is not there", sounddevice, "plug it in again")
    raise _unknown(
        f"there are {len(alike)} devices {wanted.name} ({wanted.host_api}), there were {wanted.of}",
        sounddevice,
        "plug in as many as there were, or stop and start with the one that is meant",
    )


def _identity(info: DeviceInfo) -> tuple[str, str]:
    name = info.name
    for number in _NUMBERED:
        name = number.sub("", name)
    return info.host_api, name


def list_devices() -> list[dict[str, Any]]:
    """All devices that PortAudio knows, as plain data; see `DeviceInfo` for the keys."""
    return [asdict(info) for info in _devices(load())]


def listing(sounddevice: Any) -> str:
    """All devices in one line, for messages."""
    return "; ".join(map(str, _devices(sounddevice))) or "none"


def find_device(sounddevice: Any, wanted: int | str | None, side: str) -> DeviceInfo | None:
    """The device that `wanted` means for the inputs or the outputs (`side`), None where it has none of them.

    Raises
    ------
    DeviceError
        ``device_unknown``: no such device, several that match, or no default; the message lists what exists.
    """
    devices = _devices(sounddevice)
    if wanted is None:
        for info in devices:
            if info.default_input if side == "input" else info.default_output:
                return info
        return None
    if isinstance(wanted, int):
        if wanted >= len(devices):
            raise _unknown(f"no PortAudio device {wanted}", sounddevice)
        return devices[wanted]
    try:
        return devices[int(sounddevice.query_devices(wanted, side)["index"])]
    except ValueError as error:
        text = str(error)
        if text.startswith("Multiple"):
            raise _unknown(
                f"several PortAudio devices match {wanted!r}", sounddevice, "give its index or more of its name"
            ) from None
        if any(_matches(info, wanted) for info in devices):
            return None
        raise _unknown(f"no PortAudio device matches {wanted!r}", sounddevice) from None


def find_both(
    sounddevice: Any, device: int | str | tuple[int | str | None, int | str | None] | None, *, can_look: bool
) -> tuple[DeviceInfo | None, DeviceInfo | None]:
    """The devices for inputs and outputs that a text form means; `can_look`: PortAudio may look for devices anew.

    Raises
    ------
    DeviceError
        ``device_unknown``: see `find_device`; or there is no default device at all.
    """
    wanted = device if isinstance(device, tuple) else (device, device)

    def both() -> tuple[DeviceInfo | None, DeviceInfo | None]:
        return find_device(sounddevice, wanted[0], "input"), find_device(sounddevice, wanted[1], "output")

    try:
        found = both()
    except DeviceError:
        if not can_look:
            raise
        refresh(sounddevice)
        found = both()
    if found == (None, None):
        raise DeviceError(
            f"PortAudio has no default device; devices: {listing(sounddevice)}; name one of these, or try "
            "device='virtual', which is simulated",
            code="device_unknown",
        )
    return found


def refresh(sounddevice: Any) -> bool:
    """Have PortAudio look for devices again; only while this process has no stream open. False where it must not.

    PortAudio keeps the list that it made when it was initialised. Under JACK it is left alone: ending the host API of a
    server that is gone aborts the process.
    """
    if any(api["name"].startswith("JACK") for api in sounddevice.query_hostapis()):
        return False
    sounddevice._terminate()
    sounddevice._initialize()
    return True


def translated(sounddevice: Any, error: Exception, device: str, samplerate: float, check: Any) -> DeviceError:
    """PortAudio's error in our words. `check(rate)` raises unless the device runs at that rate."""
    number = error.args[1] if len(error.args) > 1 else 0
    if number == _INVALID_RATE:
        rates = [rate for rate in _PROBED_RATES if _passes(sounddevice, check, rate)]
        exists = ", ".join(map(str, rates)) + " Hz" if rates else "none of the usual rates just now"
        hint = f"use samplerate {rates[0] if samplerate not in rates and rates else 48000}" if rates else "close its other users"
        return wrong_samplerate(device, samplerate, exists, hint)
    if number == _INVALID_CHANNELS:
        text = f"{device} does not open with so many channels: {error}; use fewer, or another of its host APIs"
        return DeviceError(text, code="device_channels", where=device)
    text = f"{device} does not open: {error}; see that it is plugged in and that no other program holds it"
    return DeviceError(text, code="device_failed", where=device, retry=True)


def _devices(sounddevice: Any) -> list[DeviceInfo]:
    apis = [api["name"] for api in sounddevice.query_hostapis()]
    default_input, default_output = (int(index) for index in sounddevice.default.device)
    return [
        DeviceInfo(
            index,
            str(device["name"]),
            apis[device["hostapi"]],
            int(device["max_input_channels"]),
            int(device["max_output_channels"]),
            float(device["default_samplerate"]),
            index == default_input,
            index == default_output,
        )
        for index, device in enumerate(sounddevice.query_devices())
    ]


def _matches(info: DeviceInfo, wanted: str) -> bool:
    full = f"{info.name}, {info.host_api}".lower()
    return all(part in full for part in wanted.lower().split())


def _passes(sounddevice: Any, check: Any, rate: int) -> bool:
    try:
        check(rate)
    except sounddevice.PortAudioError:
        return False
    return True


def _unknown(what: str, sounddevice: Any, hint: str = "") -> DeviceError:
    listed = listing(sounddevice)
    advice = hint or ("use one of these" if listed != "none" else "plug one in, or try device='virtual', which is simulated")
    return DeviceError(f"{what}; devices: {listed}; {advice}", code="device_unknown", retry=True)
