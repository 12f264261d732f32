"""Reading a ledger that may be damaged: every line that can be read, and which cannot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.account import Account, SegmentEntry
from asmu_engine.recording.ledger import (
    Begun,
    Event,
    SegmentBegun,
    SegmentDropped,
    SegmentEnded,
    SegmentWhole,
    parse_entry,
)
from asmu_engine.recording.manifest import Manifest, Segment, SegmentState
from asmu_engine.recording.names import LEDGER, MANIFEST
from asmu_engine.recording.verdict import Problem

STATES: Final[dict[type[SegmentEntry], SegmentState]] = {
    SegmentBegun: "growing",
    SegmentEnded: "ended",
    SegmentWhole: "whole",
    SegmentDropped: "dropped",
}
"""What the manifest calls a segment whose last line is of this kind."""

_ORDER: Final = list(STATES)
LOST_LINES: Final = frozenset({"ledger_repaired", "ledger_rebuilt"})
"""Events by which a repair says that the ledger is not what it was."""


@dataclass(slots=True)
class LedgerRead(Account):
    """What could be read of a ledger, and what could not.

    Attributes
    ----------
    there
        False where there is no file.
    damaged
        Number (from 1), content and fault of each line that is none.
    half
        What stands behind the last whole line: the line that its writer died over.
    """

    there: bool = True
    damaged: list[tuple[int, bytes, str]] = field(default_factory=list)
    half: bytes = b""

    @property
    def lost_lines(self) -> bool:
        """True where a repair had to go on without lines that were damaged, or without the whole ledger."""
        return any(isinstance(entry, Event) and entry.what in LOST_LINES for entry in self.entries)

    @property
    def writer(self) -> int:
        """The process that wrote last; 0 where none is named."""
        return next((entry.pid for entry in reversed(self.entries) if isinstance(entry, Begun)), 0)

    @property
    def first(self) -> int | None:
        """The first frame position that it knows of."""
        positions = [e.first for e in self.entries if isinstance(e, SegmentEntry)] + [gap.position for gap in self.gaps]
        positions += [e.position for e in self.entries if isinstance(e, Begun) and e.position is not None]
        return min(positions, default=None)


def read_all(folder: Path) -> LedgerRead:
    """Whatever can be read of a folder's ledger.

    Raises
    ------
    DiskError
        ``file_unreadable``: the system does not let it be read.
    """
    path = folder / LEDGER
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return LedgerRead(there=False)
    except OSError as error:
        raise DiskError(f"cannot read {path}: {error.strerror}", code="file_unreadable", where=str(path)) from error
    *lines, half = content.split(b"\n")
    found = LedgerRead(half=half)
    for number, line in enumerate(lines, 1):
        try:
            found.add(parse_entry(json.loads(line)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = ".".join(str(part) for part in first["loc"])
            found.damaged.append((number, line, f"{what}: {first['msg']}" if what else str(first["msg"])))
        except ValueError as error:
            found.damaged.append((number, line, str(error)))
    return found


def known_segments(read: LedgerRead, manifest: Manifest | None) -> dict[int, SegmentEntry]:
    """By index what is known of each segment: by the ledger, and where that has lost lines by the manifest too."""
    found = dict(read.segments)
    for segment in manifest.segments if manifest is not None else ():
        entry = segment_entry(segment)
        former = found.get(segment.index)
        if former is None or _ORDER.index(type(entry)) > _ORDER.index(type(former)):
            found[segment.index] = entry
    return dict(sorted(found.items()))


def segment_entry(segment: Segment) -> SegmentEntry:
    """The line of a ledger that says what a manifest says of a segment."""
    facts: dict[str, Any] = {"index": segment.index, "file": segment.file, "first": segment.first}
    match segment.state:
        case "growing":
            return SegmentBegun(**facts)
        case "ended":
            return SegmentEnded(**facts, frames=segment.frames)
        case "whole":
            return SegmentWhole(**facts, frames=segment.frames, bytes=segment.bytes, sha256=segment.sha256)
        case _:
            return SegmentDropped(**facts, frames=segment.frames, reason="as the manifest says")


def check_ledger(folder: Path, read: LedgerRead) -> Iterable[Problem]:
    """What is wrong with the ledger itself."""
    path = folder / LEDGER
    if not read.there:
        yield Problem(
            "damaged",
            "ledger_missing",
            f"{path} is missing: which frames were lost, and why, is not known; `asmu repair` rebuilds what the files tell",
            file=LEDGER,
        )
        return
    for number, line, why in read.damaged:
        yield Problem(
            "damaged",
            "ledger_damaged",
            f"line {number} of {path} is damaged ({why}): {line[:60]!r}; `asmu repair` goes on without it",
            file=LEDGER,
        )
    if read.lost_lines:
        yield Problem(
            "note",
            "ledger_mended",
            f"{path} was mended after lines of it were lost: zeros in the segments may stand for frames that were lost",
            file=LEDGER,
        )
    if read.half:
        yield Problem(
            "unfinished",
            "ledger_half_line",
            f"the last line of {path} is cut off after {len(read.half)} bytes: its writer died over it",
            file=LEDGER,
        )


def check_manifest(folder: Path, manifest: Manifest, read: LedgerRead, *, over: bool) -> Iterable[Problem]:
    """What the manifest says otherwise than the ledger; before a recording is `over` it may lag behind."""
    if not read.there:
        return
    listed = {segment.index: segment for segment in manifest.segments}
    for index, entry in read.segments.items():
        segment = listed.pop(index, None)
        if segment is None:
            if over:
                yield _differs(folder, entry, f"does not name segment {index}, {entry.file}")
            continue
        said = (segment.file, segment.first, segment.state)
        if over and said != (entry.file, entry.first, STATES[type(entry)]):
            yield _differs(folder, entry, f"has segment {index} as {segment.state} {segment.file} from frame {segment.first} on")
        elif over and not isinstance(entry, SegmentBegun) and segment.frames != entry.frames:
            yield _differs(folder, entry, f"gives segment {index} {segment.frames} frames, the ledger {entry.frames}")
        elif (
            isinstance(entry, SegmentWhole)
            and segment.state == "whole"
            and (segment.bytes, segment.sha256) != (entry.bytes, entry.sha256)
        ):
            yield _differs(folder, entry, f"has another size or checksum of segment {index}")
    for index, segment in listed.items():
        yield Problem(
            "damaged" if over else "unfinished",
            "segment_unknown",
            f"{folder / MANIFEST} names segment {index}, {segment.file}, of which the ledger says nothing: it lacks lines",
            file=segment.file,
            segment=index,
            position=segment.first,
            frames=segment.frames,
        )
    ended = read.ended
    if over and ended is not None and ended.position is not None and manifest.position != ended.position:
        yield Problem(
            "damaged",
            "manifest_differs",
            f"{folder / MANIFEST} says that the recording ends before frame {manifest.position}, the ledger {ended.position}",
            file=MANIFEST,
        )


def _differs(folder: Path, entry: SegmentEntry, what: str) -> Problem:
    return Problem(
        "damaged",
        "manifest_differs",
        f"{folder / MANIFEST} {what}; the ledger says otherwise: `asmu repair` rebuilds it",
        file=MANIFEST,
        segment=entry.index,
    )
