"""From a device's description to an open device, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asmu_engine.devices.base import Device, checked_blocksize, checked_channels, checked_use, wrong_samplerate
from asmu_engine.protocol.device import AnyDevice, File, Offline, PortAudio, Virtual, parse_device

DEFAULT_SAMPLERATE = 48000.0
"""Samplerate of a simulated device that was asked for none, Hz."""


def open_device(
    spec: AnyDevice | str,
    samplerate: float | None = None,
    blocksize: int = 256,
    inputs: Sequence[int] | None = None,
    outputs: Sequence[int] | None = None,
    *,
    known: dict[str, Any] | None = None,
) -> Device:
    """Open a device with the channels in use.

    Parameters
    ----------
    spec
        One of the classes of `asmu_engine.protocol.device`, or its text form.
    samplerate
        Hz; None: the device's own (of a simulated one 48000).
    blocksize
        Frames of a block, 1 to 65536.
    inputs, outputs
        Channels in use, from 1, in the order of the columns; None: all that the device has.
    known
        What `Device.known` said of one that was open before: that very device is opened, whatever number it has now, also
        where `spec` would mean another.

    Raises
    ------
    DeviceError
        ``device_unknown``, ``device_channels``, ``device_samplerate``, ``device_failed``, ``device_lost``,
        ``portaudio_missing``; the message names what was asked, what exists, and what to try.
    ConfigError
        For a text that is no device, or a sound file of a simulated device that cannot be used.
    """
    spec = parse_device(spec)
    checked_blocksize(blocksize)
    match spec:
        case Virtual() | Offline():
            return _simulated(spec, samplerate, blocksize, inputs, outputs)
        case File():
            from asmu_engine.devices.file import FileDevice

            return FileDevice(spec, samplerate, blocksize, inputs, outputs)
        case PortAudio():
            if known:
                from asmu_engine.devices.portaudio_again import reopen

                return reopen(spec, samplerate, blocksize, inputs, outputs, known)
            from asmu_engine.devices.portaudio import PortAudioDevice

            return PortAudioDevice(spec, samplerate, blocksize, inputs, outputs)


def _simulated(
    spec: Virtual | Offline,
    samplerate: float | None,
    blocksize: int,
    inputs: Sequence[int] | None,
    outputs: Sequence[int] | None,
) -> Device:
    name = spec.name if isinstance(spec, Virtual) else spec.kind
    rate = float(samplerate or spec.samplerate or DEFAULT_SAMPLERATE)
    if spec.samplerate is not None and rate != spec.samplerate:
        raise wrong_samplerate(f"device {name}", rate, f"{spec.samplerate:g} Hz", f"use samplerate {spec.samplerate:g}")
    if not 1.0 <= rate <= 1e7:
        raise wrong_samplerate(f"device {name}", rate, "1 to 10000000 Hz", "use one of these")
    hint = "open {}:{}=N with more"
    chosen_in = checked_channels(inputs, spec.inputs, "input", f"device {name}", hint=hint.format(spec.kind, "inputs"))
    chosen_out = checked_channels(outputs, spec.outputs, "output", f"device {name}", hint=hint.format(spec.kind, "outputs"))
    checked_use(chosen_in, chosen_out, f"device {name}")
    if isinstance(spec, Virtual):
        from asmu_engine.devices.virtual import VirtualDevice

        return VirtualDevice(spec, rate, blocksize, chosen_in, chosen_out)
    from asmu_engine.devices.offline import OfflineDevice

    return OfflineDevice(spec, rate, blocksize, chosen_in, chosen_out)
