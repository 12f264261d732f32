"""Values of the wire as JSON and TOML know them: an array becomes a map of its type, shape, and data as base64 text."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, Final

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ConfigError

_NAMES: Final = {"f4": "float32", "f8": "float64", "i4": "int32", "i8": "int64"}
_TYPES: Final = {name: dtype for dtype, name in _NAMES.items()}
_PIECE: Final = 3 * 16384
"""Bytes that are encoded in one go: whoever encodes in a thread must not hold up the others. A multiple of three, so that the
texts of the pieces together are that of the whole."""


def to_plain(value: Any) -> Any:
    """The value with every array in it as ``{"array": "float32", "shape": […], "data": …}``; little-endian, in C order.

    >>> to_plain({"taps": Array("f4", (1,), b"\\x00\\x00\\x80?")})
    {'taps': {'array': 'float32', 'shape': [1], 'data': 'AACAPw=='}}
    """
    if isinstance(value, Array):
        return {"array": _NAMES[value.dtype], "shape": list(value.shape), "data": _text(value.data)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def from_plain(value: Any, where: str = "array") -> Any:
    """Inverse of `to_plain`; ConfigError ``bad_config`` naming `where` for what looks like an array and is none."""
    if isinstance(value, Mapping):
        if value.keys() >= {"array", "data"}:
            return _array(value, where)
        return {key: from_plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [from_plain(item, where) for item in value]
    return value


def type_name(dtype: str) -> str:
    """What the type of an array is called there.

    >>> type_name("f4")
    'float32'
    """
    return _NAMES[dtype]


def _text(data: bytes) -> str:
    pieces = [binascii.b2a_base64(data[start : start + _PIECE], newline=False) for start in range(0, len(data), _PIECE)]
    return b"".join(pieces).decode("ascii")


def _array(value: Mapping[str, Any], where: str) -> Array:
    try:
        shape = value["shape"]
        if not isinstance(shape, list) or not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in shape):
            raise ValueError(f"its shape is {shape!r}, not a list of whole numbers")
        data = binascii.a2b_base64(value["data"], strict_mode=True) if value["data"] else b""
        return Array(_TYPES[value["array"]], tuple(shape), data)
    except KeyError as error:
        known = ", ".join(_TYPES)
        raise ConfigError(f"{where}: {error} is missing or unknown; types are {known}", code="bad_config", where=where) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: the array is damaged: {error}", code="bad_config", where=where) from None
