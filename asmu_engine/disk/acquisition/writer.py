"""Puts rows into segments: begins them, ends them where they are to end, and keeps the frame axis across what is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from asmu_engine.disk.acquisition.account import dropped
from asmu_engine.disk.acquisition.finisher import Ended, Finisher
from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.rollover import Rollover
from asmu_engine.disk.acquisition.segment import SegmentFile, disk_text, growing_path, system_error
from asmu_engine.disk.acquisition.takeover import left_behind, note_crash
from asmu_engine.disk.acquisition.throttle import from_environment
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.disk.bext import segment_info
from asmu_engine.disk.formats import sample_bytes, system_text
from asmu_engine.recording import ledger
from asmu_engine.recording.ledger import Cause
from asmu_engine.recording.manifest import Segment
from asmu_engine.recording.names import segment_name, segment_utc_ns

Frames = npt.NDArray[np.float32]

_HALF_MS: Final = 500_000
"""Names are rounded to milliseconds, so that what begins on the hour is named after that hour."""


class Writer:
    """The one who writes; belongs to one thread.

    Every method that raises OSError has left everything such that it can be called again, for what is still to be done:
    `position` says how far it came.

    Attributes
    ----------
    data
        The folder in which new segments grow.
    position
        Frame position of the next frame; None before the first.
    bytes
        Written so far, by this writer.
    """

    def __init__(self, folder: Folder, times: Times, finisher: Finisher) -> None:
        self.data = folder.path
        self.position: int | None = folder.account.position
        self.bytes = 0
        self._folder = folder
        self._times = times
        self._finisher = finisher
        form = folder.form
        self._part_bytes = form.channels * sample_bytes(form.part_subtype)
        whole_bytes = form.channels * sample_bytes(form.subtype)
        self._rollover = Rollover(folder.settings, form.samplerate, whole_bytes, times)
        self._fill_frames = round(folder.settings.fill_seconds * form.samplerate)
        self._fill_to = 0
        self._segment: SegmentFile | None = None
        self._utc_ns = 0
        self._throttle = from_environment()
        folder.growing = self._growing

    @property
    def segment(self) -> SegmentFile | None:
        """The growing file."""
        return self._segment

    @property
    def frame_bytes(self) -> int:
        """Size of a frame in a growing segment."""
        return self._part_bytes

    def resume(self, filled: Iterable[ledger.Gap]) -> None:
        """Take over from a writer that died: what it wrote is kept, what it had begun is done.

        Where the machine died too there may be less on the disk than the ledger says: what is missing becomes zeros, and a
        gap of cause ``crash``.

        Parameters
        ----------
        filled
            The gaps of the ledger that are zeros in segments.

        Raises
        ------
        OSError
            From the disk.
        """
        gaps = list(filled)
        for segment in self._folder.segments("ended"):
            utc_ns = left_behind(self._folder, self._times, segment, gaps)
            if utc_ns is not None:
                self._finish(segment, segment.frames, utc_ns, exact=False)
        growing = self._folder.account.growing
        if growing is None:
            self._take_up_zeros(gaps)
            return
        path = growing_path(self._folder.file(growing), self._folder.form)
        self.data = self._folder.file(growing).parent
        try:
            file = SegmentFile.reopen(path, growing.first, self._throttle)
        except soundfile.SoundFileError as error:
            raise system_error(error, f"{path}: {system_text(error)}") from error
        if file is None:
            self.position = growing.first
            self._open(growing)
        else:
            self._take_up(file, growing)
        assert self.position is not None
        self._fill_to = max(self.position, self._folder.account.filled_end)
        note_crash(self._folder, self.position, self._fill_to, gaps)
        self.fill()

    def write(self, data: Frames) -> None:
        """Append frames, float32 (frames, channels); OSError from the disk."""
        assert self.position is not None
        done = 0
        while done < len(data):
            segment, room = self._room()
            rows = len(data) - done if room is None else min(room, len(data) - done)
            segment.write(data[done : done + rows])
            self._advance(rows)
            done += rows

    def note_gap(self, frames: int, cause: Cause, uncertainty: int) -> None:
        """Note that the next frames are missing; `fill` must follow where that is short. OSError from the disk."""
        assert self.position is not None
        filled = frames <= self._fill_frames
        if not filled:
            self.end_segment()
        self._folder.note(ledger.Gap(position=self.position, frames=frames, cause=cause, uncertainty=uncertainty, filled=filled))
        if filled:
            self._fill_to = self.position + frames
        else:
            self.position += frames

    def fill(self) -> None:
        """Append zeros up to the end of the last gap that was noted; OSError from the disk."""
        if self.position is not None and self.position < self._fill_to:
            # Zeros that a power cut leaves without their line would pass for delivered frames.
            self._folder.sync_ledger()
        while self.position is not None and self.position < self._fill_to:
            segment, room = self._room()
            missing = self._fill_to - self.position
            before = segment.frames
            try:
                segment.write_zeros(missing if room is None else min(room, missing))
            finally:
                self._advance(segment.frames - before)

    def cut(self, position: int) -> None:
        """Drop what lies behind a frame position, but nothing before the growing segment or of a gap; OSError from the disk."""
        segment = self._segment
        position = max(position, self._gaps_end())
        if segment is None or self.position is None or position >= self.position:
            return
        frames = max(0, position - segment.first)
        try:
            segment.truncate(frames)
        except soundfile.SoundFileError as error:
            raise system_error(error, system_text(error)) from error
        self.position = segment.position

    def end_segment(self) -> None:
        """The growing segment ends here, and is made whole; OSError from the disk."""
        segment, growing = self._segment, self._folder.account.growing
        if segment is None and growing is not None:
            self._folder.note(dropped(growing, 0, "it could not be made"))
            with contextlib.suppress(OSError):
                growing_path(self._folder.file(growing), self._folder.form).unlink()
        if segment is None or growing is None:
            return
        if not segment.frames:
            self._folder.note(dropped(growing, 0, "it is empty"))
            with contextlib.suppress(soundfile.SoundFileError, OSError):
                segment.close()
                segment.path.unlink()
            self._segment = None
            return
        ended = ledger.SegmentEnded(index=growing.index, file=growing.file, first=growing.first, frames=segment.frames)
        self._folder.note(ended)
        exact = segment.sound
        try:
            segment.close()
        except (soundfile.SoundFileError, OSError):
            exact = False
        self._segment = None
        self._finish(growing, segment.frames, self._utc_ns, exact=exact)

    def fall_back(self) -> bool:
        """Of the growing segment, count only what is certainly on the disk, for that has failed; True where that is less.

        `position` is lower then. Gaps that are noted stay, and rows of zeros for them are made again by whoever finishes the
        segment.
        """
        segment = self._segment
        if segment is None:
            return False
        certain = max(segment.synced, self._gaps_end() - segment.first, 0)
        if certain >= segment.frames:
            return False
        segment.forget(certain)
        self.position = segment.position
        return True

    def move(self, data: Path) -> None:
        """New segments grow in another folder."""
        self.data = data

    def sync(self) -> None:
        """Bring what has been written to the disk; from any thread; OSError from the disk."""
        if (segment := self._segment) is not None:
            segment.sync()

    def close(self) -> None:
        """Let go of the growing segment as it is, to be resumed; never raises."""
        with contextlib.suppress(soundfile.SoundFileError, OSError):
            if self._segment is not None:
                self._segment.close()

    # -- steps ---------------------------------------------------------------------------------------------------

    def _gaps_end(self) -> int:
        """Position behind the last gap that is noted; 0 where none is."""
        return max((gap.position + gap.frames for gap in self._folder.account.latest_gaps()[-1:]), default=0)

    def _growing(self) -> tuple[int, int | None]:
        segment = self._segment
        return (0 if segment is None else segment.frames), self.position

    def _room(self) -> tuple[SegmentFile, int | None]:
        """A segment with room, and for how many frames; None for any number."""
        while True:
            if self._segment is None:
                self._open(self._folder.account.growing)
            assert self._segment is not None
            end = self._rollover.end(self._segment.position)
            if end is None:
                return self._segment, None
            if end > self._segment.position:
                return self._segment, end - self._segment.position
            self.end_segment()

    def _open(self, tried: Segment | None) -> None:
        """Begin a segment at `position`; `tried` is one whose file could not be made, or was never made."""
        assert self.position is not None
        folder, form = self._folder, self._folder.form
        if tried is not None and tried.first == self.position and folder.file(tried).parent == self.data:
            path = folder.file(tried)
            index = tried.index
            self._utc_ns = segment_utc_ns(tried.file) or self._times.utc_at(self.position)
        else:
            index = len(folder.account.segments) + 1 if tried is None else tried.index
            self._utc_ns = self._times.utc_at(self.position)
            path = self.data / segment_name(index, self._utc_ns + _HALF_MS, form.format)
            file = path.name if self.data == folder.path else str(path)
            folder.note(ledger.SegmentBegun(index=index, file=file, first=self.position))
        info = segment_info(form, folder.id, index, self._utc_ns) if form.direct else None
        part = growing_path(path, form)
        try:
            self._segment = SegmentFile.create(part, form, self.position, info, self._throttle)
        except soundfile.SoundFileError as error:
            raise system_error(error, disk_text(part, error)) from error
        self._begin_rollover()

    def _take_up(self, file: SegmentFile, growing: Segment) -> None:
        self._segment = file
        self._utc_ns = segment_utc_ns(growing.file) or self._times.utc_at(growing.first)
        self.position = file.position
        self._begin_rollover()

    def _take_up_zeros(self, filled: list[ledger.Gap]) -> None:
        """Zeros that were noted, and whose segment was not begun."""
        account = self._folder.account
        end = max((segment.first + segment.frames for segment in account.segments.values()), default=0)
        if account.filled_end > end:
            self.position = max(end, filled[-1].position)
            self._fill_to = account.filled_end
            self.fill()

    def _begin_rollover(self) -> None:
        assert self._segment is not None
        recording = self._folder.account.first
        self._rollover.begin(self._segment.first, self._segment.first if recording is None else recording)

    def _advance(self, rows: int) -> None:
        assert self._segment is not None
        self.position = self._segment.position
        self.bytes += rows * self._part_bytes

    def _finish(self, segment: Segment, frames: int, utc_ns: int, *, exact: bool) -> None:
        form = self._folder.form
        info = None if form.direct else segment_info(form, self._folder.id, segment.index, utc_ns)
        self._finisher.add(Ended(segment.index, self._folder.file(segment), segment.first, frames, utc_ns, info, exact=exact))
