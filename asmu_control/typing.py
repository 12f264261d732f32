"""Names for the types that the user layer takes and gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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
