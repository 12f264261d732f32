"""Filter coefficients and impulse responses on their way into a message."""

from __future__ import annotations

from typing import Any, Final, Literal

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES

_ROOM: Final = 4096  # bytes of a message beside the array


def pack(values: Any, dtype: Literal["f4", "f8"], where: str, hint: str = "") -> Array:
    """Real, finite numbers as an `Array`; `hint` says what to do where there are too many.

    >>> pack([1, 2], "f4", "fir").shape
    (2,)

    Raises
    ------
    PatchError
        ``bad_value``: no numbers, complex, NaN or infinite ones, or more than a message may hold.
    """
    import numpy as np

    try:
        given = np.asarray(values)
        if given.dtype.kind not in "iuf":
            raise ValueError(f"values of type {given.dtype}")
        with np.errstate(over="ignore"):
            array = np.asarray(given, dtype="<" + dtype, order="C")
    except ValueError as error:
        raise bad_value(where, f"not an array of real numbers: {error}") from None
    # Not before the conversion: what is too large for float32 is infinite after it.
    if not np.isfinite(array).all():
        raise bad_value(where, f"the array holds NaN or infinite values, or values too large for {dtype}")
    if array.nbytes > MAX_MESSAGE_BYTES - _ROOM:
        raise bad_value(where, f"the array has {array.nbytes} bytes; a message holds {MAX_MESSAGE_BYTES - _ROOM}{hint}")
    return Array(dtype, array.shape, array.tobytes())


def pack_response(values: Any, where: str, hint: str = "") -> Array:
    """An impulse response, shape (taps,) for all channels or (taps, channels), as float32."""
    array = pack(values, "f4", where, hint)
    if len(array.shape) not in (1, 2) or 0 in array.shape:
        raise bad_value(where, f"an impulse response of shape {array.shape}; use (taps,) for all channels, or (taps, channels)")
    return array


def columns_of(response: Array) -> int:
    """Channels that a response was made for; 0 where it serves any number."""
    return response.shape[1] if len(response.shape) == 2 and response.shape[1] > 1 else 0


def check_columns(columns: int, channels: int, where: str) -> None:
    """PatchError unless a response of so many columns (0: one for all) suits so many channels."""
    if columns and columns != channels:
        raise bad_value(where, f"a response with {columns} columns for {channels} channels; give one column, or one a channel")


def bad_value(where: str, what: str) -> PatchError:
    """The error for a value that cannot be."""
    return PatchError(f"{where}: {what}", code="bad_value", where=where)
