"""What a writer that died has left: frames that the ledger has and the disk has not."""

from __future__ import annotations

from collections.abc import Iterable

from asmu_engine.disk.acquisition.account import dropped
from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.segment import growing_path, rows_in
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import Segment
from asmu_engine.recording.names import segment_utc_ns


def left_behind(folder: Folder, times: Times, segment: Segment, gaps: Iterable[ledger.Gap]) -> int | None:
    """What has become of a segment that its writer had ended, but not made whole; noted where it lacks frames, or is gone.

    Returns
    -------
    int or None
        UTC of its first frame, ns since 1970, where it is to be made whole; None where it cannot be.

    Raises
    ------
    OSError
        From the disk.
    """
    path = folder.file(segment)
    part = growing_path(path, folder.form)
    if part.exists():
        end = segment.first + segment.frames
        note_crash(folder, min(end, segment.first + rows_in(part)), end, gaps)
    elif not path.parent.exists():
        return None  # on a disk that is not there: it may come back
    elif not path.exists():
        folder.note(dropped(segment, segment.frames, "its file is gone"))
        return None
    return segment_utc_ns(segment.file) or times.utc_at(segment.first)


def note_crash(folder: Folder, begin: int, end: int, gaps: Iterable[ledger.Gap]) -> None:
    """Note that frames `begin` to `end`, which become zeros, were written but are not on the disk; OSError from the disk.

    What lies within one of the `gaps` is missing already.
    """
    for first, last in uncovered(begin, end, gaps):
        folder.note(ledger.Gap(position=first, frames=last - first, cause="crash", filled=True))


def uncovered(begin: int, end: int, gaps: Iterable[ledger.Gap]) -> list[tuple[int, int]]:
    """The stretches of frames from `begin` to `end` that lie in no gap, ``(first, behind the last)``."""
    found: list[tuple[int, int]] = []
    for gap in sorted(gaps, key=lambda gap: gap.position):
        if gap.position >= end or gap.position + gap.frames <= begin:
            continue
        if gap.position > begin:
            found.append((begin, gap.position))
        begin = gap.position + gap.frames
    if begin < end:
        found.append((begin, end))
    return found
