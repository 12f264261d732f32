"""Repairs one folder, step by step; each step is noted in the ledger before it is taken, and may be repeated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.account import SegmentEntry
from asmu_engine.recording.check_axis import check_axis, stretches
from asmu_engine.recording.check_clocks import Calendar
from asmu_engine.recording.check_files import Expected, FileCheck, check_segment
from asmu_engine.recording.check_folder import check_segments
from asmu_engine.recording.check_ledger import LedgerRead, known_segments, read_all
from asmu_engine.recording.checksums import file_sha256, write_checksums
from asmu_engine.recording.manifest import Manifest
from asmu_engine.recording.mend import empty_part, make_whole, salvage, segment_form
from asmu_engine.recording.names import CHECKSUMS, MANIFEST, RESERVE, grown_names, segment_name, segment_utc_ns
from asmu_engine.recording.rebuild import LedgerEnd, manifest_segment, rebuilt_manifest, whole_ledger
from asmu_engine.recording.software import boot_id

_REASON: Final = "repaired: its writer died"
_NO_AUDIO_BYTES: Final = 4096
"""A file that is smaller than this and has no header died before its first row."""


class Mender:
    """Repairs a folder that nobody else writes.

    Parameters
    ----------
    folder
        All of it may be changed, but no file that has other names too.
    manifest
        None where it is missing or damaged.
    write_off
        See `repair_recording`.
    moved
        Numbers of segments whose files were in another folder, and are here now.
    """

    def __init__(
        self, folder: Path, manifest: Manifest | None, *, write_off: bool = False, moved: frozenset[int] | set[int] = frozenset()
    ) -> None:
        self._folder = folder
        self._write_off = write_off
        self._moved = moved
        self._known = manifest
        self._before = read_all(folder)
        self._segments = known_segments(self._before, manifest)
        self._manifest = manifest or rebuilt_manifest(folder, self._before, self._segments)
        self._form = segment_form(self._manifest)
        self._expected = Expected(self._manifest.samplerate, len(self._manifest.channels))
        self._gaps = list(self._before.gaps)
        self._ledger = LedgerEnd(folder)

    def run(self) -> Iterator[str]:
        """Do it; yields what is done, in words. OSError or DiskError from the disk."""
        yield from self._mend_ledger()
        checks = check_segments(self._folder, self._segments, self._expected, written=False)
        for index, entry in self._segments.items():
            try:
                yield from self._mend_segment(entry, checks[index])
            except DiskError as error:
                if isinstance(error.__cause__, OSError):  # the disk takes no more
                    raise
                yield f"left segment {entry.index} as it is: {error.message}"
        yield from self._mend_axis()
        yield from self._end()

    # -- ledger --------------------------------------------------------------------------------------------------

    def _mend_ledger(self) -> Iterator[str]:
        before = self._before
        yield from whole_ledger(self._folder, before)
        self._ledger.note(ledger.Begun(position=None, why="repair", pid=os.getpid(), boot=boot_id()))
        if not before.there:
            self._ledger.note(
                ledger.Event(
                    what="ledger_rebuilt", text="from the manifest: which zeros stand for lost frames is not known any more"
                )
            )
        elif before.damaged:
            lines = [number for number, _, _ in before.damaged]
            text = f"lines {', '.join(map(str, lines))} were damaged and are gone; what they told of losses is not known any more"
            self._ledger.note(ledger.Event(what="ledger_repaired", text=text, facts={"lines": lines}))
        if self._known is None:
            self._ledger.note(
                ledger.Event(what="manifest_rebuilt", text="channels, calibration and settings are not known any more")
            )
            yield f"rebuilt {MANIFEST} of what the ledger and the files tell"
        told = before.segments
        for index, entry in self._segments.items():
            if told.get(index) != entry:
                self._ledger.note(entry)

    # -- segments ------------------------------------------------------------------------------------------------

    def _mend_segment(self, entry: SegmentEntry, check: FileCheck) -> Iterator[str]:
        if entry.index in self._moved:
            entry = entry.model_copy(update={"file": Path(entry.file).name})
            self._ledger.note(entry)
            check = check_segment(self._folder, entry, self._expected, written=False)
        if isinstance(entry, ledger.SegmentWhole):
            yield from self._mend_whole(entry, check)
        elif not isinstance(entry, ledger.SegmentDropped):
            yield from self._mend_unfinished(entry, check)

    def _mend_whole(self, entry: ledger.SegmentWhole, check: FileCheck) -> Iterator[str]:
        path = self._folder / entry.file
        if check.renamed is not None:
            check.renamed.replace(path)
            yield f"gave {check.renamed} its name {path.name} back"
            return
        codes = {problem.code for problem in check.problems}
        if self._write_off and codes & {"file_missing", "folder_missing", "file_unreadable", "frames", "truncated"}:
            part, rows = salvage(check.path, path, self._form)
            yield from self._make_whole(entry, part, min(rows, entry.frames), entry.frames)

    def _mend_unfinished(self, entry: ledger.SegmentBegun | ledger.SegmentEnded, check: FileCheck) -> Iterator[str]:
        path, found, rows = self._folder / entry.file, check.path, check.rows
        frames = max(self._promised(entry, rows), rows) if isinstance(entry, ledger.SegmentBegun) else entry.frames
        if found is not None and check.unreadable and check.bytes > _NO_AUDIO_BYTES and not self._write_off:
            yield f"left {found} as it is: it cannot be read"
            return
        if found is not None and (check.unreadable or (not rows and check.bytes <= _NO_AUDIO_BYTES)):
            found.unlink()  # of half a header libsndfile makes a file of no rows that takes none either
            found, rows = None, 0
        if found == path and rows == frames:
            yield from self._note_whole(entry, frames)
            return
        part = found or empty_part(path, self._form)
        if part == path:
            part = path.replace(path.with_name(grown_names(path.name)[1]))
        yield from self._make_whole(entry, part, rows, frames)

    def _promised(self, entry: ledger.SegmentBegun, rows: int) -> int:
        """How many rows a growing segment is to have: the manifest saw so many, or zeros were to come."""
        known = self._known.segments if self._known is not None else []
        seen = max((s.frames for s in known if s.index == entry.index and s.state == "growing"), default=0)
        ends = [g.position + g.frames - entry.first for g in self._gaps if g.filled and g.position >= entry.first]
        later = min((s.first - entry.first for s in self._segments.values() if s.index > entry.index), default=None)
        return max(seen, *ends, 0) if later is None else min(max(seen, *ends, 0), max(later, rows))

    def _make_whole(self, entry: SegmentEntry, part: Path, rows: int, frames: int) -> Iterator[str]:
        first = entry.first
        lost = list(self._unexplained(first + rows, first + frames))
        count = sum(end - begin for begin, end in lost)
        later = any(gap.position + gap.frames > first + rows and gap.position < first + frames for gap in self._gaps)
        filled = later or count <= self._manifest.settings.fill_seconds * self._manifest.samplerate
        if not filled:
            frames = rows
        for begin, end in lost:
            self._note_gap(begin, end, "crash", filled=filled)
            yield f"frames {begin} to {end} had not come to the disk: they are lost (crash)"
        if not frames:
            part.unlink()
            yield self._drop(entry, 0, "it is empty")
            return
        index, file = entry.index, entry.file
        self._ledger.note(ledger.SegmentEnded(index=index, file=file, first=first, frames=frames))
        self._ledger.sync()
        utc_ns = segment_utc_ns(file) or 0
        size, digest = make_whole(part, self._folder / file, frames, self._form, first=first, utc_ns=utc_ns)
        self._ledger.note(ledger.SegmentWhole(index=index, file=file, first=first, frames=frames, bytes=size, sha256=digest))
        yield f"made {self._folder / file} whole, {frames} frames"

    def _note_whole(self, entry: SegmentEntry, frames: int) -> Iterator[str]:
        """It has its name; only its line was missing."""
        path = self._folder / entry.file
        for name in grown_names(path.name):
            path.with_name(name).unlink(missing_ok=True)
        size, digest = path.stat().st_size, file_sha256(path)
        self._ledger.note(
            ledger.SegmentWhole(index=entry.index, file=entry.file, first=entry.first, frames=frames, bytes=size, sha256=digest)
        )
        yield f"{path} was whole, with {frames} frames; now the ledger says so"

    def _drop(self, entry: SegmentEntry, frames: int, reason: str) -> str:
        self._ledger.note(
            ledger.SegmentDropped(index=entry.index, file=entry.file, first=entry.first, frames=frames, reason=reason)
        )
        return f"segment {entry.index}, {entry.file}, {frames} frames: {reason}"

    # -- axis ----------------------------------------------------------------------------------------------------

    def _mend_axis(self) -> Iterator[str]:
        """What now is in no place at all was lost with the writer; zeros that were promised get a segment."""
        read = read_all(self._folder)
        checks = self._checks(read)
        first, stop = self._ends(read, checks)
        tally = check_axis(first, stop, stretches(read, checks))
        cause: ledger.Cause = "crash" if self._before.there and not self._before.damaged else "unknown"
        index = max(read.segments, default=0)
        calendar = Calendar(read.entries, ((c.entry.file, c.entry.first) for c in checks), self._manifest)
        for fault in tally.faults:
            if fault.kind == "hole":
                self._note_gap(fault.first, fault.stop, cause, filled=False)
                yield f"frames {fault.first} to {fault.stop} are in no file: they are lost ({cause})"
            elif fault.kind == "stray":
                index += 1
                name = segment_name(index, calendar.utc_ns(fault.first) or 0, self._form.format)
                entry = ledger.SegmentBegun(index=index, file=name, first=fault.first)
                self._ledger.note(entry)
                part = empty_part(self._folder / name, self._form)
                yield from self._make_whole(entry, part, 0, fault.stop - fault.first)

    def _ends(self, read: LedgerRead, checks: list[FileCheck]) -> tuple[int, int]:
        ended = self._before.ended
        first = read.first if self._before.there or self._manifest.first is None else self._manifest.first
        ends = [check.entry.first + check.frames for check in checks] + [gap.position + gap.frames for gap in read.gaps]
        if self._known is not None and self._known.position is not None:
            ends.append(self._known.position)
        stop = max(ends, default=first or 0)
        if ended is not None and ended.position is not None:
            stop = ended.position
        return (first or 0), max(stop, first or 0)

    def _unexplained(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """What of some frames no gap covers."""
        for gap in sorted(self._gaps, key=lambda gap: gap.position):
            if gap.position < end and gap.position + gap.frames > begin:
                if gap.position > begin:
                    yield begin, gap.position
                begin = max(begin, gap.position + gap.frames)
        if begin < end:
            yield begin, end

    def _note_gap(self, begin: int, end: int, cause: ledger.Cause, *, filled: bool) -> None:
        gap = ledger.Gap(position=begin, frames=end - begin, cause=cause, filled=filled)
        self._gaps.append(gap)
        self._ledger.note(gap)

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self) -> Iterator[str]:
        read = read_all(self._folder)
        checks = self._checks(read)
        first, stop = self._ends(read, checks)
        begun = read.first is not None
        former = self._before.ended
        self._ledger.note(ledger.Ended(position=stop if begun else None, reason=_REASON if former is None else former.reason))
        self._ledger.sync()
        whole = {self._folder / c.entry.file: c.entry.sha256 for c in checks if isinstance(c.entry, ledger.SegmentWhole)}
        for folder in {self._folder, *(path.parent for path in whole if path.parent.is_dir())}:
            (folder / RESERVE).unlink(missing_ok=True)
            write_checksums(folder, {path.name: digest for path, digest in whole.items() if path.parent == folder})
        clocks = read.clocks
        failed = self._manifest.state == "failed"
        self._manifest.model_copy(
            update={
                "state": "failed" if failed else "finished",
                "reason": self._manifest.reason if failed else "",
                "first": first if begun else None,
                "position": stop if begun else None,
                "clock": clocks[-1].fit if clocks else self._manifest.clock,
                "segments": [manifest_segment(entry) for entry in read.segments.values()],
            }
        ).write(self._folder)
        for name in (f".{MANIFEST}.new", f".{CHECKSUMS}.new"):
            (self._folder / name).unlink(missing_ok=True)
        yield f"ended the recording before frame {stop}, and wrote {MANIFEST} and {CHECKSUMS} anew"

    def _checks(self, read: LedgerRead) -> list[FileCheck]:
        return [*check_segments(self._folder, read.segments, self._expected, written=False).values()]
