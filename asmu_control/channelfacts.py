"""What a recording's manifest says of its channels: where each comes from, and what its numbers mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from asmu_control.io import IInput
from asmu_control.setupvalues import to_plain
from asmu_engine.protocol.errors import ConfigError

if TYPE_CHECKING:
    from asmu_control.io import Input

_FACTORS: Final = (("cPa", "Pa"), ("cA", "m/s²"), ("cV", "V"))
"""Calibration factors with their units. The first that a channel has holds: what a sensor measures says more than its voltage."""

_APART: Final = ("name",)
"""Attributes that have fields of their own."""

_MAX_VALUES: Final = 200_000
"""Most numbers in the arrays of all channels together, such as frequency responses, since they travel in one message."""


def channel_facts(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Of each input of a tap what feeds it, in wire form: see `asmu_engine.protocol.acquisition.ChannelFacts`.

    An input channel of the device has its number, name, unit, factor and all its attributes. The factor makes physical
    values of samples, which were amplified by the channel's `gain`: ``c / 10**(gain / 20)``, as the calibrations define it.
    """
    room = _MAX_VALUES // max(1, len(inputs))
    return [_facts(each, room) for each in inputs]


def _facts(each: Input, room: int) -> dict[str, Any]:
    source = each.connected_output
    if source is None:
        return {}
    if not isinstance(source, IInput):
        node, port = source.port
        return {"name": f"{node} output {port}"}
    known = source.attributes
    facts: dict[str, Any] = {"name": str(known.get("name", "")), "device_channel": source.channel}
    for factor, unit in _FACTORS:
        if factor in known:
            facts.update(unit=unit, factor=float(known[factor]) / math.pow(10.0, float(known.get("gain", 0.0)) / 20.0))
            break
    calibration = {}
    for name, value in known.items():
        if name not in _APART:
            calibration[name], room = _stored(value, room, repr(source))
    return {**facts, "calibration": calibration} if calibration else facts


def _stored(value: Any, room: int, where: str) -> tuple[Any, int]:
    """A value as JSON has it, and for how many numbers there is room then. What JSON cannot have stands there as text."""
    count = int(getattr(value, "size", 1))
    if count > room:
        return f"left out: {count} values; see the set-up file", room
    if hasattr(value, "dtype") and value.ndim > 0:
        if value.dtype.kind == "c":
            return {"real": value.real.tolist(), "imag": value.imag.tolist()}, room - 2 * count
        value = value.tolist()
    try:
        return to_plain(value, where)[0], room - count
    except ConfigError:
        return str(value), room
