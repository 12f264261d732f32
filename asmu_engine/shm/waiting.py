"""Waiting for frames: near to no processor time, and near to no delay.

There is no signal from the writer, because sending one could block it. But it writes at the pace of the samplerate:
so a reader knows when its frames are due, sleeps until then, and looks often only around that time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from asmu_engine.shm.paced import is_alive

if TYPE_CHECKING:
    from asmu_engine.shm.reader import RingReader

_NS: Final = 1_000_000_000
_PAUSES: Final = ((0.002, 0.00025), (0.010, 0.0005), (0.100, 0.001))
"""(up to how late in seconds, pause between looks): the later the frames, the less a look is worth."""
_LONG_PAUSE: Final = 0.005
_CHECK_EVERY_NS: Final = 50_000_000
_ABANDONED_NS: Final = 10 * _NS
_LAG_KEPT: Final = 1 / 16


class Waiter:
    """Waits on behalf of one reader, and learns the writer's rhythm while doing so."""

    def __init__(self, reader: RingReader) -> None:
        self._reader = reader
        self._phase_ns: float | None = None
        self._learned_end = -1
        self._checked_end = -1
        self._dead_since: int | None = None

    def wait(self, frames: int, timeout: float | None) -> bool:
        """See `RingReader.wait`."""
        reader = self._reader
        missing = frames - reader.fill
        if missing <= 0:
            return True
        now = began = checked = time.monotonic_ns()
        deadline = None if timeout is None else began + int(timeout * _NS)
        while True:
            closed = reader.marked_closed
            missing = frames - reader.fill
            if missing <= 0 or closed:
                return missing <= 0
            now = time.monotonic_ns()
            if deadline is not None and now >= deadline:
                return False
            if now - checked >= _CHECK_EVERY_NS:
                checked = now
                if self.ended():
                    return reader.fill >= frames
            due = self._due(missing)
            late = (now - max(due, began)) / _NS
            pause = -late if late < 0 else next((pause for limit, pause in _PAUSES if late < limit), _LONG_PAUSE)
            if deadline is not None:
                pause = min(pause, (deadline - now) / _NS)
            # A sleep through a long wait would miss that the ring was closed.
            time.sleep(min(pause, _CHECK_EVERY_NS / _NS))

    def ended(self) -> bool:
        """True when nothing will come: the ring is closed or removed, or its writer died 10 s ago and has no successor."""
        reader = self._reader
        if reader.closed:
            return True
        end, _, _ = reader.latest_write
        pid = reader.writer_pid
        if end != self._checked_end or not pid or is_alive(pid):
            self._checked_end = end
            self._dead_since = None
            return False
        now = time.monotonic_ns()
        if self._dead_since is None:
            self._dead_since = now
        return now - self._dead_since >= _ABANDONED_NS

    def _due(self, missing: int) -> int:
        """Monotonic time at which the frames should be there, ns; 0 when nothing was written yet.

        The writer's blocks come with jitter, which only ever delays. So the rhythm is taken from the earliest
        blocks: an earlier one sets it at once, a later one moves it a little.
        """
        reader = self._reader
        end, block, published = reader.latest_write
        if not block:
            return 0
        ns_per_frame = _NS / reader.samplerate
        if end != self._learned_end:
            self._learned_end = end
            phase = published - end * ns_per_frame
            known = self._phase_ns
            if known is None or phase < known or phase > known + _NS:
                self._phase_ns = phase
            else:
                self._phase_ns = known + (phase - known) * _LAG_KEPT
        assert self._phase_ns is not None
        arriving = -(-missing // block) * block
        return int(self._phase_ns + (end + arriving) * ns_per_frame)
