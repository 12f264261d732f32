"""How the values of a device's options are written in its text form, and read."""

from __future__ import annotations

import re
from typing import Any

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.nested import number_text, rows_from_text, text_from_rows, to_array, transposed


def path_or_taps(value: Any) -> Any:
    """A path as it is; an array of shape (taps,), or (taps, inputs) with more than one column."""
    if isinstance(value, str):
        return value or None
    taps = to_array(value, axes=(1, 2))
    return Array("f8", taps.shape[:1], taps.data) if taps is not None and taps.shape[1:] == (1,) else taps


def rows(key: str, text: str) -> Array | None:
    """``1:0.5/0:1`` as the array of option `key`: a row is an input, of gains (``matrix``) or of taps (``taps``)."""
    try:
        array = to_array(rows_from_text(text), axes=(2,))
    except ValueError as error:
        raise ValueError(f"write numbers with ':' between values and '/' between rows ({error})") from None
    return transposed(array) if key == "taps" and array is not None else array


def index_or_name(value: Any) -> Any:
    """A text of digits as an index, an empty one as None, any other as a name; ValueError for a negative index."""
    if isinstance(value, str):
        value = value.strip()
        return int(value) if re.fullmatch(r"[0-9]+", value) else value or None
    if isinstance(value, bool) or (isinstance(value, int) and value < 0):
        raise ValueError(f"{value!r} is no device index; use 0 or more")
    return value


def as_text(name: str, value: object) -> str:
    """The value of option `name` as `asmu_engine.protocol.device.parse_device` reads it."""
    if isinstance(value, tuple):
        return "|".join(as_text(name, v) for v in value)
    if isinstance(value, Array):
        return text_from_rows(transposed(value) if name == "ir" and len(value.shape) == 2 else value)
    if isinstance(value, float):
        return number_text(value)
    return "" if value is None else str(int(value) if isinstance(value, bool) else value)


def escape(text: str, options: tuple[str, ...]) -> str:
    """The text with a backslash before each comma that would start an option."""
    return re.sub(comma(options), r"\\,", text)


def unescape(text: str, options: tuple[str, ...]) -> str:
    """Inverse of `escape`."""
    return re.sub(r"\\" + comma(options), ",", text)


def comma(options: tuple[str, ...]) -> str:
    """Pattern of a comma that would start an option; only known options count where `options` are given."""
    return rf",(?=\s*(?:{'|'.join(options) or '[a-z_]+'})\s*=)"
