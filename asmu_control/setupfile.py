"""Reading and writing of set-up files: JSON, with arrays as ``.npy`` files beside it.

=============== =====================================================================================================
key             value
=============== =====================================================================================================
created         ISO 8601 date and time
samplerate      Hz
blocksize       frames
latency         frames
iinputs         a list of channels: each an object with ``channel``, its number from 1, and its attributes by name
ioutputs        the same for outputs
=============== =====================================================================================================

An array stands in the JSON as the name of its file. What JSON does not know (dates, tuples, complex numbers) stands as
text or list, and the channel's ``_types`` says what it was. Files of others have no ``_types`` and need none: there a date
of a calibration becomes a date, and the name of a ``.npy`` file, or a list for a frequency response, an array.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from asmu_control.setupvalues import TYPES, from_foreign, from_plain, parse_date, read_array, to_plain, write_array
from asmu_engine.protocol.errors import ConfigError, DiskError
from asmu_engine.protocol.version import MAX_CHANNELS

_LARGEST_BYTES: Final = 64 * 1024 * 1024
"""A file that is larger is no set-up."""


@dataclass
class SetupFile:
    """What a set-up file says. Channels are dictionaries with ``channel`` and attributes."""

    created: str
    samplerate: float
    blocksize: int
    latency: int = 0
    iinputs: list[dict[str, Any]] = field(default_factory=list)
    ioutputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def date(self) -> datetime | None:
        """`created` as a date with offset; None where it is none. One without an offset was local time."""
        return parse_date(self.created)


def read_setup(path: Path) -> SetupFile:
    """Read and check a set-up file, and the arrays beside it.

    Raises
    ------
    DiskError
        ``file_unreadable``.
    ConfigError
        ``bad_config``.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise _bad(path, "it is larger than any set-up")
        content = path.read_bytes()
    except OSError as error:
        raise DiskError(f"cannot read set-up {path}: {error.strerror}", code="file_unreadable", where=str(path)) from None
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"it is not JSON, or damaged ({error})") from None
    if not isinstance(data, dict):
        raise _bad(path, "it is JSON, but no set-up")
    missing = [key for key in ("samplerate", "blocksize", "iinputs", "ioutputs") if key not in data]
    if missing:
        raise _bad(path, f"it has no {', '.join(missing)}")
    created = data.get("created", "")
    return SetupFile(
        created=created if isinstance(created, str) else "",
        samplerate=_number(path, data, "samplerate", 1, 1_536_000),
        blocksize=int(_number(path, data, "blocksize", 1, 65_536, whole=True)),
        latency=int(_number(path, {"latency": 0, **data}, "latency", 0, 2**53, whole=True)),
        iinputs=_channels(path, data, "iinputs"),
        ioutputs=_channels(path, data, "ioutputs"),
    )


def write_setup(path: Path, file: SetupFile) -> None:
    """Write a set-up file: arrays first, under names of their own, then the file in one step, then what it replaced goes.

    Raises
    ------
    DiskError
        ``file_unwritable``.
    ConfigError
        ``bad_config``: an attribute that cannot be stored.
    """
    data: dict[str, Any] = {key: getattr(file, key) for key in ("created", "samplerate", "blocksize", "latency")}
    arrays: dict[str, bytes] = {}
    for side, prefix in (("iinputs", "in"), ("ioutputs", "out")):
        data[side] = [_plain_channel(path, prefix, channel, arrays) for channel in getattr(file, side)]
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        for name, content in arrays.items():
            _replace(path.with_name(name), content)
        _replace(path, text.encode())
        mine = re.compile(re.escape(path.name) + r"\.(in|out)_ch\d+\.[^.]+\.[0-9a-f]{8}\.npy")
        for old in path.parent.iterdir():
            if mine.fullmatch(old.name) and old.name not in arrays:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"cannot write set-up {path}: {error.strerror}", code="file_unwritable", where=str(path)) from None


def _plain_channel(path: Path, prefix: str, channel: Mapping[str, Any], arrays: dict[str, bytes]) -> dict[str, Any]:
    where = f"{prefix}_ch{channel['channel']:02d}"
    types: dict[str, str] = {}
    plain: dict[str, Any] = {"channel": channel["channel"]}
    for name, value in channel.items():
        if name == "channel":
            continue
        if hasattr(value, "dtype") and getattr(value, "shape", None):
            content, digest = write_array(value, f"{where}.{name}")
            # Named by its content: the file that stands in its place until this one does keeps its own arrays.
            plain[name] = f"{path.name}.{where}.{name}.{digest}.npy"
            types[name] = "array"
            arrays[plain[name]] = content
            continue
        plain[name], kind = to_plain(value, f"{where}.{name}")
        if kind:
            types[name] = kind
    plain[TYPES] = types
    return plain


def _channels(path: Path, data: Mapping[str, Any], side: str) -> list[dict[str, Any]]:
    entries = data[side]
    if not isinstance(entries, list):
        raise _bad(path, f"{side} is {type(entries).__name__}, not a list of channels")
    channels: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        where = f"{side}[{index}]"
        if not isinstance(entry, dict):
            raise _bad(path, f"{where} is no channel: {entry!r:.60}")
        number = entry.get("channel")
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_CHANNELS:
            raise _bad(path, f"{where} has channel {number!r}; channels are numbers from 1 to {MAX_CHANNELS}")
        if number in [channel["channel"] for channel in channels]:
            raise _bad(path, f"{where}: channel {number} is there twice")
        channels.append(_channel(path, where, entry))
    return channels


def _channel(path: Path, where: str, entry: dict[str, Any]) -> dict[str, Any]:
    types = entry.get(TYPES)
    channel: dict[str, Any] = {}
    for name, value in entry.items():
        if name == TYPES:
            continue
        try:
            if not isinstance(types, dict):
                channel[name] = from_foreign(path, name, value)
            elif types.get(name) == "array":
                channel[name] = read_array(path, value)
            else:
                channel[name] = from_plain(value, types.get(name))
        except (ValueError, TypeError) as error:
            raise _bad(path, f"{where}.{name}: {error}") from None
    return channel


def _number(path: Path, data: Mapping[str, Any], key: str, least: float, most: float, *, whole: bool = False) -> float:
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _bad(path, f"{key} is {value!r:.60}, not a number")
    if not least <= value <= most or (whole and value != int(value)):
        raise _bad(path, f"{key} is {value!r}; it must be {'a whole number ' if whole else ''}from {least} to {most}")
    return value


def _replace(path: Path, content: bytes) -> None:
    """Write a file under another name, see it on the disk, then give it its own."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode & 0o777)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _bad(path: Path, what: str) -> ConfigError:
    return ConfigError(f"{path} cannot be loaded as a set-up: {what}", code="bad_config", where=str(path))
