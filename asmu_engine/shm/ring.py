"""Rings: what is where in a ring's segment, and in which order it is written.

A ring has one writer and any number of readers. The writer never waits and does not know its readers. Positions
are free-running 64-bit frame positions; the frame at position p lies at row ``p % capacity`` of a float32 array
``(capacity, channels)`` in C order behind a header of 64 KiB. The header is an array of 64-bit words, native byte order:
integers, but for the samplerate. A word is aligned and stored or loaded whole (one move on every 64-bit machine).

Order
-----
Neither a compiler nor Python reorders these steps; a processor may, so a `Fence` stands where it matters:

    writer                                          reader
    1  write_begin = end of what is to come         1  end = write_end           (nothing before it is missing)
    2  fence                                        2  fence
    3  data, gap table, time stamp                  3  gap table, data
    4  fence                                        4  fence
    5  write_end = the same end                     5  intact if write_begin - capacity <= first frame read

A reader that sees write_end sees the data before it (4 against 2). A reader whose data was touched by a later write
sees that write's write_begin (2 against 4): it never takes overwritten frames for good ones.

Gaps
----
Lost frames have no data: the writer goes on at the position that follows them and notes (position, lost, cause,
uncertainty) in a table of 1024, published like the data: gap_begin before an entry is written, gap_count after. What lies before
the oldest entry that is still whole can no longer be told from lost frames, and counts as overwritten.

Feeds
-----
A feed is a ring whose one reader (the audio process) publishes how far it has read, so that the writer never
overtakes it. The writer may end it (end_position) or have everything before a position dropped (jump_to).

Restart
-------
A process may die between any two steps. The next writer takes over what was published, raises the generation,
and never lowers write_begin, so frames that a dying write touched stay marked as touched.
"""

from __future__ import annotations

import math
import struct
from enum import IntEnum
from typing import Final

from asmu_engine.protocol.errors import RingError
from asmu_engine.protocol.version import MAX_CHANNELS
from asmu_engine.shm.segment import Segment

MAGIC: Final = int.from_bytes(b"ASMURING", "little")
LAYOUT_VERSION: Final = 1
HEADER_BYTES: Final = 64 * 1024
FRAME_BYTES: Final = 4
"""Bytes of one sample: float32."""

# Words of the header. Words that different processes write lie on different cache lines (8 words each).
WORD_MAGIC: Final = 0
WORD_VERSION: Final = 1
WORD_KIND: Final = 2
WORD_CHANNELS: Final = 3
WORD_SAMPLERATE: Final = 4
"""The only float64 of the header."""
WORD_CAPACITY: Final = 5

WORD_WRITER_PID: Final = 8
WORD_GENERATION: Final = 9
WORD_CLOSED: Final = 10
WORD_FIRST_POSITION: Final = 11
"""Position of the very first frame, -1 before there was one."""

WORD_WRITE_BEGIN: Final = 16
WORD_WRITE_END: Final = 17
WORD_PUBLISHED_NS: Final = 18
"""Monotonic time of the latest write, 0 before the first."""
WORD_BLOCK_FRAMES: Final = 19
"""Frames of the latest write."""
WORD_GAP_BEGIN: Final = 20
WORD_GAP_COUNT: Final = 21

WORD_STAMP_SEQUENCE: Final = 24
"""Odd while the stamp is being written, 0 before the first."""
WORD_STAMP_POSITION: Final = 25
WORD_STAMP_MONOTONIC_NS: Final = 26
WORD_STAMP_UTC_NS: Final = 27

WORD_READ_POSITION: Final = 32
WORD_UNDERFLOW_FRAMES: Final = 33
WORD_CONSUMER_PID: Final = 34

WORD_END_POSITION: Final = 40
"""Feed: position behind its last frame, -1 while that is not known."""
WORD_JUMP_TO: Final = 41
"""Feed: everything before this position is to be dropped, -1 for nothing."""
WORD_LOOP_ORIGIN: Final = 42
"""Feed: position of the first frame of what is played in a loop; may be negative, where that began in the middle."""
WORD_LOOP_FRAMES: Final = 43
"""Feed: length of that loop, 0 for none. It begins anew at the origin plus 1, 2, … lengths."""

WORD_PACED: Final = 64
PACED_STRIDE: Final = 8
PACED_SLOTS: Final = 16
"""Slots of (pid, position), one cache line each; pid 0 is free."""

WORD_GAPS: Final = 1024
GAP_STRIDE: Final = 4
GAP_SLOTS: Final = 1024
"""Entries of (position, lost, cause, uncertainty)."""

_DOUBLE: Final = struct.Struct("d")


class RingKind(IntEnum):
    """Direction of a ring, seen from the engine."""

    TAP = 1
    """Out of the schedule, to any number of readers."""
    FEED = 2
    """Into the schedule, which is its one reader."""


def ring_bytes(channels: int, capacity: int) -> int:
    """Size of the segment of a ring."""
    return HEADER_BYTES + channels * capacity * FRAME_BYTES


def header_words(segment: Segment) -> memoryview:
    """The header of a segment as 64-bit integers."""
    return memoryview(segment.buffer)[:HEADER_BYTES].cast("q")


def format_header(segment: Segment, kind: RingKind, channels: int, samplerate: float, capacity: int) -> None:
    """Turn a segment of zeros into an empty ring. The magic word comes last: before it nobody can attach."""
    with header_words(segment) as words:
        words[WORD_VERSION] = LAYOUT_VERSION
        words[WORD_KIND] = kind
        words[WORD_CHANNELS] = channels
        _DOUBLE.pack_into(segment.buffer, WORD_SAMPLERATE * 8, samplerate)
        words[WORD_CAPACITY] = capacity
        words[WORD_FIRST_POSITION] = -1
        words[WORD_END_POSITION] = -1
        words[WORD_JUMP_TO] = -1
        words[WORD_MAGIC] = MAGIC


def check_shape(name: str, channels: int, samplerate: float, capacity: int) -> None:
    """Raise RingError ``ring_shape`` for what no ring can have."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise RingError(f"ring {name}: {channels} channels; use 1 to {MAX_CHANNELS}", code="ring_shape", where=name)
    if not (math.isfinite(samplerate) and samplerate > 0):
        raise RingError(f"ring {name}: samplerate {samplerate} Hz; use a positive number", code="ring_shape", where=name)
    if capacity < 1:
        raise RingError(f"ring {name}: capacity of {capacity} frames; use at least 1", code="ring_shape", where=name)


def read_shape(segment: Segment) -> tuple[RingKind, int, float, int]:
    """Kind, channels, samplerate in Hz and capacity in frames of the ring in a segment.

    Raises
    ------
    RingError
        ``ring_layout`` for a segment that is not a ring, or one of another layout version.
    """
    name = segment.name
    if segment.size < HEADER_BYTES:
        raise RingError(f"segment {name} is too small for a ring: {segment.size} bytes", code="ring_layout", where=name)
    with header_words(segment) as words:
        magic, version, kind, channels, capacity = (
            words[i] for i in (WORD_MAGIC, WORD_VERSION, WORD_KIND, WORD_CHANNELS, WORD_CAPACITY)
        )
        (samplerate,) = _DOUBLE.unpack_from(segment.buffer, WORD_SAMPLERATE * 8)
    if magic != MAGIC:
        raise RingError(f"segment {name} is not a ring, or is still being made", code="ring_layout", where=name, retry=True)
    if version != LAYOUT_VERSION:
        raise RingError(
            f"ring {name} has layout {version}, this library reads {LAYOUT_VERSION}; use one version on both sides",
            code="ring_layout",
            where=name,
        )
    if kind not in (RingKind.TAP, RingKind.FEED):
        raise RingError(f"ring {name} is of unknown kind {kind}", code="ring_layout", where=name)
    check_shape(name, channels, samplerate, capacity)
    return RingKind(kind), channels, samplerate, capacity
