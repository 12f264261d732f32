"""Counters of the audio process in shared memory: written in the callback, read by anyone at no cost to it.

All words are aligned 64-bit values with one writer, so that each is always read whole. The few that belong
together (the clock) are guarded by a sequence number, odd while they are being written.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Final

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.segment import Segment, segment_name

_MAGIC: Final = int.from_bytes(b"ASMUSTAT", "little")
_LAYOUT: Final = 1

COUNTERS: Final = (
    "blocks",
    "frame_position",
    "input_underflow",
    "input_overflow",
    "output_underflow",
    "output_overflow",
    "deadline_misses",
    "lost_frames",
    "core_exceptions",
    "edits",
    "callback_last_ns",
    "callback_max_ns",
    "late_max_ns",
    "last_block_ns",
)
_FIRST_COUNTER: Final = 8
_WORD: Final = {name: _FIRST_COUNTER + index for index, name in enumerate(COUNTERS)}
_BLOCKSIZE: Final = 2
_SAMPLERATE: Final = 3
CLOCK: Final = 40  # sequence, position, monotonic_ns, utc_ns, device seconds
_CLOCK_TRIES: Final = 10_000  # milliseconds; to write it takes microseconds
_CORES: Final = 48  # marks of the plugin cores whose code runs: in the callback, and while one is made ready outside it
HISTOGRAM: Final = 64  # callback time
LATENESS: Final = HISTOGRAM + 512  # how late callbacks began
_BYTES: Final = 8 * (LATENESS + 512)


def bin_of(nanoseconds: int) -> int:
    """Histogram bin of a duration: eight bins an octave, so that a bin is at most 12.5 % wide.

    >>> bin_of(1000) == bin_of(1001), bin_of(1000) == bin_of(1200)
    (True, False)
    """
    if nanoseconds < 8:
        return max(nanoseconds, 0)
    bits = nanoseconds.bit_length()
    return min(511, (bits << 3) | ((nanoseconds >> (bits - 4)) & 7))


def bin_centre(index: int) -> float:
    """Middle of a bin, nanoseconds."""
    if index < 8:
        return float(index)
    bits, part = index >> 3, index & 7
    return math.ldexp(8 + part + 0.5, bits - 4)


def core_mark(node: str) -> int:
    """What stands for a node's core in the page: never 0, which means none.

    >>> core_mark("clip1") == core_mark("clip2")
    False
    """
    return 1 << 32 | zlib.crc32(node.encode())


def create_status(engine: str) -> Segment:
    """A new status segment for `engine`, all counters zero; RingError if there is one already."""
    segment = Segment.create(segment_name(engine, "status"), _BYTES)
    words = memoryview(segment.buffer).cast("q")
    words[1] = _LAYOUT
    words[0] = _MAGIC
    words.release()
    return segment


class StatusPage:
    """The counters of one engine.

    `words` (int64) and `reals` (float64) are the same memory; the audio process writes them through the word
    numbers of `word`, everyone else reads `snapshot`.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self.words = memoryview(segment.buffer).cast("q")
        self.reals = memoryview(segment.buffer).cast("d")
        if self.words[0] != _MAGIC or self.words[1] != _LAYOUT:
            found = self.words[1]
            self.close()
            raise RingError(
                f"status of {segment.name} has layout {found}; this version reads {_LAYOUT}",
                code="ring_layout",
                where=segment.name,
            )

    @classmethod
    def attach(cls, engine: str) -> StatusPage:
        """The page of a running engine; RingError ring_unknown when there is none."""
        return cls(Segment.attach(segment_name(engine, "status")))

    @staticmethod
    def word(name: str) -> int:
        """Index into `words` of a counter."""
        return _WORD[name]

    def describe(self, samplerate: float, blocksize: int) -> None:
        """Note the stream's format."""
        self.reals[_SAMPLERATE] = samplerate
        self.words[_BLOCKSIZE] = blocksize

    def count_lateness(self, nanoseconds: int) -> None:
        """Add one callback's lateness (its begin after its due time) to the histogram."""
        self.words[LATENESS + bin_of(nanoseconds)] += 1

    def stamp(self, position: int, monotonic_ns: int, utc_ns: int, device_time: float) -> None:
        """Note when frame `position` was due, on the three clocks."""
        words = self.words
        words[CLOCK] |= 1  # a process that was killed in here has left it odd
        words[CLOCK + 1] = position
        words[CLOCK + 2] = monotonic_ns
        words[CLOCK + 3] = utc_ns
        self.reals[CLOCK + 4] = device_time
        words[CLOCK] += 1

    def clock(self) -> tuple[int, int, int, float]:
        """The newest (frame position, monotonic ns, UTC ns, device s) that belong together."""
        # Not for ever: a process that was killed while it wrote leaves the guard odd, and what it had written is near enough.
        for _ in range(_CLOCK_TRIES):
            before = self.words[CLOCK]
            value = (self.words[CLOCK + 1], self.words[CLOCK + 2], self.words[CLOCK + 3], self.reals[CLOCK + 4])
            if before == self.words[CLOCK] and not before & 1:
                break
        return value

    def mark_core(self, mark: int, *, outside: bool = False) -> int:
        """Note whose code runs, in the callback or `outside` it: its `core_mark`, 0 for nobody's; what was noted before."""
        before = self.words[_CORES + outside]
        self.words[_CORES + outside] = mark
        return before

    def marked_cores(self) -> set[int]:
        """The `core_mark` of each core whose code runs, or ran when the audio process died."""
        return {mark for mark in self.words[_CORES : _CORES + 2] if mark}

    def forget_cores(self) -> None:
        """No core's code runs: a process that died has left its marks."""
        self.words[_CORES] = self.words[_CORES + 1] = 0

    def counter(self, name: str) -> int:
        """One counter."""
        return self.words[_WORD[name]]

    def histogram(self) -> list[int]:
        """Callbacks in each duration bin; `bin_centre` gives a bin's time."""
        return list(self.words[HISTOGRAM : HISTOGRAM + 512])

    def lateness(self) -> list[int]:
        """Callbacks in each lateness bin."""
        return list(self.words[LATENESS : LATENESS + 512])

    def snapshot(self) -> dict[str, Any]:
        """All counters, with the callback time and lateness as ``{"p50", "p99", "max"}`` in microseconds."""
        result: dict[str, Any] = {name: self.words[word] for name, word in _WORD.items()}
        result["samplerate"] = self.reals[_SAMPLERATE]
        result["blocksize"] = self.words[_BLOCKSIZE]
        result["callback_us"] = _summary(self.histogram(), result["callback_max_ns"])
        result["late_us"] = _summary(self.lateness(), result["late_max_ns"])
        return result

    def close(self) -> None:
        """Detach; the segment stays."""
        self.words.release()
        self.reals.release()
        self._segment.close()


def percentile(histogram: list[int], share: float) -> float:
    """Time in microseconds below which `share` (0 to 1) of the counted callbacks lie; 0 when none was counted."""
    total = sum(histogram)
    seen = 0
    for index, count in enumerate(histogram):
        seen += count
        if count and seen >= share * total:
            return bin_centre(index) / 1e3
    return 0.0


def _summary(histogram: list[int], maximum_ns: int) -> dict[str, float]:
    top = maximum_ns / 1e3
    return {
        "p50": round(min(percentile(histogram, 0.5), top), 2),
        "p99": round(min(percentile(histogram, 0.99), top), 2),
        "max": round(top, 2),
    }
