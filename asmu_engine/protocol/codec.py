"""msgpack in and out, within the stated limits; nothing is ever unpickled or evaluated."""

from __future__ import annotations

from typing import Any, Final

import msgpack

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES, MAX_MESSAGE_DEPTH

ARRAY_EXTENSION: Final = 1


def _default(value: object) -> Any:
    if isinstance(value, Array):
        return msgpack.ExtType(ARRAY_EXTENSION, value.encode())
    raise TypeError(f"a {type(value).__name__} has no wire form; send numbers, strings, lists, maps or arrays")


def _extension(code: int, payload: bytes) -> Any:
    if code != ARRAY_EXTENSION:
        raise ValueError(f"unknown msgpack extension {code}")
    return Array.decode(bytes(payload))


def pack(message: dict[str, Any]) -> bytes:
    """One message as bytes.

    >>> pack({"type": "ping"})
    b'\\x81\\xa4type\\xa4ping'

    Raises
    ------
    ProtocolError
        Something in it has no wire form: an object, an integer beyond 64 bits, a lone surrogate, too deep a nesting.
    """
    try:
        return bytes(msgpack.packb(message, default=_default, use_bin_type=True))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"message cannot be sent: {error}", code="bad_message") from None


def unpack(data: bytes, limit: int | None = MAX_MESSAGE_BYTES) -> dict[str, Any]:
    """The message in `data`; ProtocolError if it is too large, not msgpack, truncated, nested too deep or no map.

    `limit` is the largest size in bytes that is looked at; None for none, between processes of one engine.
    """
    if limit is not None and len(data) > limit:
        raise ProtocolError(
            f"message of {len(data)} bytes; the limit is {limit}: send bulk audio through a ring",
            code="message_too_large",
        )
    try:
        message = msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=_extension)
    except Exception as error:  # noqa: BLE001 - msgpack raises several unrelated classes; all mean the same here
        raise ProtocolError(f"message is not valid msgpack: {error or type(error).__name__}", code="bad_message") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"message is a {type(message).__name__}, not a map", code="bad_message")
    if _deeper_than(message, MAX_MESSAGE_DEPTH):
        raise ProtocolError(f"message is nested deeper than {MAX_MESSAGE_DEPTH} levels", code="bad_message")
    return message


def _deeper_than(value: object, depth: int) -> bool:
    if depth < 0:
        return True
    if isinstance(value, dict):
        return any(_deeper_than(v, depth - 1) for v in value.values())
    if isinstance(value, list):
        return any(_deeper_than(v, depth - 1) for v in value)
    return False
