"""A recording: from a tap's ring to a sound file that keeps the frame axis."""

from __future__ import annotations

from typing import Any, Final, Literal

from asmu_engine.disk.job import Job, Pace, Send
from asmu_engine.disk.part import Part
from asmu_engine.protocol.errors import AsmuError, DiskError, RingError
from asmu_engine.shm.reader import RingReader

Start = int | Literal["newest", "oldest"]

_CHUNK_BYTES: Final = 4 * 1024 * 1024
_GAPS_SHOWN: Final = 1000


class Recorder(Job):
    """Takes every frame of a tap from where the recording begins, and zeros for each that is missing.

    It ends at a stop, or by itself when the ring's writer closes the ring, with all that the ring holds. A writer that
    dies and is followed by another on the same ring leaves a gap; `attach` goes on with another ring.

    Parameters
    ----------
    number, send
        See `Job`.
    reader
        From `open_ring`, at the first frame to be recorded.
    part
        The growing file, which has the ring's channels and samplerate.
    first
        Frame position of the file's first frame, also where the tap is there only later; None: the first that it delivers.
    """

    def __init__(self, number: int, send: Send, reader: RingReader, part: Part, first: int | None = None) -> None:
        super().__init__(number, send)
        self._first = first
        self._reader = reader
        self._part = part
        self._chunk_frames = max(1, _CHUNK_BYTES // (4 * reader.channels))
        self._generation = reader.generation
        self._until: int | None = None
        self._drain = False
        self._attach: tuple[str, int] | None = None

    def stop(self, request: int | None = None, until: int | None = None) -> None:
        """End before frame position `until`; None: with what the ring holds now."""
        with self._lock:
            # A stop without a position is for now, also where an earlier one named a position to come.
            self._until = until
            self._drain = until is None
        super().stop(request)

    def attach(self, ring: str, request: int) -> None:
        """Go on from another ring on the same frame axis; answered when that has happened."""
        with self._lock:
            running = self.state == "running"
            if running:
                self._attach = (ring, request)
        if not running:
            raise self._ended()
        self._wake.set()

    def status(self) -> dict[str, Any]:
        """What is in the file: ``frames`` from frame position ``first`` on, of which ``lost_frames`` are zeros.

        ``gaps`` lists the latest 1000 of the ``gap_count`` stretches of zeros, ``[position, frames, cause]``. Causes: ``device``
        (the engine never got them), ``overrun`` (overwritten in the ring before they were read), ``restart`` (the engine's
        audio process was replaced), ``absent`` (the tap was not there yet).
        """
        part = self._part
        frames = part.frames
        gaps = list(part.gaps)
        return {
            "job": self.number,
            "kind": "record",
            "state": self.state,
            "path": str(part.path),
            "part": "" if self.state == "finished" else str(part.part),
            "format": part.form.format,
            "subtype": part.form.subtype,
            "samplerate": part.form.samplerate,
            "channels": part.form.channels,
            "first": part.first,
            "position": part.position,
            "frames": frames,
            "seconds": frames / part.form.samplerate,
            "lost_frames": sum(gap[1] for gap in gaps),
            "gap_count": len(gaps),
            "gaps": [list(gap) for gap in gaps[-_GAPS_SHOWN:]],
        }

    def _work(self) -> None:
        try:
            if not self._part.sealed:
                self._take_all()
            self._part.finish()
        except BaseException:
            self._part.abandon()
            raise
        finally:
            self._reader.close()

    def _take_all(self) -> None:
        pace = Pace(self._reader.capacity)
        while True:
            stop_asked = self._stop_asked
            # Asked before the read: frames that were written before the ring was closed are still taken.
            closed = self._reader.closed
            if stop_asked and self._drain and self._until is None:
                self._until = self._reader.writer_position
            moved = self._take()
            position, until = self._part.position, self._until
            if stop_asked and until is not None and position is not None and position >= until:
                self._part.cut(until)
                return
            if not moved:
                if self._attach is not None:
                    self._change_ring()
                elif closed or (stop_asked and self._drain):
                    return
            self._progress()
            pace.rest(moved, self._wake)

    def _take(self) -> int:
        """Move what is there into the file, at most one chunk; the rows written."""
        part, reader = self._part, self._reader
        until = self._until if self._stop_asked else None
        if until is not None and part.position is not None and part.position >= until:
            return 0
        chunk = reader.read_chunk(self._chunk_frames)
        if chunk is None:
            return 0
        before = part.frames
        if part.position is None:
            delivered = chunk.position - chunk.lost
            part.begin(delivered if self._first is None else self._first)
            if self._first is not None and (absent := min(reader.first_position, delivered) - self._first) > 0:
                part.write_gap(absent if until is None else max(0, min(absent, until - self._first)), "absent")
        assert part.position is not None
        # The frame axis alone says what is missing, whatever the reason: row i of the file is frame first + i.
        causes = ("overrun", "device") if reader.generation == self._generation else ("restart", "restart")
        self._generation = reader.generation
        for end, cause in zip((chunk.position - chunk.lost, chunk.position), causes, strict=True):
            missing = (end if until is None else min(end, until)) - part.position
            if missing > 0:
                part.write_gap(missing, cause)
        rows = len(chunk.data) if until is None else max(0, min(len(chunk.data), until - chunk.position))
        overlap = max(0, part.position - chunk.position)
        if rows > overlap:
            part.write(chunk.data[overlap:rows])
        return part.frames - before

    def _change_ring(self) -> None:
        with self._lock:
            assert self._attach is not None
            (ring, request), self._attach = self._attach, None
        form = self._part.form
        begin = self._first if self._part.position is None else self._part.position
        start: Start = "oldest" if begin is None else begin
        try:
            reader = open_ring(ring, start, form.channels, form.samplerate)
        except AsmuError as error:
            self._send({"id": request, "error": error.to_wire()})
            return
        self._reader.close()
        self._reader = reader
        self._generation = -1
        self._send({"id": request, "result": self.status()})

    def _end(self, state: str, error: AsmuError | None) -> None:
        super()._end(state, error)
        with self._lock:
            attach, self._attach = self._attach, None
        if attach is not None:
            self._send({"id": attach[1], "error": self._ended().to_wire()})

    def _ended(self) -> DiskError:
        return DiskError(f"recording {self.number} has ended", code="disk_job_unknown", where=f"job {self.number}")


def open_ring(
    name: str, start: Start, channels: int | None = None, samplerate: float | None = None, *, held: bool = False
) -> RingReader:
    """A reader that an offline engine waits for.

    Raises
    ------
    RingError
        From the ring; with `held` also ``ring_position``: frames from the position `start` on are lost already.
    DiskError
        ``file_format`` where the ring has other `channels` or another `samplerate` than are named.
    """
    reader = RingReader(name, "oldest" if held else start)
    if held and isinstance(start, int):
        oldest = reader.position if reader.writer_position else 0
        if start < oldest:
            reader.close()
            raise RingError(
                f"ring {name} holds frames from {oldest} on; a recording cannot begin at frame {start}",
                code="ring_position",
                where=name,
            )
        reader.seek(start)
    found = f"{reader.channels} channels at {reader.samplerate:g} Hz"
    if (channels or reader.channels) != reader.channels or (samplerate or reader.samplerate) != reader.samplerate:
        reader.close()
        raise DiskError(
            f"the recording has {channels} channels at {samplerate:g} Hz, ring {name} {found}; they must be the same",
            code="file_format",
            where=name,
        )
    try:
        reader.register_paced()
    except AsmuError:
        reader.close()
        raise
    return reader
