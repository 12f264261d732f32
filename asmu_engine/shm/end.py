"""What every end of a ring has in common: the mapped segment, its shape, its header words and its data."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.fence import Fence
from asmu_engine.shm.ring import (
    HEADER_BYTES,
    WORD_CLOSED,
    WORD_GENERATION,
    WORD_WRITER_PID,
    RingKind,
    header_words,
    read_shape,
    ring_bytes,
)
from asmu_engine.shm.segment import Segment

Frames = npt.NDArray[np.float32]
"""Audio as float32 (frames, channels), C order."""

_TOUCH_BYTES = 4 * 1024 * 1024
_PAGE_BYTES = 4096


class RingEnd:
    """One end of a ring, used by one thread at a time.

    Attributes
    ----------
    name
        Name of the segment.
    kind
        Tap or feed.
    channels
        Columns of the data.
    samplerate
        Hz.
    capacity
        Frames that the ring holds.
    """

    def __init__(self, name: str, kind: RingKind, *, writable: bool) -> None:
        segment = Segment.attach(name, writable=writable)
        try:
            found, channels, samplerate, capacity = read_shape(segment)
            if found is not kind:
                raise RingError(
                    f"ring {name} is a {found.name.lower()}, not a {kind.name.lower()}", code="ring_layout", where=name
                )
            if segment.size < ring_bytes(channels, capacity):
                raise RingError(f"ring {name} is cut short: {segment.size} bytes", code="ring_layout", where=name)
        except BaseException:
            segment.close()
            raise
        self.name = name
        self.kind = kind
        self.channels = channels
        self.samplerate = samplerate
        self.capacity = capacity
        self._segment = segment
        self._fence = Fence()
        self._words: Any = header_words(segment)
        data = np.frombuffer(segment.buffer, np.float32, capacity * channels, HEADER_BYTES)
        self._data: Frames = data.reshape(capacity, channels)

    @property
    def generation(self) -> int:
        """How many writers the ring has had; it rises when a writer died and another took over."""
        return int(self._words[WORD_GENERATION])

    @property
    def writer_pid(self) -> int:
        """Process of the latest writer, 0 before the first."""
        return int(self._words[WORD_WRITER_PID])

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the ring's segment: a ring that replaced this one under its name has another."""
        return self._segment.identity

    @property
    def closed(self) -> bool:
        """True once nothing more will be written: the writer closed the ring, or the ring was removed."""
        return bool(self._words[WORD_CLOSED]) or not self._segment.linked

    def touch(self) -> None:
        """Bring the whole ring into this process's page tables, so that no first access does it in a callback.

        Goes in pieces inside numpy, which leaves the interpreter free for other threads meanwhile.
        """
        raw = np.frombuffer(self._segment.buffer, np.uint8)
        for begin in range(0, raw.size, _TOUCH_BYTES):
            raw[begin : begin + _TOUCH_BYTES : _PAGE_BYTES].sum()

    def close(self) -> None:
        """Let go of the ring in this process. Arrays that were handed out stay valid; the ring itself stays."""
        if not isinstance(self._words, Closed):
            self._words.release()
            self._words = Closed(self.name)
            self._data = np.empty((0, self.channels), np.float32)
            self._segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.channels} channels, {self.samplerate:g} Hz, {self.capacity} frames>"


class Closed:
    """Stands in for the header words of a closed end, so that its use is an error with a name and open ends pay nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getitem__(self, index: int) -> NoReturn:
        raise RingError(f"this end of ring {self._name} has been closed", code="ring_closed", where=self._name)

    def __setitem__(self, index: int, value: int) -> None:
        self[index]
