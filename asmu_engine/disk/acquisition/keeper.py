"""Holds together what writes one recording: the writer, its helpers' threads, and what is done when the disk fails them."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.disk.acquisition.finisher import Ended, Finisher
from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.guard import Guard, Warn
from asmu_engine.disk.acquisition.syncer import Syncer, SyncTarget
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.disk.acquisition.writer import Frames, Writer
from asmu_engine.disk.job import HOST_GONE
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.recording import ledger
from asmu_engine.recording.ledger import Cause

_LOOK_S: Final = 1.0
_FINISHING_S: Final = 0.25


class Keeper:
    """Writes a recording; belongs to one thread, but for `status`.

    Where the disk does not take something it is tried again after the recording's policy has been carried out, or DiskError
    ends the recording.

    Parameters
    ----------
    folder
        The recording.
    times
        When its frames are due.
    warn
        Tells the host of trouble with the disk.
    why, start
        For the ledger: why this process begins to write, and at which frame position, where that is known.
    filled
        Of a recording that goes on: see `Writer.resume`.

    Raises
    ------
    OSError
        From the disk: it cannot begin.
    """

    def __init__(self, folder: Folder, times: Times, warn: Warn, why: str, start: int | None, filled: list[ledger.Gap]) -> None:
        self._folder = folder
        self._finisher = Finisher(folder.form, self._whole)
        self._behind = 0.0
        self._unsaid: deque[ledger.Entry] = deque()
        self._next_look = time.monotonic() + _LOOK_S
        try:
            self._writer = Writer(folder, times, self._finisher)
            if why != "new":
                self._writer.resume(filled)
                for path in {folder.path, self._writer.data}:
                    folder.write_checksums(path)
            if self._writer.position is None:
                self._writer.position = start
            folder.begin(self._writer.position, why)
            self._guard = Guard(folder, self._writer, self._finisher, warn)
            self._synced = (
                SyncTarget(self._writer.sync, lambda: self._writer.data),
                SyncTarget(folder.sync, lambda: folder.path),
            )
            self._syncer = Syncer(folder.settings.sync_seconds, self._sync)
        except BaseException:
            self._finisher.close()
            raise

    @property
    def position(self) -> int | None:
        """Frame position of the next frame; None before the first."""
        return self._writer.position

    def begin(self, position: int) -> None:
        """The first frame is this one, where that was not known so far."""
        if self._writer.position is None:
            self._writer.position = position

    def write(self, data: Frames, position: int) -> None:
        """Append those of some frames, float32 (frames, channels), that are not there yet; the first is at `position`.

        Where the disk failed, the position may be before them afterwards: what it did not keep is to be written once more.
        """
        while 0 <= (done := self._position() - position) < len(data):
            try:
                self._writer.write(data[done:])
            except OSError as error:
                self._guard.react(error, may_fall_back=True)

    def leave_gap(self, end: int, cause: Cause, uncertainty: int) -> None:
        """Frames up to position `end` are missing."""
        if end > self._position():
            self._try(self._writer.note_gap, end - self._position(), cause, uncertainty)
            self._try(self._writer.fill)

    def note(self, entries: list[ledger.Entry]) -> None:
        """Add to the ledger at the next `watch`; from any thread, which does not wait for the disk."""
        self._unsaid.extend(entries)

    def cut(self, position: int) -> None:
        """Drop what was written from a position on, as far back as the growing segment goes, and no gap that the ledger has."""
        self._try(self._writer.cut, position)

    def watch(self, behind_seconds: float, ring_seconds: float) -> None:
        """See to what the threads ran into, and once a second to the disk itself; for the arguments see `Guard.look`.

        The position may be lower afterwards, as after `write`.
        """
        self._behind = behind_seconds
        self._say_all()
        if (error := self._finisher.error) is not None:
            self._guard.react_to_finisher(error)
        for part in self._synced:
            if (error := part.take_error()) is not None:
                self._guard.react(error, may_fall_back=True)
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._guard.look(behind_seconds, ring_seconds)

    def end(self, reason: str, progress: Callable[[], None]) -> None:
        """Make every segment whole, and say that the recording has ended; `progress` is called now and then meanwhile."""
        self._say_all()
        self._try(self._writer.end_segment)
        while not self._finisher.idle:
            if not self._finisher.wait(_FINISHING_S):
                progress()
            elif (error := self._finisher.error) is not None:
                self._guard.react_to_finisher(error)
        folder, position = self._folder, self._writer.position
        if reason == HOST_GONE:
            # Not ended: a folder whose manifest says ``recording`` and that nobody holds is one to go on with, or to repair.
            self._try(folder.note, ledger.Event(what="interrupted", position=position, text=reason))
            self._try(folder.sync)
        else:
            self._try(folder.end, "finished", position, reason)

    def give_up(self, error: AsmuError, progress: Callable[[], None]) -> None:
        """The recording cannot go on: what can be made whole is. Never raises."""
        position = self._writer.position
        with contextlib.suppress(OSError):
            self._writer.end_segment()
        self._finisher.retry()
        while not self._finisher.wait(_FINISHING_S):
            progress()
        with contextlib.suppress(OSError):
            self._folder.end("failed", position, error.message)

    def close(self) -> None:
        """End the threads and let go of the folder, whatever state it is in."""
        self._syncer.close()
        self._finisher.close()
        self._writer.close()
        self._guard.close()
        self._folder.close()

    def status(self) -> dict[str, Any]:
        """The fields of `AcquireJob` that tell of the files; from any thread."""
        folder, writer = self._folder, self._writer
        account, form = folder.account, folder.form
        rows, position = folder.growing()
        first = account.first
        frames = 0 if first is None or position is None else max(0, position - first)
        growing, segment = account.growing, writer.segment
        pending = sum(ended.frames for ended in folder.segments("ended")) + rows
        unsynced = 0 if segment is None else max(0, segment.frames - segment.synced)
        return {
            "path": str(folder.path),
            "format": form.format,
            "subtype": form.subtype,
            "samplerate": form.samplerate,
            "channels": form.channels,
            "first": first,
            "position": position,
            "frames": frames,
            "seconds": frames / form.samplerate,
            "bytes": account.bytes + pending * writer.frame_bytes,
            "lost_frames": account.lost_frames,
            "lost": dict(account.lost),
            "gap_count": account.gap_count,
            "gaps": [[gap.position, gap.frames, gap.cause] for gap in account.latest_gaps()],
            "segment": None if growing is None else growing.file,
            "segments": len(folder.segments("whole")),
            "dropped": sum(dropped.frames > 0 for dropped in folder.segments("dropped")),
            "xruns": account.xruns,
            "disk": {**self._guard.state(self._behind), "unsynced_seconds": unsynced / form.samplerate},
        }

    # -- steps ---------------------------------------------------------------------------------------------------

    def _say_all(self) -> None:
        while self._unsaid:
            self._try(self._folder.note, self._unsaid[0])
            self._unsaid.popleft()

    def _position(self) -> int:
        assert self._writer.position is not None
        return self._writer.position

    def _try(self, step: Callable[..., None], *arguments: object) -> None:
        """Do something on the disk until it works."""
        while True:
            try:
                step(*arguments)
                return
            except OSError as error:
                self._guard.react(error)

    def _sync(self) -> None:
        all(part.turn() for part in self._synced)  # none behind one that failed

    def _whole(self, ended: Ended, size: int, digest: str) -> None:
        folder = self._folder
        file = folder.account.segments[ended.index].file
        facts = ledger.SegmentWhole(
            index=ended.index, file=file, first=ended.first, frames=ended.frames, bytes=size, sha256=digest
        )
        folder.note(facts)
        folder.write_checksums(ended.path.parent)
