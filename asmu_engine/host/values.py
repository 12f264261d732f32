"""Values of a node's parameters: checked, and fitted to another number of channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asmu_engine.host.node import Node
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import Kind, Value
from asmu_engine.protocol.errors import PatchError

_INT64: Final = 2**63
SHOWN_BYTES: Final = 4096
"""Bytes of the largest array that stands in the answer to a request for the patch."""


def checked_values(kind: Kind, parameters: dict[str, Any], channels: int, where: str, *, new: bool) -> dict[str, Value | None]:
    """Parameters in canonical form; PatchError names what is wrong. `new`: for a node that is being added."""
    values: dict[str, Value | None] = {}
    for name, given in parameters.items():
        parameter = kind.parameter(name, where)
        if not (new or parameter.live):
            raise PatchError(
                f"{where}.{name} is fixed once the node exists; remove the node and add it again",
                code="fixed_parameter",
                where=f"{where}.{name}",
            )
        value = parameter.check(given, channels, where)
        for number in value if isinstance(value, list) else (value,):
            if isinstance(number, int) and not -_INT64 <= number < _INT64:
                raise PatchError(
                    f"{where}.{name}: {number:g} does not fit into 64 bits", code="bad_value", where=f"{where}.{name}"
                )
        values[name] = value
    return values


def stretched_values(node: Node, channels: int) -> dict[str, Value | None]:
    """Per-channel values of a node that gets another number of channels: cut, or the last one repeated."""
    result: dict[str, Value | None] = {}
    for parameter in node.kind.parameters:
        value = node.parameters.get(parameter.name)
        if parameter.per_channel and isinstance(value, list) and len(value) != channels:
            result[parameter.name] = (value + value[-1:] * channels)[:channels] if value else []
    return result


def value_of(nodes: Mapping[str, Node], name: str, parameter: str) -> dict[str, Any]:
    """The answer to a request for one value; PatchError for a node or parameter that is not there."""
    node = nodes.get(name)
    if node is None or node.reserved:
        raise PatchError(f"there is no node {name!r} with parameters in the patch", code="unknown_node", where=name)
    node.kind.parameter(parameter, name)
    return {"value": node.value(parameter)}


def shown_values(values: Mapping[str, Value | None]) -> dict[str, Any]:
    """Parameter values for an answer: of a large array its type and shape, as all arrays of a patch could make it too large."""
    return {
        name: {"array": value.dtype, "shape": list(value.shape)}
        if isinstance(value, Array) and len(value.data) > SHOWN_BYTES
        else value
        for name, value in values.items()
    }
