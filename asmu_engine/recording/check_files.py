"""The file of each segment: is it there, is it what the ledger says, and are the lost frames zeros in it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.account import SegmentEntry
from asmu_engine.recording.check_ledger import STATES
from asmu_engine.recording.checksums import file_sha256
from asmu_engine.recording.ledger import Gap, SegmentBegun, SegmentDropped, SegmentEnded, SegmentWhole
from asmu_engine.recording.names import grown_names
from asmu_engine.recording.reading import SegmentReader, SoundReader, open_segment
from asmu_engine.recording.shape import file_shape
from asmu_engine.recording.verdict import Problem, SegmentFacts, Severity

_BLOCK_SAMPLES: Final = 1 << 20
_NAMES: Final = 3
"""So many names the file of a segment has at most, one after another."""

_EXACT: Final = ("PCM_", "FLOAT", "DOUBLE", "ALAC_", "ULAW", "DPCM_")
"""Sample formats in which silence stays silence."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What every segment is to be: samplerate in Hz, and channels; 0 where nobody knows."""

    samplerate: float
    channels: int


@dataclass(slots=True)
class FileCheck:
    """What was found of one segment: the file (None where it is gone; `renamed` if another has its content), whether it is
    `unreadable`, its whole rows, and what is wrong."""

    entry: SegmentEntry
    path: Path | None = None
    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    bytes: int = 0
    renamed: Path | None = None
    unreadable: bool = False

    @property
    def frames(self) -> int:
        """Rows that it is to have; of a growing one, those that it has."""
        return self.rows if isinstance(self.entry, SegmentBegun) else self.entry.frames

    @property
    def facts(self) -> SegmentFacts:
        """For the verdict."""
        entry = self.entry
        return SegmentFacts(entry.index, entry.file, entry.first, self.frames, self.rows, STATES[type(entry)], self.bytes)

    def add(self, severity: Severity, code: str, text: str, *, position: int | None = None, frames: int | None = None) -> None:
        """One thing that is wrong, about all frames of the segment if none are given."""
        entry = self.entry
        if position is None:
            position, frames = entry.first, self.frames
        self.problems.append(Problem(severity, code, text, entry.file, entry.index, position, frames))


def places(folder: Path, file: str) -> Iterator[Path]:
    """Where the file of a segment may be: under its name, as it was recorded, as it is being encoded; and each in this folder,
    where it was in another and somebody moved it here."""
    path = folder / file
    for name in (path.name, *grown_names(path.name)):
        yield path.with_name(name)
        if path.parent != folder:
            yield folder / name


def check_segment(folder: Path, entry: SegmentEntry, expected: Expected, *, written: bool) -> FileCheck:
    """Look at the file of a segment; only its header is read.

    While the folder is `written` a file that is not whole is right, and one that got another name meanwhile is looked for again.
    """
    check = _look(folder, entry, expected, written=written)
    for _ in range(_NAMES if written and isinstance(entry, SegmentBegun | SegmentEnded) else 0):
        if check.path is not None and check.path.exists() and check.rows >= check.frames and not check.unreadable:
            break
        check = _look(folder, entry, expected, written=written)
    return check


def _look(folder: Path, entry: SegmentEntry, expected: Expected, *, written: bool) -> FileCheck:
    check = FileCheck(entry)
    final, *others = places(folder, entry.file)
    if isinstance(entry, SegmentDropped):
        if entry.frames and final.exists():
            check.add(
                "note", "dropped_exists", f"{final} is still there, though the ledger says that it was deleted: {entry.reason}"
            )
        return check
    check.path = next((path for path in (final, *others) if path.exists()), None)
    if isinstance(entry, SegmentWhole):
        _check_whole(check, folder, entry, expected)
    else:
        _check_unfinished(check, folder, expected, written=written)
    return check


def check_checksum(check: FileCheck, listed: dict[str, str], on_bytes: Callable[[int], object] | None) -> bool:
    """Compare a whole segment's SHA-256 with the ledger's, and that with the list's; False where its file cannot be read."""
    entry, path = check.entry, check.path
    if not isinstance(entry, SegmentWhole) or path is None:
        return True
    try:
        digest = file_sha256(path, on_bytes)
    except OSError as error:
        check.add("damaged", "file_unreadable", f"{path} cannot be read: {error.strerror}")
        return False
    if digest != entry.sha256:
        check.add(
            "damaged",
            "checksum",
            f"{path} was changed since it was written: its SHA-256 is {digest[:16]}…, the ledger's {entry.sha256[:16]}…; "
            f"any of {_frames(entry.first, entry.frames)} may be wrong: take it from a copy",
        )
    elif path.name in listed and listed[path.name] != digest:
        check.add(
            "damaged",
            "checksum_list",
            f"{path} is right, but its line in the list of checksums is not; `asmu repair` makes a new list",
        )
    return True


def check_zeros(check: FileCheck, gaps: Iterable[Gap]) -> None:
    """The filled gaps of a segment are zeros in its file, else something else was taken for lost, or lost for recorded."""
    entry, path = check.entry, check.path
    if path is None or not check.rows or not gaps:
        return
    try:
        reader = open_segment(path, growing=not isinstance(entry, SegmentWhole))
    except (DiskError, OSError):
        return  # said already
    try:
        if isinstance(reader, SoundReader) and not soundfile.info(path).subtype.startswith(_EXACT):
            return
        for gap in gaps:
            begin, end = max(gap.position, entry.first), min(gap.position + gap.frames, entry.first + check.rows)
            wrong = _not_zero(reader, begin - entry.first, end - entry.first)
            if wrong is not None:
                check.add(
                    "damaged",
                    "gap_not_zero",
                    f"{path} is not zero in frame {entry.first + wrong}, though the ledger says that "
                    f"{_frames(gap.position, gap.frames)} were lost ({gap.cause})",
                    position=begin,
                    frames=end - begin,
                )
    except DiskError as error:
        check.add("damaged", "file_unreadable", error.message)
    finally:
        reader.close()


def _check_whole(check: FileCheck, folder: Path, entry: SegmentWhole, expected: Expected) -> None:
    path = check.path
    if path is None or path.name != Path(entry.file).name:
        _missing(check, folder, entry)
        return
    try:
        check.bytes = path.stat().st_size
        frames, channels, samplerate = file_shape(path, growing=False)
    except (DiskError, OSError) as error:
        check.add("damaged", "file_unreadable", f"{_text(path, error)}; {_frames(entry.first, entry.frames)} are in it")
        return
    check.rows = min(frames, entry.frames)
    if frames != entry.frames:
        lacking = entry.frames - frames
        what = (
            f"{_frames(entry.first + frames, lacking)} are gone"
            if lacking > 0
            else f"it has {-lacking} frames that the ledger does not know of"
        )
        check.add(
            "damaged",
            "frames",
            f"{path} has {frames} frames, the ledger says {entry.frames}: {what}",
            position=entry.first + check.rows,
            frames=max(0, lacking),
        )
    elif entry.bytes and check.bytes != entry.bytes:
        code, what = ("truncated", "cut short") if check.bytes < entry.bytes else ("size", "changed")
        check.add("damaged", code, f"{path} has {check.bytes} bytes, the ledger says {entry.bytes}: it was {what}")
    if (expected.channels, expected.samplerate) not in ((channels, samplerate), (0, 0.0)):
        check.add(
            "damaged",
            "header",
            f"{path} has {channels} channels at {samplerate:g} Hz, the manifest says {expected.channels} at "
            f"{expected.samplerate:g} Hz",
        )


def _check_unfinished(check: FileCheck, folder: Path, expected: Expected, *, written: bool) -> None:
    entry, path = check.entry, check.path
    severity: Severity = "note" if written else "unfinished"
    if path is None:
        lost = entry.frames if isinstance(entry, SegmentEnded) else 0
        if not written or lost:
            text = f"segment {entry.index}, {folder / entry.file}, was not finished, and nothing of it is there"
            check.add(severity, "file_missing", text + (f": {_frames(entry.first, lost)} are gone" if lost else ""))
        return
    try:
        check.bytes = path.stat().st_size
        check.rows, channels, samplerate = file_shape(path, growing=path.name != Path(entry.file).name)
    except (DiskError, OSError) as error:
        check.unreadable = True
        if check.bytes and not written:
            check.add(
                "unfinished",
                "file_unreadable",
                f"segment {entry.index} was not finished, and {_text(path, error)}; `asmu repair --write-off` gives it up",
            )
        return
    if isinstance(entry, SegmentEnded) and check.rows < entry.frames:
        gone = entry.frames - check.rows
        check.add(
            severity,
            "frames",
            f"{path} has {check.rows} frames, the ledger says {entry.frames}: {_frames(entry.first + check.rows, gone)} "
            "had not come to the disk",
            position=entry.first + check.rows,
            frames=gone,
        )
    elif isinstance(entry, SegmentEnded):
        check.rows = entry.frames  # behind them stand texts
    if (expected.channels, expected.samplerate) not in ((channels, samplerate), (0, 0.0)):
        check.add("damaged", "header", f"{path} has {channels} channels at {samplerate:g} Hz, not what the manifest says")
    if not written:
        check.add(
            "unfinished",
            "segment_unfinished",
            f"segment {entry.index} was not finished: {check.rows} frames are in {path}; `asmu repair` makes it whole",
        )


def _missing(check: FileCheck, folder: Path, entry: SegmentWhole) -> None:
    path = folder / entry.file
    found, check.path = check.path, None
    gone = f"{_frames(entry.first, entry.frames)} were in it"
    if found is not None:
        check.add("damaged", "file_missing", f"{path} is not there, only {found}: {gone}; its name was changed")
    elif not path.parent.is_dir():
        check.add(
            "damaged", "folder_missing", f"{path} is not there, for the folder {path.parent} is not: attach its disk; {gone}"
        )
    else:
        check.add("damaged", "file_missing", f"{path} is missing: {gone}")


def _not_zero(reader: SegmentReader, begin: int, end: int) -> int | None:
    """The first row from `begin` to `end` that is not zero."""
    rows = max(1, _BLOCK_SAMPLES // reader.channels)
    for start in range(begin, end, rows):
        block = np.empty((min(rows, end - start), reader.channels), np.float32)
        reader.read_into(block, start)
        if block.any():
            return start + int(np.flatnonzero(block.any(axis=1))[0])
    return None


def _frames(first: int, frames: int) -> str:
    return f"frames {first} to {first + frames}"


def _text(path: Path, error: Exception) -> str:
    return (
        error.message if isinstance(error, DiskError) else f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
    )
