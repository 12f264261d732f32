"""Paced readers: the few that an engine without a clock (offline) waits for, so that they lose nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.fence import Fence
from asmu_engine.shm.ring import HEADER_BYTES, PACED_SLOTS, PACED_STRIDE, WORD_PACED, header_words
from asmu_engine.shm.segment import Segment

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_CAN_ASK: Final = os.name != "nt"
"""On Windows signal 0 is not a question but a Ctrl-C."""

_WORDS: Final = range(WORD_PACED, WORD_PACED + PACED_SLOTS * PACED_STRIDE, PACED_STRIDE)


class PacedSlot:
    """A slot in the header in which a reader publishes its position; mapped writable apart from the reader's data."""

    def __init__(self, segment: Segment, position: int) -> None:
        self._segment = Segment.attach(segment.name, size=HEADER_BYTES)
        self._words: Any = header_words(self._segment)
        try:
            if self._segment.identity != segment.identity:
                raise RingError(f"ring {segment.name} was replaced by another", code="ring_closed", where=segment.name)
            with _locked(self._segment.path):
                self._word = self._claim(position)
        except BaseException:
            self._words.release()
            self._segment.close()
            raise

    def _claim(self, position: int) -> int:
        for word in _WORDS:
            if not is_alive(self._words[word]):
                self._words[word + 1] = position
                Fence()()  # the position of the slot's former owner must not be taken for ours
                self._words[word] = os.getpid()
                return word
        name = self._segment.name
        raise RingError(f"ring {name} has {PACED_SLOTS} paced readers already", code="ring_full", where=name, retry=True)

    def publish(self, position: int) -> None:
        """Everything before `position` may be overwritten."""
        self._words[self._word + 1] = position

    def release(self) -> None:
        """Give the slot back: the engine no longer waits for this reader."""
        self._words[self._word] = 0
        self._words.release()
        self._segment.close()


def slowest_paced(words: Any) -> int | None:
    """Position of the slowest paced reader that lives; None without one.

    Parameters
    ----------
    words
        The header of the ring, from `header_words`.
    """
    positions = [int(words[word + 1]) for word in _WORDS if is_alive(words[word])]
    return min(positions, default=None)


def is_alive(pid: int) -> bool:
    """True for a process that exists, also one of another user; where the system cannot be asked, for any."""
    if pid <= 0:
        return False
    if not _CAN_ASK:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, which the system gives back when its holder dies."""
    if fcntl is None:
        yield
        return
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
