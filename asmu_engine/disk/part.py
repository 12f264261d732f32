"""A recording while it grows: under a temporary name, readable at any moment, to be continued by another process."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soundfile

from asmu_engine.disk.formats import FileForm, file_text, system_text
from asmu_engine.disk.headers import keep_header_right
from asmu_engine.disk.journal import Gap, Journal, Notes
from asmu_engine.disk.paths import journal_path, part_path, raw_path
from asmu_engine.disk.synced import SyncedFiles
from asmu_engine.disk.whole import make_whole
from asmu_engine.protocol.errors import DiskError

Frames = npt.NDArray[np.float32]

_COPY_BYTES: Final = 4 * 1024 * 1024


class Part:
    """The growing file of a recording to ``take.wav``: ``take.part.wav``, with a journal ``take.part.wav.journal``.

    Row i of the file is frame ``first + i`` of the engine's frame axis. Formats that do not survive the death of their
    writer grow as ``take.part.flac.rf64`` and are encoded by `finish`. At most about a second of it is not on the disk yet.

    Attributes
    ----------
    path, part
        The file to be, and the one that is written now.
    form
        What the file will be.
    first
        Frame position of the first row, None before there is one.
    frames
        Rows so far.
    gaps
        ``(position, frames, cause)`` of each stretch of zeros that stands for frames that were lost.
    sealed
        True for a recording found ended: it only needs `finish`.
    """

    def __init__(self, path: Path, form: FileForm, journal: Journal, notes: Notes) -> None:
        self.path = path
        self.form = form
        self.part = part_path(path) if form.direct else raw_path(path)
        self.first = notes.first
        self.frames = 0
        self.gaps = notes.gaps
        self.sealed = notes.sealed
        self._journal = journal
        self._zeros = np.zeros((max(1, _COPY_BYTES // (4 * form.channels)), form.channels), np.float32)
        self._file: soundfile.SoundFile | None = None
        self._synced: SyncedFiles | None = None

    @classmethod
    def create(cls, path: Path, form: FileForm, *, overwrite: bool) -> Part:
        """Begin a new recording.

        Raises
        ------
        DiskError
            ``file_unwritable``: the folder is missing or not writable, the file exists and `overwrite` is False,
            or another recording to it is running.
        """
        if path.is_dir() or (not overwrite and path.exists()):
            what = "is a folder" if path.is_dir() else "exists already; allow overwriting or choose another path"
            raise DiskError(f"cannot record to {path}: it {what}", code="file_unwritable", where=str(path))
        if not overwrite and journal_path(path).exists():
            raise DiskError(
                f"cannot record to {path}: an unfinished recording lies beside it; resume it, or allow overwriting",
                code="file_unwritable",
                where=str(path),
            )
        journal = _open_journal(path)
        try:
            journal.clear()
            part = cls(path, form, journal, Notes())
            part._open("w")
            journal.note(form=asdict(form))
        except BaseException:
            journal.remove()
            raise
        return part

    @classmethod
    def resume(cls, path: Path) -> Part:
        """Go on with a recording whose process died.

        Raises
        ------
        DiskError
            ``file_unreadable``: there is none, it is whole already, or what is left of it cannot be read.
        """
        if not journal_path(path).exists():
            whole = "; it is whole already" if path.exists() else ""
            raise DiskError(f"no unfinished recording of {path} to resume{whole}", code="file_unreadable", where=str(path))
        journal = _open_journal(path)
        try:
            notes = journal.read()
            try:
                form = FileForm(**notes.form)
            except TypeError:
                raise DiskError(
                    f"the journal {journal.path} is damaged", code="file_unreadable", where=str(journal.path)
                ) from None
            part = cls(path, form, journal, notes)
            if part.sealed:
                part._count_sealed()
            else:
                part._open("r+")
                part._forget_gaps_after_end()
        except BaseException:
            journal.close()
            raise
        return part

    @property
    def position(self) -> int | None:
        """Frame position of the next row; None before the first."""
        return None if self.first is None else self.first + self.frames

    def begin(self, position: int) -> None:
        """Say where on the frame axis the first row lies."""
        self._note(first=position)
        self.first = position

    def write(self, data: Frames) -> None:
        """Append rows, float32 (frames, channels); DiskError ``disk_failed`` when the disk does not take them."""
        assert self._file is not None
        assert self._synced is not None
        try:
            if self._synced.error is not None:
                raise self._synced.error
            self._file.write(data)
        except (soundfile.SoundFileError, AssertionError, OSError) as error:
            raise self._failed(error) from error
        self.frames += len(data)

    def write_gap(self, frames: int, cause: str) -> None:
        """Append zeros for frames that were lost, and note them; a gap right behind one of the same cause continues it."""
        assert self.position is not None
        start = self.position
        self._note(gap=[start, frames, cause])
        while frames:
            rows = min(frames, len(self._zeros))
            self.write(self._zeros[:rows])
            frames -= rows
            _add_gap(self.gaps, (start, rows, cause))
            start += rows

    def cut(self, position: int) -> None:
        """Drop every row from frame `position` on."""
        if self._file is not None and self.first is not None and position < self.first + self.frames:
            self.frames = max(0, position - self.first)
            self._file.truncate(self.frames)
            self._file.seek(self.frames)
            self._forget_gaps_after_end()

    def finish(self) -> Path:
        """Close the file, make it what it was meant to be, bring it to the disk and give it its name.

        Every step can be repeated: a process that dies here leaves what `resume` finishes.
        """
        try:
            if not self.sealed:
                self._journal.note(sealed=True)
                self._journal.sync()
                self.sealed = True
            self._close()
            make_whole(self.part, self.path, self.form)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._failed(error) from error
        self._journal.remove()
        return self.path

    def abandon(self) -> None:
        """Close the file as it is: readable up to here under its temporary name, and to be resumed. Never raises."""
        try:
            self._close()
            # A write that failed half-way leaves part of a row behind the last whole one.
            with soundfile.SoundFile(self.part, "r+") as file:
                self.frames = file.frames
                file.truncate(file.frames)
        except (soundfile.SoundFileError, OSError):
            pass
        self._forget_gaps_after_end()
        self._journal.close()

    # -- steps ---------------------------------------------------------------------------------------------------

    def _note(self, **entry: Any) -> None:
        try:
            self._journal.note(**entry)
        except OSError as error:
            raise self._failed(error) from error

    def _open(self, mode: str) -> None:
        form = self.form
        shape: dict[str, Any] = {"samplerate": form.samplerate, "channels": form.channels}
        try:
            if mode == "w":
                shape |= {"format": form.part_format, "subtype": form.part_subtype}
                self._file = soundfile.SoundFile(self.part, mode, **shape)
            else:
                self._file = soundfile.SoundFile(self.part, mode)
                self.frames = self._file.frames
                self._file.seek(self.frames)
            self._synced = SyncedFiles(self._journal.path, self.part)  # a gap is noted before its zeros are written
        except (soundfile.SoundFileError, OSError) as error:
            self._close()
            code, verb = ("file_unwritable", "make") if mode == "w" else ("file_unreadable", "go on with")
            raise DiskError(f"cannot {verb} {self.part}: {system_text(error)}", code=code, where=str(self.part)) from error
        keep_header_right(self._file)

    def _close(self) -> None:
        synced, self._synced = self._synced, None
        if synced is not None:
            synced.close()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _count_sealed(self) -> None:
        where = self.part if self.part.exists() else self.path
        try:
            self.frames = soundfile.info(where).frames
        except (soundfile.SoundFileError, OSError) as error:
            raise DiskError(
                f"cannot go on with {where}: {system_text(error)}", code="file_unreadable", where=str(where)
            ) from error

    def _forget_gaps_after_end(self) -> None:
        """A gap is noted before its zeros are written; only those that are in the file count."""
        if self.first is None:
            return
        end = self.first + self.frames
        kept: list[Gap] = []
        for position, frames, cause in self.gaps:
            if position < end:
                _add_gap(kept, (position, min(frames, end - position), cause))
        self.gaps = kept

    def _failed(self, error: Exception) -> DiskError:
        reason = system_text(error) if self._file is None else file_text(self._file, error)
        return DiskError(
            f"recording to {self.path} stopped: {reason}; what was written is whole in {self.part}",
            code="disk_failed",
            where=str(self.part),
            retry=True,
        )


def _add_gap(gaps: list[Gap], gap: Gap) -> None:
    position, frames, cause = gap
    if gaps and gaps[-1][0] + gaps[-1][1] == position and gaps[-1][2] == cause:
        gaps[-1] = (gaps[-1][0], gaps[-1][1] + frames, cause)
    else:
        gaps.append(gap)


def _open_journal(path: Path) -> Journal:
    journal = journal_path(path)
    try:
        return Journal.open(journal)
    except OSError as error:
        raise DiskError(
            f"cannot record to {path}: {error.strerror}; the folder must exist and be writable",
            code="file_unwritable",
            where=str(path),
        ) from error
