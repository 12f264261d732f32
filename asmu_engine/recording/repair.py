"""Makes a recording whole that its writer left unfinished: in a copy, or in its own folder where that is asked for."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.check_files import Expected
from asmu_engine.recording.check_folder import LEDGER_BEFORE, check_segments
from asmu_engine.recording.check_ledger import known_segments, read_all
from asmu_engine.recording.ledger import SegmentDropped, SegmentWhole
from asmu_engine.recording.load import load_manifest
from asmu_engine.recording.lock import held, is_written
from asmu_engine.recording.manifest import Manifest
from asmu_engine.recording.mender import Mender
from asmu_engine.recording.names import LEDGER, MANIFEST
from asmu_engine.recording.verdict import Verdict
from asmu_engine.recording.verify import verify_held


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair came to.

    Attributes
    ----------
    path
        The folder that is right now: the copy, or the recording itself where nothing was to be done or it was mended in place.
    actions
        What was done, in words; nothing where nothing was to be done.
    verdict
        Of that folder afterwards, without checksums of files that were not touched.
    """

    path: Path
    actions: tuple[str, ...]
    verdict: Verdict


def repair_recording(
    path: Path | str, *, out: Path | str | None = None, in_place: bool = False, write_off: bool = False
) -> Repaired:
    """Mend what a crash left: unfinished segments, headers, the ledger's last line, manifest and checksums.

    Frames that the ledger promises and no file has become gaps of cause ``crash``. A second repair finds nothing to do. What no
    crash does is not covered up: a changed file stays damaged, and so does a recording that lacks finished segments,
    unless they are to be written off.

    Parameters
    ----------
    path
        The folder; nothing in it is changed, except with `in_place`.
    out
        Where the repaired copy is made; default: beside it, as ``NAME.repaired``. Finished segments are hard links where the
        disk can have them, and segments of a second folder are in it too.
    in_place
        Repair the folder itself.
    write_off
        Account finished segments that are gone, or of which a part is, as lost; else they are left as they are.

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording. ``file_unwritable``: it is being written, or `out` exists already.
        ``disk_failed``: the disk takes no more.
    """
    folder = Path(path)
    if in_place and out is not None:
        raise DiskError("a repair is made in place, or in a copy: choose one", code="file_unwritable", where=str(out))
    manifest, _ = load_manifest(folder)
    if is_written(folder, read_all(folder).writer):
        raise DiskError(
            f"{folder} is being written: stop the recording first", code="file_unwritable", where=str(folder), retry=True
        )
    with held(folder):
        before = verify_held(folder)
        if not _anything_to_do(before, write_off):
            return Repaired(folder, (), before)
        if in_place:
            actions = _mend(folder, manifest, write_off)
            return Repaired(folder, actions, verify_held(folder))
        target = Path(out) if out is not None else folder.absolute().with_name(f"{folder.absolute().name}.repaired")
        actions = _mend_copy(folder, target, manifest, write_off)
    return Repaired(target, actions, verify_held(target))


_MENDABLE: Final = frozenset({
    "manifest_missing", "manifest_damaged", "manifest_differs", "ledger_missing", "ledger_damaged", "checksum_list",
    "file_renamed", "segment_unknown", "hole", "stray",
})  # fmt: skip
_WRITTEN_OFF: Final = frozenset({"file_missing", "folder_missing", "file_unreadable", "frames", "truncated"})


def _anything_to_do(verdict: Verdict, write_off: bool) -> bool:
    problems = [problem for problem in verdict.problems if problem.severity != "note"]
    codes = {problem.code for problem in problems}
    # A file without a header that can be read is left as it is, so that a second repair finds nothing to do.
    unfinished = {problem.code for problem in problems if problem.severity == "unfinished"} - {"file_unreadable"}
    return verdict.state == "recording" or bool(unfinished | codes & _MENDABLE) or (write_off and bool(codes & _WRITTEN_OFF))


def _mend(folder: Path, manifest: Manifest | None, write_off: bool) -> tuple[str, ...]:
    try:
        return tuple(Mender(folder, manifest, write_off=write_off).run())
    except OSError as error:
        raise DiskError(
            f"cannot repair {folder}: {error.strerror or error}", code="disk_failed", where=str(error.filename or folder)
        ) from error


def _mend_copy(folder: Path, target: Path, manifest: Manifest | None, write_off: bool) -> tuple[str, ...]:
    """The copy has its name only when it is right."""
    if target.exists():
        raise DiskError(
            f"{target} exists already: remove it, or name another folder for the repaired copy (--out)",
            code="file_unwritable",
            where=str(target),
        )
    growing = target.with_name(f".{target.name}.part")
    try:
        if growing.exists():  # of a repair that died
            shutil.rmtree(growing)
        growing.mkdir(parents=True)
        here = _copy(folder, growing, manifest)
        actions = [*Mender(growing, manifest, write_off=write_off, moved=here).run()]
        growing.replace(target)
    except BaseException as error:
        shutil.rmtree(growing, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise DiskError(
            f"cannot make the repaired copy {target}: {error.strerror or error}", code="disk_failed", where=str(target)
        ) from error
    return tuple(text.replace(str(growing), str(target)) for text in actions)


def _copy(folder: Path, target: Path, manifest: Manifest | None) -> set[int]:
    """Put into `target` all that is of the recording; the numbers of the segments that were in another folder."""
    for name in (MANIFEST, f".{MANIFEST}.new", LEDGER, LEDGER_BEFORE):
        if (folder / name).exists():
            shutil.copy2(folder / name, target / name)
    moved = set()
    segments = known_segments(read_all(folder), manifest)
    for index, check in check_segments(folder, segments, Expected(0.0, 0), written=False).items():
        entry = check.entry
        source = check.path or check.renamed
        if isinstance(entry, SegmentDropped) or source is None:
            continue
        if Path(entry.file).is_absolute():
            moved.add(index)
        name = Path(entry.file).name if check.renamed is not None else source.name
        if isinstance(entry, SegmentWhole) and not check.problems:
            _link(source, target / name)
        else:
            shutil.copy2(source, target / name)
    return moved


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(source, target)
