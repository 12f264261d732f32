"""The files of a recording: where each lies at this moment, how many rows it has, and readers for them that stay open a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.account import SegmentEntry
from asmu_engine.recording.ledger import SegmentBegun, SegmentDropped, SegmentEnded, SegmentWhole
from asmu_engine.recording.reading import SegmentReader, open_segment

State = Literal["growing", "ended", "whole", "dropped"]

_OPEN_FILES: Final = 16
_LOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a recording.

    Attributes
    ----------
    index
        From 1, in the order of time.
    file
        Its name, as the ledger has it.
    path
        Where it is; None where it is not (deleted, or dropped to make room).
    first, frames
        Frame position of its first row, and how many rows it is to have; of one that grows: how many it has.
    rows
        Rows that are there to be read.
    state
        ``growing`` (under a temporary name), ``ended`` (being made whole), ``whole`` or ``dropped``.
    bytes, sha256
        Of the whole file, as the ledger has it.
    """

    index: int
    file: str
    path: Path | None
    first: int
    frames: int
    rows: int
    state: State
    bytes: int = 0
    sha256: str = ""

    @property
    def stop(self) -> int:
        """The frame position behind it."""
        return self.first + self.frames


def find_segment(folder: Path, entry: SegmentEntry, former: Segment | None) -> Segment:
    """What has become of the segment of which `entry` is the latest line; what is known of it already is not looked up again."""
    index, file, first = entry.index, entry.file, entry.first
    if isinstance(entry, SegmentDropped):
        return Segment(index, file, None, first, entry.frames, 0, "dropped")
    if former is not None and former.state == "whole" and former.path is not None and _bytes(former.path) == former.bytes:
        return former
    path, rows = _find_rows(folder, entry)
    if isinstance(entry, SegmentBegun):
        return Segment(index, file, path, first, rows, rows, "growing")
    rows = min(entry.frames, rows)
    if isinstance(entry, SegmentEnded):
        return Segment(index, file, path, first, entry.frames, rows, "ended")
    return Segment(index, file, path, first, entry.frames, rows, "whole", entry.bytes, entry.sha256)


class Readers:
    """Readers of segments, of which the latest stay open. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, tuple[SegmentReader, bool]] = OrderedDict()
        self._used: dict[int, int] = {}

    @contextmanager
    def use(self, segment: Segment) -> Iterator[SegmentReader]:
        """The reader of a segment that has a path; FileNotFoundError where it has moved or gone since."""
        assert segment.path is not None
        reader = self._take(segment.path, segment.state != "whole")
        try:
            yield reader
        finally:
            self._give_back(reader)

    def forget(self, kept: Mapping[int, Segment]) -> None:
        """Let go of files that are no segment any more, or were opened when they were not whole yet and are now."""
        keep = {(segment.path, segment.state != "whole") for segment in kept.values()}
        with self._lock:
            gone = [path for path, (_, growing) in self._open.items() if (path, growing) not in keep]
            unused = [self._drop(path) for path in gone]
        _close(unused)

    def close(self) -> None:
        """Let go of all files; one that is being read closes after that."""
        with self._lock:
            unused = [self._drop(path) for path in list(self._open)]
        _close(unused)

    def _take(self, path: Path, growing: bool) -> SegmentReader:
        with self._lock:
            found = self._open.get(path)
            if found is None or found[1] != growing:
                unused = [self._drop(path)] if found is not None else []
                found = (open_segment(path, growing=growing), growing)
                self._open[path] = found
                if len(self._open) > _OPEN_FILES:
                    unused.append(self._drop(next(iter(self._open))))
                _close(unused)
            self._open.move_to_end(path)
            self._used[id(found[0])] = self._used.get(id(found[0]), 0) + 1
            return found[0]

    def _give_back(self, reader: SegmentReader) -> None:
        with self._lock:
            self._used[id(reader)] -= 1
            if self._used[id(reader)]:
                return
            del self._used[id(reader)]
            kept = any(reader is other for other, _ in self._open.values())
        if not kept:
            reader.close()

    def _drop(self, path: Path) -> SegmentReader | None:
        reader, _ = self._open.pop(path)
        return None if id(reader) in self._used else reader


def _close(readers: list[SegmentReader | None]) -> None:
    for reader in readers:
        if reader is not None:
            reader.close()


def _find_rows(folder: Path, entry: SegmentBegun | SegmentEnded | SegmentWhole) -> tuple[Path | None, int]:
    """Where the file of a segment is, and how many rows can be read from it.

    It is given its final name at some moment, so that between two looks at two names it may be under neither.
    """
    for _ in range(_LOOKS):
        for path in _places(folder, entry.file):
            try:
                if isinstance(entry, SegmentWhole):
                    return path, _rows_of_whole(path, entry)
                return path, _rows(path, growing=True)
            except FileNotFoundError:
                continue
    return None, 0


def _places(folder: Path, file: str) -> Iterator[Path]:
    """Where a segment may be: under its name, else as it was recorded, else as it is being encoded; and in this folder, where it
    was in another and somebody moved it here."""
    path = folder / file  # an absolute name stays as it is
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    for place in (path, part.with_name(f"{part.name}.rf64"), part):
        yield place
        if place.parent != folder:
            yield folder / place.name


def _rows(path: Path, *, growing: bool) -> int:
    """Rows that can be read from a file now; none where it is damaged, or too short to have a header yet."""
    try:
        reader = open_segment(path, growing=growing)
    except DiskError:
        return 0
    try:
        return reader.frames
    finally:
        reader.close()


def _rows_of_whole(path: Path, entry: SegmentWhole) -> int:
    """A file of the right size is taken at its word: to open each of thousands takes a while."""
    if entry.bytes and path.stat().st_size == entry.bytes:
        return entry.frames
    return _rows(path, growing=False)


def _bytes(path: Path) -> int:
    """Size of a file; -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
