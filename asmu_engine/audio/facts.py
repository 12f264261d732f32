"""Facts of devices and cores, as the engine needs and tells them."""

from __future__ import annotations

from typing import Any

from asmu_engine.devices.base import Device
from asmu_engine.protocol.device import AnyDevice
from asmu_engine.rt.acore import ACore


def free_running(device: Device) -> bool:
    """Whether it runs as fast as it can, in a thread of its own."""
    return not device.paced and not getattr(device, "stepped", False)


def close_failed(core: ACore, error: Exception, position: int | None) -> dict[str, Any]:
    """The notice that a core could not be closed."""
    text = f"it could not be closed: {type(error).__name__}: {error}"
    return {"event": "core_failed", "node": core.setup.node, "error": text, "position": position or 0}


def columns(channels: tuple[int, ...]) -> dict[int, int]:
    """Column of each device channel, counted from 0."""
    return {channel - 1: column for column, channel in enumerate(channels)}


def describe(device: Device, spec: AnyDevice) -> dict[str, Any]:
    """What clients are told of an open device."""
    return {
        "name": device.name,
        "host_api": device.host_api,
        "kind": spec.kind,
        "inputs": list(device.inputs),
        "outputs": list(device.outputs),
        "max_inputs": device.max_inputs,
        "max_outputs": device.max_outputs,
        "input_latency": device.input_latency,
        "output_latency": device.output_latency,
        "paced": device.paced,
        "speed": getattr(spec, "speed", 1.0) or 1.0,
    }
