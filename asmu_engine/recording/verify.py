"""Is a recording what its ledger says? Nothing is changed by asking, and it may be asked of one that is being written."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from asmu_engine.recording.check_axis import Fault, Tally, check_axis, stretches
from asmu_engine.recording.check_clocks import Calendar, check_clocks, manifest_speed
from asmu_engine.recording.check_files import Expected, FileCheck, check_checksum, check_zeros
from asmu_engine.recording.check_folder import check_list, check_segments, extra_files, listed_sums
from asmu_engine.recording.check_ledger import check_ledger, check_manifest, known_segments, read_all
from asmu_engine.recording.ledger import SegmentBegun, SegmentDropped, SegmentEnded, SegmentWhole, Xrun
from asmu_engine.recording.load import load_manifest
from asmu_engine.recording.lock import is_written
from asmu_engine.recording.names import MANIFEST
from asmu_engine.recording.verdict import Loss, Outcome, Problem, Verdict

Progress = Callable[[int, int], object]
"""Bytes that were hashed so far, and bytes in all."""

_LOOKS: Final = 5
"""So often a folder that is being written is looked at anew, where a segment changed its state meanwhile."""


def verify_recording(path: Path | str, *, quick: bool = False, progress: Progress | None = None) -> Verdict:
    """Check everything about a recording: files, headers, checksums, continuity, zeros where frames were lost, clocks.

    Parameters
    ----------
    path
        The folder.
    quick
        Without reading all files for their checksums.
    progress
        Told how much was hashed, of how much.

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording folder, or one of a newer version; or it went on in another folder.
    """
    folder = Path(path)
    load_manifest(folder)
    check = _Check(folder, is_written(folder, read_all(folder).writer))
    check.look()
    if not quick:
        check.hash(progress)
    return check.verdict(hashed=not quick)


def verify_held(folder: Path) -> Verdict:
    """As `verify_recording`, quick, for one who holds the folder himself, so that nobody else can be writing it."""
    check = _Check(folder, written=False)
    check.look()
    return check.verdict(hashed=False)


class _Check:
    """One look at a folder; `look`, then `hash`, then `verdict`.

    Whether it is being written was asked before: if it is not, manifest and ledger are what their writer made of them at last.
    """

    def __init__(self, folder: Path, written: bool) -> None:
        self.folder = folder
        self.written = written
        self.manifest, self._trouble = load_manifest(folder)
        self.read = read_all(folder)
        self.checks: dict[int, FileCheck] = {}

    def look(self) -> None:
        """Read the header of every file."""
        for _ in range(_LOOKS):
            self._look_at_files()
            if not self.written:
                break
            former, self.read = self.read, read_all(self.folder)
            if self.read.segments == former.segments:
                break
        if self.written and self._trouble is None:
            self.manifest, self._trouble = load_manifest(self.folder)

    def hash(self, progress: Progress | None) -> None:
        """Compare checksums, and look for anything but zeros where frames were lost."""
        whole = [check for check in self.checks.values() if isinstance(check.entry, SegmentWhole) and check.path is not None]
        listed = {folder: listed_sums(folder) for folder in {check.path.parent for check in whole if check.path is not None}}
        total, done = sum(check.bytes for check in whole), 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, total)

        for check in whole:
            assert check.path is not None
            if not check_checksum(check, listed[check.path.parent], on_bytes) and self.written:
                self._look_for_dropped(check)

    def _look_for_dropped(self, check: FileCheck) -> None:
        """What cannot be read may have been deleted since, to make room."""
        entry = read_all(self.folder).segments[check.entry.index]
        if isinstance(entry, SegmentDropped):
            self.checks[entry.index] = FileCheck(entry)

    def verdict(self, *, hashed: bool) -> Verdict:
        """What all of it comes to."""
        manifest, read = self.manifest, self.read
        first, stop = self._ends()
        tally = check_axis(first or 0, stop or first or 0, stretches(self.read, self.checks.values()))
        calendar = Calendar(read.entries, ((c.entry.file, c.entry.first) for c in self.checks.values()), manifest)
        speed = manifest_speed(manifest)
        rate = 0.0 if manifest is None or speed is None else manifest.samplerate
        clock, odd = check_clocks(read.entries, rate, speed=speed or 1.0)
        faults = (_fault(fault, calendar, to_come=not self._over and fault.stop == stop) for fault in tally.faults)
        if self.written:
            faults = (fault for fault in faults if fault.severity != "unfinished")
        problems = [*self._problems(calendar), *faults, *odd]
        problems.sort(key=lambda problem: ("damaged", "unfinished", "note").index(problem.severity))
        return Verdict(
            path=str(self.folder),
            outcome=self._outcome(tally, problems),
            state="missing" if manifest is None else manifest.state,
            reason="" if manifest is None else manifest.reason,
            samplerate=0.0 if manifest is None else manifest.samplerate,
            channels=0 if manifest is None else len(manifest.channels),
            first=first,
            position=stop,
            frames=0 if first is None or stop is None else stop - first,
            delivered=tally.delivered,
            lost=dict(tally.lost),
            uncertainty=round(sum(gap.uncertainty**2 for gap in read.gaps) ** 0.5),
            xruns=sum(isinstance(entry, Xrun) for entry in read.entries),
            uncounted=sum(entry.uncertainty for entry in read.entries if isinstance(entry, Xrun) and not entry.frames),
            dropped=tally.dropped,
            missing=tally.missing,
            segments=tuple(check.facts for check in self.checks.values()),
            losses=tuple(Loss(g.position, g.frames, g.cause, g.uncertainty, g.filled) for g in read.gaps),
            problems=tuple(problems),
            begin_utc=calendar.utc(first),
            end_utc=calendar.utc(stop),
            clock=clock,
            bytes=sum(check.bytes for check in self.checks.values()),
            hashed=hashed,
        )

    def _look_at_files(self) -> None:
        manifest = self.manifest
        expected = Expected(0.0, 0) if manifest is None else Expected(manifest.samplerate, len(manifest.channels))
        self.checks = check_segments(self.folder, known_segments(self.read, manifest), expected, written=self.written)
        gaps = sorted((gap for gap in self.read.gaps if gap.filled), key=lambda gap: gap.position)
        begins = [gap.position for gap in gaps]
        for check in self.checks.values():
            begin, end = check.entry.first, check.entry.first + check.rows
            near = gaps[max(0, bisect_right(begins, begin) - 1) : bisect_left(begins, end)]
            check_zeros(check, [gap for gap in near if gap.position + gap.frames > begin])

    def _ends(self) -> tuple[int | None, int | None]:
        """Where the recording begins and ends, as far as that is known."""
        read, manifest = self.read, self.manifest
        first = read.first if read.there or manifest is None else manifest.first
        ended = read.ended
        if ended is not None:
            return first, ended.position
        ends = [check.entry.first + check.frames for check in self.checks.values()]
        if manifest is not None and manifest.position is not None and (self._over or not read.there):
            ends.append(manifest.position)
        stop = max(ends, default=first)
        for gap in sorted(read.gaps, key=lambda gap: gap.position):
            # Of a folder that is being written the rows before a gap may come to be seen after it.
            if stop is not None and (gap.position <= stop or not self.written):
                stop = max(stop, gap.position + gap.frames)
        return first, stop

    def _problems(self, calendar: Calendar) -> Iterator[Problem]:
        over = self._over
        if self._trouble is not None:
            yield self._trouble
        for problem in check_ledger(self.folder, self.read):
            if not (self.written and problem.severity == "unfinished"):  # a line that is just being written
                yield problem
        if self.manifest is not None:
            for problem in check_manifest(self.folder, self.manifest, self.read, over=over):
                if not (self.written and problem.severity == "unfinished"):  # a manifest newer than the ledger that was read
                    yield problem
        ended = self.manifest is not None and self.manifest.state != "recording"
        if self.manifest is not None and ended and self.read.ended is None and not self.written and self.read.there:
            yield Problem(
                "unfinished", "not_ended", f"{self.folder / MANIFEST} says {self.manifest.state}, but the ledger has no end"
            )
        for check in self.checks.values():
            for problem in check.problems:
                where = (
                    "" if not problem.frames else calendar.span(problem.position or 0, (problem.position or 0) + problem.frames)
                )
                yield replace(problem, text=problem.text + where)
        checks = list(self.checks.values())
        if over:
            yield from check_list(self.folder, checks)
        yield from extra_files(self.folder, checks, written=self.written)

    @property
    def _over(self) -> bool:
        manifest, ended = self.manifest, self.read.ended
        unfinished = any(isinstance(check.entry, SegmentBegun | SegmentEnded) for check in self.checks.values())
        return not self.written and ended is not None and not unfinished and (manifest is None or manifest.state != "recording")

    def _outcome(self, tally: Tally, problems: Iterable[Problem]) -> Outcome:
        found = {problem.severity for problem in problems}
        if "damaged" in found:
            return "damaged"
        if self.written:
            return "recording"
        if "unfinished" in found or not self._over:
            return "unfinished"
        failed = self.manifest is not None and self.manifest.state == "failed"
        return "losses" if tally.lost or tally.dropped or failed or self.read.lost_lines else "whole"


def _fault(fault: Fault, calendar: Calendar, *, to_come: bool) -> Problem:
    """Zeros `to_come` at the end are right: their line is written before the segment begins that is to hold them."""
    frames = fault.stop - fault.first
    what = f"frames {fault.first} to {fault.stop}{calendar.span(fault.first, fault.stop)}"
    texts = {
        "hole": f"{what} are in no segment, and no gap accounts for them: they are between {' and '.join(fault.names)}",
        "overlap": f"{what} are in {' and in '.join(fault.names)}",
        "twice": f"{what} are lost twice, by {' and by '.join(fault.names)}",
        "stray": f"{what} are said to be zeros in a segment, by {' '.join(fault.names)}, but are in none",
    }
    if fault.kind == "stray" and to_come:
        text = f"{what} were to be zeros, by {' '.join(fault.names)}: their segment was not begun; `asmu repair` makes it"
        return Problem("unfinished", "zeros_to_come", text, position=fault.first, frames=frames)
    return Problem("damaged", fault.kind, texts[fault.kind], position=fault.first, frames=frames)
