"""msgpack in and out, within the stated limits; nothing is ever unpickled or evaluated."""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES, MAX_MESSAGE_DEPTH, MAX_MESSAGE_LIST, MAX_MESSAGE_VALUES

ARRAY_EXTENSION: Final = 1
_ARRAY_VALUES: Final = 8
"""An array object weighs as much as so many numbers, in memory and in time."""
_CONTAINERS: Final = frozenset((dict, list))
PACK_BYTES: Final = 2048
"""What msgpack reserves for a message before it knows how long that is. Its own 256 KiB were returned to the system after each
message in a host that keeps little in store (`asmu_engine.host.footprint`): 9 µs instead of 1 µs."""


def _default(value: object) -> Any:
    if isinstance(value, Array):
        return msgpack.ExtType(ARRAY_EXTENSION, value.encode())
    # numpy's, known by what they offer, since nothing here imports it.
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        if getattr(value, "shape", None) == ():
            return value.tolist()
        raise TypeError(
            "an array of numpy has no wire form; send values.tolist(), or for a parameter of type array "
            "asmu_engine.protocol.arrays.Array('f4', values.shape, values.tobytes())"
        )
    raise TypeError(f"a {type(value).__name__} has no wire form; send numbers, strings, lists, maps or arrays")


def _extension(code: int, payload: bytes) -> Any:
    if code != ARRAY_EXTENSION:
        raise ValueError(f"unknown msgpack extension {code}")
    return Array.decode(bytes(payload))


_UNBOUNDED: Final[dict[str, Any]] = {"ext_hook": _extension}


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
        return cast(bytes, msgpack.packb(message, default=_default, use_bin_type=True, buf_size=PACK_BYTES))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"message cannot be sent: {error}", code="bad_message") from None


def unpack(data: bytes, limit: int | None = MAX_MESSAGE_BYTES) -> dict[str, Any]:
    """The message in `data`; ProtocolError if it is too large, not msgpack, truncated, nested too deep or no map.

    `limit` is the largest size in bytes that is looked at; None for none, between processes of one engine, where what it
    holds is not limited either.
    """
    size = len(data)
    if limit is not None and size > limit:
        raise ProtocolError(
            f"message of {size} bytes; the limit is {limit}: send bulk audio through a ring", code="message_too_large"
        )
    # A value takes a byte at least, and msgpack believes no list more entries than there are bytes.
    options = _bounds(size) if limit is not None and size > MAX_MESSAGE_LIST else _UNBOUNDED
    try:
        message = msgpack.unpackb(data, raw=False, strict_map_key=True, **options)
    except ProtocolError:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack raises several unrelated classes; all mean the same here
        raise ProtocolError(f"message is not valid msgpack: {error or type(error).__name__}", code="bad_message") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"message is a {type(message).__name__}, not a map", code="bad_message")
    if _deeper_than(message, MAX_MESSAGE_DEPTH):
        raise ProtocolError(f"message is nested deeper than {MAX_MESSAGE_DEPTH} levels", code="bad_message")
    return message


def _bounds(size: int) -> dict[str, Any]:
    """Options of msgpack that bound what a message of so many bytes can become in memory."""
    longest: dict[str, Any] = {"max_array_len": MAX_MESSAGE_LIST, "max_map_len": MAX_MESSAGE_LIST}
    if size <= MAX_MESSAGE_VALUES:
        return longest | _UNBOUNDED
    budget = _Budget()
    return longest | {"ext_hook": budget.extension, "list_hook": budget.container, "object_hook": budget.container}


class _Budget:
    """Stops the reading of a message that holds too many values.

    A map that is one byte on the wire takes 64 in memory: 8 MiB of them would take half a gigabyte, and the host as long as
    it takes a client to lose its patience.
    """

    def __init__(self) -> None:
        self._left = MAX_MESSAGE_VALUES

    def container(self, value: Any) -> Any:
        """A map or list that has been read."""
        self._spend(len(value))
        return value

    def extension(self, code: int, payload: bytes) -> Any:
        """An array that is about to be read."""
        self._spend(_ARRAY_VALUES)
        return _extension(code, payload)

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise ProtocolError(
                f"message holds more than {MAX_MESSAGE_VALUES} values; send it in parts", code="message_too_large"
            )


def _deeper_than(message: dict[str, Any], levels: int) -> bool:
    # Level by level, so that the work for each value is a few instructions of one comprehension.
    outer: list[Any] = [message]
    for _ in range(levels):
        outer = [
            value
            for container in outer
            for value in (container.values() if type(container) is dict else container)
            if type(value) in _CONTAINERS
        ]
        if not outer:
            return False
    return True
