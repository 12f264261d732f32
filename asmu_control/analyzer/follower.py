"""What the analyzers that compute in the client have in common: they follow a tap's ring, each at its own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from asmu_control.processor import Analyzer
from asmu_engine.protocol.errors import EngineError, PatchError, RingError

if TYPE_CHECKING:
    from asmu_control.existingtap import TapReader
    from asmu_control.interface import Interface

_PIECES: Final = 8
"""A long wait takes its frames out of the ring in pieces of this part of it, so that they are never overwritten meanwhile."""


class Follower(Analyzer):
    """Base of the analyzers that read the ring of their own tap. Nothing is computed in the audio process.

    The ring keeps the newest ``ring_seconds`` of the interface, 10 s unless told otherwise; so long may a script be busy
    with other things until frames are overwritten, which the next result then says. What was recorded until the engine
    was closed can be fetched afterwards as well, until the next start.

    One object may be used by several threads; they get their results in turn.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    channels
        Inputs to begin with. With another input a running one gets another ring, and begins anew.
    paced
        Have a device that runs without a clock (``offline``) wait for this analyzer; then it must be fetched from.
    """

    kind = "tap"
    ring = "tap"

    def __init__(self, interface: Interface, *, channels: int = 1, paced: bool = False) -> None:
        self._guard = threading.Lock()
        self._paced = paced
        self._reader: TapReader | None = None
        self._given = False
        self._origin = 0  # nothing from before is of interest
        self._seen = 0  # end of the newest frame handed out
        self._fresh = False  # a gap that begins at the origin is no loss
        self._begin_at: int | None = None
        super().__init__(interface, channels=channels)

    def read_from(self, reader: TapReader) -> None:
        """From now on analyze what this `reader` reads, from its position on, instead of the own tap's ring.

        For the taps of other processes (``Tap.attach(handle)``) and of other analyzers. The reader belongs to the
        analyzer then.

        Raises
        ------
        PatchError
            ``bad_value``: its samplerate is not the interface's.
        """
        if reader.samplerate != self._interface.samplerate:
            raise PatchError(
                f"the ring has {reader.samplerate:g} Hz, the interface {self._interface.samplerate:g} Hz",
                code="bad_value",
                where=self.name,
            )
        with self._guard:
            self._use(reader)
            self._origin = reader.position
            self._given = True

    def disconnect(self) -> None:
        """Leave the patch; the ring goes, with what has not been fetched."""
        super().disconnect()
        with self._guard:
            if self._reader is not None and not self._given:
                self._reader.close()
                self._reader = None

    # -- for the analyzers --------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """The next frames do not follow those before them: begin anew."""

    @contextmanager
    def _reading(self, deadline: float | None) -> Iterator[bool]:
        """Alone with the reader in the body; False where another thread had it until the deadline."""
        left = _left(deadline)
        if not self._guard.acquire(timeout=-1 if left is None else left):
            yield False
            return
        try:
            if self._reader is None and not self._attach():
                raise EngineError(
                    f"{self.name} has nothing to analyze before interface.start()", code="engine_state", where=self.name
                )
            self._settle()
            yield True
        finally:
            self._guard.release()

    @property
    def _source(self) -> TapReader:
        assert self._reader is not None
        return self._reader

    @property
    def _piece(self) -> int:
        """Most frames to wait for at once."""
        return max(1, self._source.capacity // _PIECES)

    def _wait(self, frames: int, deadline: float | None) -> bool:
        """Wait for so many more frames (at most `_piece`); False when the time is up or nothing more comes.

        After True all is as it may: another stream or another ring may have begun, so look again.
        """
        while True:
            reader = self._source
            if reader.wait(frames, _left(deadline)):
                self._settle()
                return True
            if not reader.closed or self._given or not self._attach():
                return False

    def _go_to_newest(self) -> None:
        """Go on with the frames that come from now on."""
        self._source.seek("newest")
        self._origin = max(self._origin, self._source.position)
        self._forget()

    def _go_back(self, frames: int) -> bool:
        """Go to where `frames` frames remain up to the newest one, or as far back as there are any; False if there are none."""
        reader = self._source
        newest = reader.writer_position
        if newest <= self._origin:
            return False
        reader.seek("oldest")
        reader.seek(max(reader.position, self._origin, newest - frames))
        self._settle()
        return True

    # -- the ring -----------------------------------------------------------------------------------------------

    def _opened(self) -> None:
        with self._guard:
            if not self._given:
                # Also where the name is that of the ring before: another engine made it.
                self._attach(anew=True)

    def _before_start(self, reset: bool) -> None:
        # Another thread may be reading: it finds the note. Nothing has been written since the last stream ended.
        if reset and self._reader is not None and not self._given:
            self._begin_at = self._reader.writer_position

    def _closing(self) -> None:
        if self._reader is not None and self._paced and not self._given:
            self._reader.release()

    def _attach(self, anew: bool = False) -> bool:
        """Attach the ring that the engine has for this node now; False when there is none, or, unless `anew`, the present one."""
        reader = self._open_reader(anew)
        if reader is None:
            return False
        try:
            if self._paced:
                reader.register_paced()
        except BaseException:
            reader.close()
            raise
        self._use(reader)
        return True

    def _open_reader(self, anew: bool) -> TapReader | None:
        session = self._interface._session
        if not session.opened:
            return None
        if session.client.remote:
            from asmu_control.existingtap import open_reader

            try:
                return open_reader(session.client, self.name, "oldest")
            except (EngineError, RingError):
                if anew:
                    raise
                return None
        from asmu_engine.shm.reader import RingReader

        try:
            name = self._interface._patch.ring_of(self)
        except EngineError:
            return None  # the engine ended meanwhile; what its ring held has been read
        if self._reader is not None and self._reader.name == name and not anew:
            return None
        return RingReader(name, "first")

    def _use(self, reader: TapReader) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = reader
        self._origin, self._seen, self._fresh, self._begin_at = 0, 0, False, None
        self._forget()

    def _settle(self) -> None:
        """Go to the beginning of a new stream, if there is one."""
        reader = self._source
        begin, self._begin_at = self._begin_at, None
        if begin:
            reader.seek(begin)
            self._origin, self._fresh = begin, True
            self._forget()
        if self._fresh and reader.writer_position > self._origin:
            # The blocks that a stream drops at its start are no loss.
            self._fresh = False
            for gap in reader.gaps():
                if gap.position == self._origin:
                    self._origin = gap.end
                    reader.seek(max(reader.position, gap.end))


def deadline_of(block: bool, timeout: float | None) -> float | None:
    """When to give up, on the monotonic clock; None: never. `timeout` in seconds, None for no limit."""
    if block and timeout is None:
        return None
    return time.monotonic() + (max(0.0, timeout) if block and timeout is not None else 0.0)


def check_count(value: object, what: str, minimum: int = 1) -> int:
    """A whole number from `minimum` on; PatchError ``bad_value`` for others."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < minimum:
        raise PatchError(f"{what} {value!r}: use a whole number from {minimum} on", code="bad_value", where=what)
    return int(value.__index__())


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
