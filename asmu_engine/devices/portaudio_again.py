"""A PortAudio device that was open before: found again under whatever index, once PortAudio has looked anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asmu_engine.devices.portaudio import PortAudioDevice, open_streams
from asmu_engine.devices.portaudio_library import load, refresh
from asmu_engine.protocol.device import PortAudio
from asmu_engine.protocol.errors import DeviceError


def reopen(
    spec: PortAudio,
    samplerate: float | None,
    blocksize: int,
    inputs: Sequence[int] | None,
    outputs: Sequence[int] | None,
    device: dict[str, Any],
) -> PortAudioDevice:
    """Open the very device of which `Device.known` told, under whatever index it is listed now.

    Raises
    ------
    DeviceError
        As the class; ``device_lost`` where this process cannot look for it again, and another one must.
    """
    try:
        return PortAudioDevice(spec, samplerate, blocksize, inputs, outputs, device)
    except DeviceError as error:
        if open_streams():
            raise
        if not refresh(load()):
            raise DeviceError(f"{error}; another process must look for it", code="device_lost", retry=True) from None
    return PortAudioDevice(spec, samplerate, blocksize, inputs, outputs, device)
