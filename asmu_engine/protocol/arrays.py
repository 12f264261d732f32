"""Numeric arrays inside messages, without numpy, so that the host stays light."""

from __future__ import annotations

import math
import struct
from array import array
from dataclasses import dataclass
from typing import Final

_TYPES: Final = {"f4": ("f", 4), "f8": ("d", 8), "i4": ("i", 4), "i8": ("q", 8)}
_HEAD: Final = struct.Struct("<2sB")


@dataclass(frozen=True)
class Array:
    """A C-contiguous, little-endian array of up to 4 axes: ``dtype`` one of f4 f8 i4 i8, ``shape``, raw ``data``.

    On the wire it is msgpack extension type 1: dtype (2 ASCII bytes), number of axes (1 byte), the axes as
    unsigned 64-bit little-endian integers, then the data.

    >>> Array.decode(Array("f4", (1,), b"\\x00\\x00\\x80?").encode()).numbers()
    [1.0]
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def __post_init__(self) -> None:
        if self.dtype not in _TYPES:
            raise ValueError(f"array of type {self.dtype!r}; use one of {', '.join(_TYPES)}")
        if len(self.shape) > 4 or any(n < 0 for n in self.shape):
            raise ValueError(f"array of shape {self.shape}; use at most 4 axes of zero or more")
        expected = math.prod(self.shape) * _TYPES[self.dtype][1]
        if len(self.data) != expected:
            raise ValueError(f"array of shape {self.shape} and type {self.dtype} has {len(self.data)} bytes, not {expected}")

    def encode(self) -> bytes:
        """The payload of the msgpack extension."""
        axes = struct.pack(f"<{len(self.shape)}Q", *self.shape)
        return _HEAD.pack(self.dtype.encode(), len(self.shape)) + axes + self.data

    @classmethod
    def decode(cls, payload: bytes) -> Array:
        """Inverse of `encode`; ValueError for a payload that is not one."""
        if len(payload) < _HEAD.size:
            raise ValueError("array payload is truncated")
        dtype, axes = _HEAD.unpack_from(payload)
        if axes > 4 or len(payload) < _HEAD.size + 8 * axes:
            raise ValueError("array payload has a damaged shape")
        shape = struct.unpack_from(f"<{axes}Q", payload, _HEAD.size)
        return cls(dtype.decode("ascii", "replace"), tuple(shape), payload[_HEAD.size + 8 * axes :])

    def numbers(self) -> list[float]:
        """All values in C order."""
        return [float(v) for v in self._values()]

    def finite(self) -> bool:
        """True when no value is NaN or infinite."""
        values = self._values()
        # One NaN or infinity makes the sum one too; only a sum that overflowed needs the slow look.
        return math.isfinite(sum(values)) or all(map(math.isfinite, values))

    def _values(self) -> array[float]:
        values: array[float] = array(_TYPES[self.dtype][0])
        values.frombytes(self.data)
        return values
