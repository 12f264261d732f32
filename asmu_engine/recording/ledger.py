"""The ledger of a recording, one JSON object a line, only ever appended to: what was lost, why, how sure that is, what happened.

Together with the segments it accounts for every frame position from where the recording begins to where it ends. Each
frame of that stretch is exactly one of these:

- delivered: a row of a segment that no gap covers;
- lost: covered by a `Gap`. With ``filled`` its zeros are rows of a segment, else it lies between two segments;
- dropped: it was in a segment that made room for newer ones (`SegmentDropped`).

Where two lines tell of one segment the later one holds. A line without its end (its writer died over it) counts as not
written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.errors import DiskError

Position = Annotated[int, Field(ge=0)]
Frames = Annotated[int, Field(ge=0)]
Cause = Literal[
    "device",       # the device lost them, as it says itself or its clock shows
    "stopped",      # the device was stopped and started again by request
    "device_lost",  # the device was gone
    "restart",      # the engine's audio process died and was replaced
    "host",         # the engine itself was not running
    "overrun",      # overwritten in the ring before the disk process read them
    "disk",         # the disk did not take them
    "absent",       # the tap was not there yet
    "crash",        # written, but not on the disk when the machine or its processes died; found by repair
    "unknown",
]  # fmt: skip
"""Why frames are missing."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    noted_ns: int = 0
    """When the line was written, ns since 1970-01-01 UTC."""


class Begun(_Entry):
    """A process begins to write, or goes on; `why`: ``new``, ``disk`` (the process before died), ``host`` (``--resume``)."""

    entry: Literal["begun"] = "begun"
    position: Position | None
    why: str
    pid: int
    boot: str = ""
    """Which run of the machine it is; monotonic times of different runs do not compare."""


class Gap(_Entry):
    """Frames `position` to ``position + frames`` are missing; there are `uncertainty` more or fewer of them (standard
    uncertainty, frames), where nobody counted them."""

    entry: Literal["gap"] = "gap"
    position: Position
    frames: Frames
    cause: Cause
    uncertainty: Frames = 0
    filled: bool


class Xrun(_Entry):
    """The device said that something went wrong right before `position`: `frames` are known to be lost there (a `Gap` of
    cause ``device`` says the same), and up to `uncertainty` may be beside that."""

    entry: Literal["xrun"] = "xrun"
    position: Position
    flags: tuple[str, ...]
    frames: Frames
    uncertainty: Frames = 0


class SegmentBegun(_Entry):
    """A segment grows, under its temporary name; its first row is frame `first`."""

    entry: Literal["segment_begun"] = "segment_begun"
    index: Annotated[int, Field(ge=1)]
    file: str
    first: Position


class SegmentEnded(_Entry):
    """Nothing more will be written to it; it is made whole now."""

    entry: Literal["segment_ended"] = "segment_ended"
    index: Annotated[int, Field(ge=1)]
    file: str
    first: Position
    frames: Frames


class SegmentWhole(_Entry):
    """It stands under its final name."""

    entry: Literal["segment_whole"] = "segment_whole"
    index: Annotated[int, Field(ge=1)]
    file: str
    first: Position
    frames: Frames
    bytes: int
    sha256: str


class SegmentDropped(_Entry):
    """It was deleted: `reason`."""

    entry: Literal["segment_dropped"] = "segment_dropped"
    index: Annotated[int, Field(ge=1)]
    file: str
    first: Position
    frames: Frames
    reason: str


class Clock(_Entry):
    """How frame positions lie on the clocks from here on; `step_ns` where UTC was set meanwhile, else 0."""

    entry: Literal["clock"] = "clock"
    fit: ClockFit
    step_ns: int = 0


class Event(_Entry):
    """Something that explains the rest, such as ``audio_restarted``, ``clock_step``, ``disk_warning``, ``second_folder``."""

    entry: Literal["event"] = "event"
    what: str
    position: Position | None = None
    text: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class Ended(_Entry):
    """The recording ends before frame `position`."""

    entry: Literal["ended"] = "ended"
    position: Position | None
    reason: str


Entry = Begun | Gap | Xrun | SegmentBegun | SegmentEnded | SegmentWhole | SegmentDropped | Clock | Event | Ended

_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="entry")])


def entry_line(entry: Entry) -> bytes:
    """The line of an entry, with its end."""
    return entry.model_dump_json().encode() + b"\n"


def parse_entry(data: object) -> Entry:
    """An entry from plain data; pydantic's ValidationError where it is none."""
    return _ADAPTER.validate_python(data)


def read_ledger(path: Path) -> Iterator[Entry]:
    """The entries of a ledger in their order.

    Raises
    ------
    DiskError
        ``file_unreadable``: it cannot be read, or a line that is not the last is damaged; the message names the line.
    """
    try:
        with path.open("rb") as file:
            yield from parse_lines(file, path)
    except OSError as error:
        raise DiskError(f"cannot read {path}: {error.strerror}", code="file_unreadable", where=str(path)) from error


def parse_lines(lines: Iterable[bytes], path: Path) -> Iterator[Entry]:
    """The entries of lines with their ends, of the ledger at `path`; raises as `read_ledger`."""
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return
        try:
            yield _ADAPTER.validate_python(json.loads(line))
        except (ValueError, ValidationError) as error:
            raise DiskError(
                f"line {number} of {path} is damaged: {str(error).splitlines()[0]}", code="file_unreadable", where=str(path)
            ) from None
