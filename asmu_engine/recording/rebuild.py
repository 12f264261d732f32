"""What is left of a ledger and a manifest, made whole again."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.account import SegmentEntry
from asmu_engine.recording.check_clocks import iso_utc
from asmu_engine.recording.check_files import places
from asmu_engine.recording.check_folder import LEDGER_BEFORE
from asmu_engine.recording.check_ledger import STATES, LedgerRead
from asmu_engine.recording.manifest import Manifest, Segment, Source
from asmu_engine.recording.names import LEDGER, MANIFEST, SUFFIXES
from asmu_engine.recording.shape import file_shape
from asmu_engine.recording.software import software
from asmu_engine.recording.soundheader import read_layout


class LedgerEnd:
    """Appends to the ledger of a folder; OSError from the system."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER

    def note(self, *entries: ledger.Entry) -> None:
        """Append lines, with the time."""
        with self._path.open("ab") as file:
            for entry in entries:
                file.write(ledger.entry_line(entry.model_copy(update={"noted_ns": time.time_ns()})))

    def sync(self) -> None:
        """Wait until they are on the disk."""
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())


def whole_ledger(folder: Path, read: LedgerRead) -> Iterator[str]:
    """Make every line of a ledger one that can be read, or make an empty ledger; yields what is done, in words.

    A damaged ledger is kept beside it.
    """
    path = folder / LEDGER
    if not read.there:
        path.touch()
        yield f"made a new {LEDGER}, for there was none"
        return
    if read.damaged:
        if not (folder / LEDGER_BEFORE).exists():
            shutil.copy2(path, folder / LEDGER_BEFORE)
        damaged = {number for number, _, _ in read.damaged}
        lines = path.read_bytes().split(b"\n")[:-1]
        kept = b"".join(line + b"\n" for number, line in enumerate(lines, 1) if number not in damaged)
        # In place, so that the lock on it holds; the copy beside it is what a death here would leave.
        with path.open("r+b") as file:
            file.write(kept)
            file.truncate()
            os.fsync(file.fileno())
        yield f"took {len(damaged)} damaged lines out of {LEDGER}; it is kept as {LEDGER_BEFORE}"
    elif read.half:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - len(read.half))
        yield f"cut off the half line at the end of {LEDGER}"


_FORMATS: Final = {suffix: name for name, suffix in reversed(SUFFIXES.items())}


def rebuilt_manifest(folder: Path, read: LedgerRead, segments: Mapping[int, SegmentEntry]) -> Manifest:
    """A manifest of what ledger and files tell; that which was about to replace the lost one, if there is one.

    Raises
    ------
    DiskError
        ``file_unreadable``: there is not one file that tells channels and samplerate.
    """
    if (found := _written_aside(folder)) is not None:
        return found
    for entry in segments.values():
        for path in places(folder, entry.file):
            try:
                _, channels, samplerate = file_shape(path, growing=True)
            except (DiskError, OSError):
                continue
            begun = next((e.noted_ns for e in read.entries if isinstance(e, ledger.Begun)), 0)
            name = _FORMATS.get(Path(entry.file).suffix.lower(), Path(entry.file).suffix[1:].upper())
            return Manifest(
                id=uuid.uuid4().hex,
                created=iso_utc(begun),
                state="recording",
                samplerate=samplerate,
                channels=[ChannelFacts() for _ in range(channels)],
                source=Source(),
                software=software(),
                settings=AcquisitionSettings(format=name, subtype=_subtype(path)),
            )
    raise DiskError(
        f"{folder} cannot be repaired: {MANIFEST} is missing or damaged, and no segment tells channels and samplerate",
        code="file_unreadable",
        where=str(folder),
    )


def _written_aside(folder: Path) -> Manifest | None:
    aside = folder / f".{MANIFEST}.new"
    try:
        return Manifest.model_validate_json(aside.read_bytes())
    except (OSError, ValueError):
        return None


def _subtype(path: Path) -> str:
    """libsndfile's name of what an uncompressed file holds; empty for the finest of others."""
    layout = read_layout(path)
    if layout is None or path.suffix == ".rf64":
        return ""
    if layout.encoding == "float":
        return "FLOAT" if layout.width == 4 else "DOUBLE"
    return "PCM_U8" if layout.encoding == "uint" else f"PCM_{'S8' if layout.width == 1 else 8 * layout.width}"


def manifest_segment(entry: SegmentEntry) -> Segment:
    """What a manifest says of a segment whose last line in the ledger is this."""
    frames = 0 if isinstance(entry, ledger.SegmentBegun) else entry.frames
    segment = Segment(index=entry.index, file=entry.file, first=entry.first, frames=frames, state=STATES[type(entry)])
    if isinstance(entry, ledger.SegmentWhole):
        return segment.model_copy(update={"bytes": entry.bytes, "sha256": entry.sha256})
    return segment
