"""What a reader hands out: frames with their place on the frame axis, and the truth about what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asmu_engine.shm.end import Frames
    from asmu_engine.shm.reader import RingReader


class Stamp(NamedTuple):
    """One frame position with its time on two clocks; from here the times of other positions follow by the samplerate."""

    position: int
    monotonic_ns: int
    utc_ns: int


@dataclass(slots=True, eq=False)
class RingBlock:
    """Frames read from a ring.

    Attributes
    ----------
    data
        float32 (frames, channels). A view of the ring is read-only and holds only while `intact`.
    position
        Frame position of the first frame.
    lost
        `RingReader.read`: frames in this block that were never delivered, zeros in `data`.
        `RingReader.read_chunk`: frames lost right before this block.
    skipped
        Frames right before these that the reader was too slow for: overwritten before they were read.
    stamp
        The ring's newest time stamp when the block was read, None without one.
    cause
        Why they were lost, a number of `asmu_engine.shm.causes`: of the newest gap that `lost` counts; 0 where that is 0.
    uncertainty
        Standard uncertainty of that gap's length, frames; 0 where they were counted.
    """

    data: Frames
    position: int
    lost: int
    skipped: int
    stamp: Stamp | None
    _samplerate: float
    _viewed: RingReader | None = field(default=None, repr=False)
    cause: int = 0
    uncertainty: int = 0

    def __len__(self) -> int:
        return len(self.data)

    @property
    def monotonic_ns(self) -> int:
        """Monotonic time of the first frame, ns; 0 where the writer gives no times."""
        return 0 if self.stamp is None else self.stamp.monotonic_ns + self._since_stamp()

    @property
    def utc_ns(self) -> int:
        """UTC of the first frame, ns since 1970; 0 where the writer gives no times."""
        return 0 if self.stamp is None or not self.stamp.utc_ns else self.stamp.utc_ns + self._since_stamp()

    def intact(self) -> bool:
        """True while nothing in `data` has been overwritten. A copy always is; ask a view after its last use."""
        return self._viewed is None or self._viewed.holds(self.position)

    def _since_stamp(self) -> int:
        assert self.stamp is not None
        return round((self.position - self.stamp.position) * 1e9 / self._samplerate)
