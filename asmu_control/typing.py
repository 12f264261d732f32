"""Names for the types that the user layer takes and gives."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_engine.protocol.device import AnyDevice

PathLike: TypeAlias = "str | os.PathLike[str]"
"""A path in the file system."""

Device: TypeAlias = "str | int | tuple[int | str | None, int | str | None] | AnyDevice"
"""A device: its text form, PortAudio's index, a pair (input, output) of PortAudio devices, or one of the device classes."""

PerChannel: TypeAlias = "float | Sequence[float] | NDArray[Any]"
"""One number for all channels, or one a channel: shape (channels,)."""

Edit: TypeAlias = dict[str, Any]
"""One edit of a patch in its wire form; `asmu_engine.protocol.edits` shows them all."""

Start: TypeAlias = "int | Literal['newest', 'oldest']"
"""Where a reader of a ring begins: at what comes next, at the oldest frame that is still there, or at a frame position."""

Stats: TypeAlias = dict[str, Any]
"""The state and counters of an engine, by name."""

Duration: TypeAlias = "float | str"
"""A time: seconds, or a text such as ``"90s"``, ``"1h30m"``, ``"3d"``."""

Size: TypeAlias = "int | str"
"""A size: bytes, or a text such as ``"500MB"``, ``"2GiB"``."""

Rollover: TypeAlias = "float | str | None"
"""When a recording begins a new segment: by time (``"1h"``, 3600), by size (``"2GB"``), by both (``"1h,2GB"``), or never."""


class AcquisitionOptions(TypedDict, total=False):
    """What else may be said of a recording into a folder; see `asmu_control.analyzer.Acquisition`."""

    tags: Mapping[str, str]
    on_full: Literal["stop", "drop_oldest", "second_folder"]
    second_folder: PathLike
    sync_seconds: Duration
    fill_seconds: Duration
    minimum_free: Size
    warn_seconds: Duration
    clock_seconds: Duration
    resume: bool
