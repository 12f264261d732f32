"""The folder beside its segments: the list of checksums, and files that do not belong there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from asmu_engine.recording.account import SegmentEntry
from asmu_engine.recording.check_files import Expected, FileCheck, check_segment
from asmu_engine.recording.checksums import file_sha256, read_checksums
from asmu_engine.recording.ledger import SegmentDropped, SegmentWhole
from asmu_engine.recording.names import CHECKSUMS, LEDGER, MANIFEST, RESERVE, grown_names
from asmu_engine.recording.verdict import Problem

LEDGER_BEFORE: Final = f"{LEDGER}.before"
"""A damaged ledger as it was before a repair."""

_OWN: Final = frozenset({MANIFEST, LEDGER, CHECKSUMS, RESERVE, f".{MANIFEST}.new", f".{CHECKSUMS}.new", LEDGER_BEFORE})


def check_segments(
    folder: Path, entries: Mapping[int, SegmentEntry], expected: Expected, *, written: bool
) -> dict[int, FileCheck]:
    """Look at the file of each segment, see `check_segment`; and for finished ones that are missing under other names."""
    checks = {index: check_segment(folder, entry, expected, written=written) for index, entry in entries.items()}
    missing = [check for check in checks.values() if isinstance(check.entry, SegmentWhole) and check.path is None]
    if missing:
        found = {check.path for check in checks.values()}
        for check in missing:
            _look_for_renamed(check, folder, found)
    return checks


def _look_for_renamed(check: FileCheck, folder: Path, taken: set[Path | None]) -> None:
    """A file of no other segment with the size and the checksum of a missing one."""
    entry = check.entry
    assert isinstance(entry, SegmentWhole)
    path = folder / entry.file
    for place in dict.fromkeys((path.parent, folder)):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            if file in taken or not file.is_file() or file.stat().st_size != entry.bytes or file_sha256(file) != entry.sha256:
                continue
            taken.add(file)
            check.renamed = file
            check.problems.clear()
            text = f"{path} is not there, but {file} has its content: give it its name back"
            check.add("damaged", "file_renamed", f"{text}; frames {entry.first} to {entry.first + entry.frames} are in it")
            return


def listed_sums(folder: Path) -> dict[str, str]:
    """The list of checksums of a folder; empty where it cannot be read."""
    try:
        return read_checksums(folder)
    except (ValueError, OSError):
        return {}


def check_list(folder: Path, checks: Iterable[FileCheck]) -> Iterator[Problem]:
    """Does the list of checksums name every whole segment of the folder, and no other?"""
    try:
        listed = set(read_checksums(folder))
    except (ValueError, OSError) as error:
        yield Problem("damaged", "checksum_list", f"{error}; `asmu repair` makes a new list", file=CHECKSUMS)
        return
    entries = [check.entry for check in checks]
    here = {entry.file for entry in entries if isinstance(entry, SegmentWhole) and not Path(entry.file).is_absolute()}
    if lacking := sorted(here - listed):
        yield Problem(
            "damaged",
            "checksum_list",
            f"{folder / CHECKSUMS} lacks {len(lacking)} segments, such as {lacking[0]}; `asmu repair` makes a new one",
            file=CHECKSUMS,
        )


def extra_files(folder: Path, checks: Iterable[FileCheck], *, written: bool) -> Iterator[Problem]:
    """Files that are of no segment; while the folder is `written`, one may be in any stage."""
    known = set(_OWN)
    for check in checks:
        name = Path(check.entry.file).name
        known.add(name)
        if check.path is not None:
            known.add(check.path.name)
        if written or not isinstance(check.entry, SegmentWhole | SegmentDropped):
            known.update(grown_names(name))
    for file in sorted(folder.iterdir()):
        if file.name not in known:
            yield Problem("note", "extra_file", f"{file} is not of this recording, as far as its ledger tells", file=file.name)
