"""Arrays as people write them: nested lists, numpy arrays, and rows of numbers in a text. Without numpy."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Any

from asmu_engine.protocol.arrays import Array


def to_array(value: Any, axes: tuple[int, ...]) -> Array | None:
    """`value` as an Array of type f8: an Array, nested lists, anything with ``tolist`` (numpy), or None.

    Raises
    ------
    ValueError
        Ragged or with another number of axes than one of `axes`, or NaN or infinite values in it.

    >>> to_array([[1, 0.5]], axes=(2,)).shape
    (1, 2)
    """
    if value is None:
        return None
    if isinstance(value, Array):
        shape, numbers = value.shape, value.numbers()
    else:
        nested = value.tolist() if hasattr(value, "tolist") else value
        shape = _shape(nested)
        numbers = [float(v) for v in _flat(nested, len(shape))]
        if len(numbers) != math.prod(shape):
            raise ValueError("the rows of the array differ in length")
    if len(shape) not in axes:
        raise ValueError(f"an array with {len(shape)} axes; use {' or '.join(map(str, axes))}")
    if not all(map(math.isfinite, numbers)):
        raise ValueError("the array holds NaN or infinite values")
    return Array("f8", shape, array("d", numbers).tobytes())


def transposed(value: Array) -> Array:
    """The array with its two axes swapped."""
    rows, columns = value.shape
    numbers = value.numbers()
    swapped = [numbers[row * columns + column] for column in range(columns) for row in range(rows)]
    return Array("f8", (columns, rows), array("d", swapped).tobytes())


def rows_from_text(text: str) -> list[list[float]]:
    """``:`` between values, ``/`` between rows; ValueError for what is no number.

    >>> rows_from_text("1:0.5/0:1")
    [[1.0, 0.5], [0.0, 1.0]]
    """
    return [[float(value) for value in row.split(":")] for row in text.split("/")]


def text_from_rows(value: Array) -> str:
    """Inverse of `rows_from_text`; an array with one axis is one row.

    >>> text_from_rows(to_array([[1, 0.5], [0, 1]], axes=(2,)))
    '1:0.5/0:1'
    """
    numbers = value.numbers()
    columns = max(1, value.shape[-1])
    return "/".join(":".join(map(number_text, numbers[i : i + columns])) for i in range(0, len(numbers), columns))


def number_text(value: float) -> str:
    """The shortest text that reads back as the same float, whole numbers without a point.

    >>> number_text(48000.0), number_text(0.1)
    ('48000', '0.1')
    """
    return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _shape(nested: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(nested, (list, tuple)):
        shape.append(len(nested))
        if not nested:
            break
        nested = nested[0]
    return tuple(shape)


def _flat(nested: Any, depth: int) -> Iterable[Any]:
    if depth == 0:
        if isinstance(nested, bool) or not isinstance(nested, (int, float)):
            raise ValueError(f"{nested!r} in the array is not a number")
        yield nested
        return
    if not isinstance(nested, (list, tuple)):
        raise ValueError("the rows of the array differ in length")
    for item in nested:
        yield from _flat(item, depth - 1)
