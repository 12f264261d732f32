"""Making rings and ending them: what the host does with a ring. Free of numpy, which the host does not load."""

from __future__ import annotations

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.ring import (
    HEADER_BYTES,
    WORD_CLOSED,
    RingKind,
    check_shape,
    format_header,
    header_words,
    read_shape,
    ring_bytes,
)
from asmu_engine.shm.segment import Segment

__all__ = ["RingKind", "close_ring", "create_ring"]


def create_ring(name: str, kind: RingKind | int, channels: int, samplerate: float, capacity: int) -> Segment:
    """Make an empty ring.

    Parameters
    ----------
    name
        From `segment_name`.
    kind
        `RingKind.TAP` or `RingKind.FEED`.
    channels
        1 to 1024.
    samplerate
        Frames per second, Hz.
    capacity
        Frames that the ring holds.

    Returns
    -------
    Segment
        Owned by the caller: `unlink` removes the ring. Only the header is mapped.

    Raises
    ------
    RingError
        ``ring_shape``, ``ring_exists``, ``ring_space``, ``ring_access``.
    """
    check_shape(name, channels, samplerate, capacity)
    whole = Segment.create(name, ring_bytes(channels, capacity))
    try:
        format_header(whole, RingKind(kind), channels, samplerate, capacity)
        return Segment.attach(name, size=HEADER_BYTES)
    except BaseException:
        whole.unlink()
        raise
    finally:
        whole.close()


def close_ring(name: str) -> bool:
    """Mark a ring as closed in place of a writer that died: readers take what is there and end. False where it is gone."""
    try:
        segment = Segment.attach(name, size=HEADER_BYTES)
    except RingError as error:
        if error.code == "ring_unknown":
            return False
        raise
    try:
        read_shape(segment)
        with header_words(segment) as words:
            words[WORD_CLOSED] = 1
    finally:
        segment.close()
    return True
