"""An acquisition: from a tap's ring into a recording folder, for as long as it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from asmu_engine.disk.acquisition.folder import STOPPED, Folder
from asmu_engine.disk.acquisition.keeper import Keeper
from asmu_engine.disk.acquisition.missing import Missing, gap_cause, overwritten
from asmu_engine.disk.acquisition.space import Warning
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.disk.job import Job, Pace, Send
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.recording import ledger
from asmu_engine.shm.block import RingBlock
from asmu_engine.shm.reader import RingReader

_CHUNK_BYTES: Final = 1024 * 1024
"""Small enough to stay in a processor's cache between the copy from the ring and the write."""
_TURN_BYTES: Final = 16 * _CHUNK_BYTES
_TURN_S: Final = 0.25
_CLOSED_S: Final = 1.0
"""So long the host may take to say why a ring was closed."""

LENGTH: Final = "its length was reached"
"""Why one ended whose settings say how long it is."""
CLOSED: Final = "the ring was closed"
"""Why one ended that may be gone on with all the same."""


@dataclass(frozen=True)
class Beginning:
    """How an acquisition begins.

    Attributes
    ----------
    why
        ``new``; ``disk``: it goes on, its former process died; ``host``: it goes on, in an engine that was started anew.
    start
        Frame position of the first frame of a new one; None: the first that is delivered.
    gap_uncertainty
        ``host``: standard uncertainty of how far the frame axis has moved meanwhile, frames.
    """

    why: Literal["new", "disk", "host"] = "new"
    start: int | None = None
    gap_uncertainty: int = 0


class Acquisition(Job):
    """Takes every frame of a tap from where the recording begins, and accounts for each that is missing.

    It ends at a stop, or by itself when the ring's writer closes the ring. When the host is gone it is interrupted: its
    segments are whole then, and it is to be gone on with.

    Parameters
    ----------
    number, send
        See `Job`.
    reader
        From `open_ring`, where the recording begins or goes on.
    folder
        From `Folder.create` or `Folder.resume`.
    times
        When frames are due.
    beginning
        How it begins.
    filled
        Of a recording that goes on: see `Writer.resume`.

    Raises
    ------
    OSError
        From the disk: it cannot begin.
    """

    def __init__(
        self,
        number: int,
        send: Send,
        reader: RingReader,
        folder: Folder,
        times: Times,
        beginning: Beginning,
        filled: list[ledger.Gap],
    ) -> None:
        super().__init__(number, send)
        self._reader = reader
        self._folder = folder
        self._times = times
        self._beginning = beginning
        self._chunk_frames = max(1, _CHUNK_BYTES // (4 * reader.channels))
        self._turn_frames = max(1, _TURN_BYTES // (4 * reader.channels))
        self._generation = reader.generation
        self._read_before = False
        self._until: int | None = None
        self._drain = False
        self._reason = STOPPED
        self._closed_since: float | None = None
        self._keeper = Keeper(folder, times, self._warn, beginning.why, beginning.start, filled)

    @property
    def position(self) -> int | None:
        """Frame position of the next frame that is written; None before the first."""
        return self._keeper.position

    # -- from other threads --------------------------------------------------------------------------------------

    def stop(self, request: int | None = None, until: int | None = None) -> None:
        """End before frame position `until`; None: with what the ring holds now.

        One that comes late ends in the growing segment, and behind its last gap, at the earliest.
        """
        self._end_at(request, until, STOPPED)

    def interrupt(self, why: str) -> None:
        """End with what the ring holds now, such that another process may go on.

        One that was told before to end with what the ring holds does just that.
        """
        with self._lock:
            ending = self._stop_asked and self._drain
        if not ending:
            self._end_at(None, None, why)

    def note(self, entries: list[ledger.Entry]) -> None:
        """The host tells what explains the frames: fits of the clock, xruns, events. Does not wait for the disk."""
        for entry in entries:
            if isinstance(entry, ledger.Clock):
                self._times.note_fit(entry.fit)
        if self.state == "running":
            self._keeper.note(entries)
            self._wake.set()

    def status(self) -> dict[str, Any]:
        """The fields of `AcquireJob`, but for those that the host knows."""
        return {"job": self.number, "kind": "acquire", "state": self.state, **self._keeper.status()}

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        keeper = self._keeper
        try:
            self._take_all()
            keeper.end(self._reason, self._progress)
        except AsmuError as error:
            keeper.give_up(error, self._progress)
            raise
        finally:
            keeper.close()
            self._reader.close()

    def _take_all(self) -> None:
        reader, keeper = self._reader, self._keeper
        pace = Pace(reader.capacity)
        ring_seconds = reader.capacity / reader.samplerate
        while True:
            stop_asked = self._stop_asked
            # Asked before the read: frames that were written before the ring was closed are still taken.
            closed = reader.closed
            if stop_asked and self._drain and self._until is None:
                self._until = reader.writer_position
            moved = self._take_turn()
            position, until = keeper.position, self._limit()
            if until is not None and position is not None and position >= until:
                if not stop_asked:
                    self._reason = LENGTH
                keeper.cut(until)
                return
            if not moved and (self._closed_for_good(closed) or (stop_asked and self._drain)):
                return
            keeper.watch(max(0, reader.fill) / reader.samplerate, ring_seconds)
            if position is not None and keeper.position is not None and keeper.position < position:
                reader.seek(keeper.position)
            self._progress()
            if moved < self._turn_frames:  # else there is more to be taken at once
                pace.rest(moved, self._wake)

    def _take_turn(self) -> int:
        """Move what is there into the folder, at most so much that stops and trouble need not wait; the frames it went on.

        None means that nothing is there, or that the disk takes nothing: one chunk is tried however long this thread was held up.
        """
        end = time.monotonic() + _TURN_S  # a disk that is slow makes even that long
        moved = frames = self._take()
        while frames and moved < self._turn_frames and time.monotonic() < end:
            frames = self._take()
            moved += frames
        return moved

    def _take(self) -> int:
        """Move what is there into the folder, at most one chunk; the frames that it went on."""
        keeper, reader = self._keeper, self._reader
        until = self._limit()
        if until is not None and keeper.position is not None and keeper.position >= until:
            return 0
        chunk = reader.read_chunk(self._chunk_frames)
        if chunk is None:
            return 0
        self._times.note_stamp(chunk.stamp, reader.writer_position)
        keeper.begin(chunk.position - chunk.lost)
        until = self._limit()
        before = keeper.position
        assert before is not None
        for missing in self._missing(chunk, before):
            if missing.uncertainty:
                self._times.doubt(missing.end)
            keeper.leave_gap(missing.end if until is None else min(missing.end, until), missing.cause, missing.uncertainty)
        rows = len(chunk.data) if until is None else max(0, min(len(chunk.data), until - chunk.position))
        if rows:  # else the recording ends within the gap before them
            keeper.write(chunk.data[:rows], chunk.position)
        after = keeper.position
        assert after is not None
        if after < chunk.position:  # the disk did not keep what was written before
            reader.seek(after)
        return after - before

    def _limit(self) -> int | None:
        """Frame position before which it ends: where it was told to, and no later than its length says; None: not known yet."""
        told = self._until if self._stop_asked else None
        seconds, first = self._folder.settings.seconds, self._folder.account.first
        if first is None:
            first = self._keeper.position
        if seconds is None or first is None:
            return told
        end = first + round(seconds * self._reader.samplerate)
        return end if told is None else min(told, end)

    def _missing(self, chunk: RingBlock, begin: int) -> list[Missing]:
        """What is missing right before a chunk, from position `begin` on."""
        reader = self._reader
        replaced = reader.generation != self._generation
        self._generation = reader.generation
        found: list[Missing] = []
        delivered = chunk.position - chunk.lost
        if not self._read_before:
            self._read_before = True
            there = min(reader.first_position, delivered)
            if there > begin and self._beginning.why != "disk":
                cause: ledger.Cause = "absent" if self._beginning.why == "new" else "host"
                found.append(Missing(there, cause, self._beginning.gap_uncertainty))
                begin = there
        if delivered > begin:
            found += overwritten(begin, delivered, reader.gaps(), replaced=replaced)
        if chunk.lost:
            found.append(Missing(chunk.position, gap_cause(chunk.cause, replaced=replaced), chunk.uncertainty))
        return found

    def _closed_for_good(self, closed: bool) -> bool:
        """True when nothing more comes. Before that is believed the host has a moment to say why the ring was closed."""
        if not closed:
            self._closed_since = None
            return False
        if self._closed_since is None:
            self._closed_since = time.monotonic()
        if not self._stop_asked and time.monotonic() - self._closed_since < _CLOSED_S:
            return False
        if not self._stop_asked:
            self._reason = CLOSED
        return True

    def _end_at(self, request: int | None, until: int | None, reason: str) -> None:
        with self._lock:
            # A stop without a position is for now, also where an earlier one named a position to come.
            self._until = until
            self._drain = until is None
            self._reason = reason
        super().stop(request)

    def _warn(self, warning: Warning) -> None:
        facts = {"event": "disk_warning", "job": self.number, "folder": str(self._folder.path)}
        self._send({**facts, "what": warning.what, "text": warning.text})
