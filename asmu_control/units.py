"""Durations, sizes and channels as people write them: ``"90s"``, ``"1h30m"``, ``"500MB"``, ``"2GiB"``, ``"1-8,12"``.

>>> duration("1h30m"), size("2GiB"), channel_numbers("1-4,7")
(5400.0, 2147483648, (1, 2, 3, 4, 7))
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final, SupportsFloat, SupportsIndex

from asmu_control.io import check_channel
from asmu_engine.protocol.errors import ConfigError

_SECONDS: Final = {
    "ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0,
}  # fmt: skip
_NUMBER: Final = r"\d+(?:\.\d+)?"
_DURATION: Final = re.compile(rf"(?:{_NUMBER}\s*[a-z]+\s*)+")
_DURATION_PART: Final = re.compile(rf"({_NUMBER})\s*([a-z]+)")
_SIZE: Final = re.compile(rf"({_NUMBER})\s*([kmgt]?)(i?)b")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")
_NONE: Final = ("", "none", "never")


def duration(value: object, where: str = "duration", *, zero: bool = False) -> float:
    """A time in seconds, greater than 0 (or `zero`): a number of seconds, or a text with units ms, s, m or min, h, d, w.

    Raises
    ------
    ConfigError
        ``bad_config``: it is none; `where` names what it was for.
    """
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        text = value.strip().lower()
        parts = _DURATION_PART.findall(text) if _DURATION.fullmatch(text) else []
        if parts and all(unit in _SECONDS for _, unit in parts):
            seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds is None or not 0 <= seconds < math.inf or (seconds == 0 and not zero):
        raise _bad(value, where, "a time", "90, '90s', '15min', '1h30m', '3d'")
    return seconds


def size(value: object, where: str = "size") -> int:
    """A size in bytes, 0 or more: a whole number of bytes, or a text with units B, kB, MB, GB, TB, or KiB, MiB, GiB, TiB."""
    count = _number(value)
    if count is None and isinstance(value, str) and (found := _SIZE.fullmatch(value.strip().lower())):
        number, prefix, binary = found.groups()
        if prefix or not binary:
            count = float(number) * (1024 if binary else 1000) ** _POWERS[prefix]
    if count is None or not 0 <= count < math.inf:
        raise _bad(value, where, "a size", "4096, '500MB', '2GiB'")
    return round(count)


def rollover(value: object, where: str = "rollover") -> dict[str, float | int]:
    """When a new segment begins, as `AcquisitionSettings` has it: by time, by size, by both (``"1h,2GB"``), or never (None).

    >>> rollover("1h,2GB")
    {'rollover_seconds': 3600.0, 'rollover_bytes': 2000000000}
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in _NONE):
        return {}
    settings: dict[str, float | int] = {}
    for part in value.split(",") if isinstance(value, str) else (value,):
        by_size = isinstance(part, str) and _SIZE.fullmatch(part.strip().lower()) is not None
        name, number = ("rollover_bytes", size(part, where)) if by_size else ("rollover_seconds", _time(part, value, where))
        if name in settings:
            raise _bad(value, where, "one time, one size, or both", "'1h', '2GB', '1h,2GB'")
        settings[name] = number
    return settings


def channel_numbers(value: object, where: str = "channels") -> tuple[int, ...]:
    """Channels of a device, from 1, in the order given: one number, several, or a text such as ``"1-8,12"``.

    Raises
    ------
    ConfigError
        ``bad_config``: a text that is none, no channel at all, or one twice.
    ValueError
        A number that no channel can have.
    """
    numbers: list[Any] = []
    if isinstance(value, str):
        for part in value.split(","):
            found = _RANGE.fullmatch(part.strip())
            if found is None:
                raise _bad(value, where, "channels", "'1', '1-8', '1,3,5-8'")
            first, last = int(found[1]), int(found[2] or found[1])
            check_channel(first, where)
            check_channel(last, where)
            numbers += range(first, last + 1) if first <= last else range(first, last - 1, -1)
    else:
        numbers.extend(value if isinstance(value, Iterable) else (value,))
    channels = tuple(check_channel(number, where) for number in numbers)
    if not channels or len(set(channels)) < len(channels):
        raise _bad(value, where, "channels, each of them once", "'1-8', [1, 2]")
    return channels


def duration_text(seconds: float) -> str:
    """A time for people: the two largest units of it that matter.

    >>> duration_text(0.25), duration_text(75), duration_text(5400), duration_text(273_600)
    ('0.2 s', '1 min 15 s', '1 h 30 min', '3 d 4 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, below, length in (("d", "h", 86_400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= length:
            small = whole % length // {"h": 3600, "min": 60, "s": 1}[below]
            return f"{whole // length} {unit} {small} {below}" if small else f"{whole // length} {unit}"
    return f"{whole} s"


def size_text(count: float) -> str:
    """A size for people, with three digits at least.

    >>> size_text(999), size_text(1_536_000), size_text(412_300_000_000)
    ('999 B', '1.54 MB', '412 GB')
    """
    power = 0
    while count >= 999.5 and power < len(_POWERS) - 1:
        count /= 1000
        power += 1
    if not power:
        return f"{count:.0f} B"
    digits = 2 if count < 9.995 else 1 if count < 99.95 else 0
    return f"{count:.{digits}f} {'kMGT'[power - 1]}B"


def _time(part: object, value: object, where: str) -> float:
    try:
        return duration(part, where)
    except ConfigError:
        raise _bad(value, where, "a time or a size", "'1h', 3600, '2GB', '1h,2GB', 'none'") from None


def _number(value: object) -> float | None:
    """A number, or a text that is one; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, SupportsFloat | SupportsIndex):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):  # as of an array of several
            return None
    if isinstance(value, str) and re.fullmatch(_NUMBER, value.strip()):
        return float(value)
    return None


def _bad(value: object, where: str, what: str, examples: str) -> ConfigError:
    return ConfigError(f"{where} {value!r}: give {what}, such as {examples}", code="bad_config", where=where)
