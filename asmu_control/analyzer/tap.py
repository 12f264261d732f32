"""Tap: audio that leaves the engine for any process that wants to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Analyzer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asmu_control.interface import Interface
    from asmu_control.typing import Start
    from asmu_engine.shm.reader import RingBlock, RingReader


class Tap(Analyzer):
    """Keeps the newest seconds of its inputs in a ring that any number of readers share, in this and other processes.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    channels
        Inputs to begin with. A running tap that gets another input also gets another ring: readers see theirs end.
    """

    kind = "tap"
    ring = "tap"

    def __init__(self, interface: Interface, channels: int = 1) -> None:
        super().__init__(interface, channels=channels)

    def reader(self, start: Start = "newest") -> RingReader:
        """A reader of its own, for one thread. There is a ring once ``interface.open()`` or ``start()`` ran.

        Parameters
        ----------
        start
            ``"newest"``: what comes from now on; ``"oldest"``: the oldest frame still there; or a frame position.

        Raises
        ------
        EngineError
            ``engine_state``: the engine is not up yet.
        """
        from asmu_engine.shm.reader import RingReader

        return RingReader(self._interface._patch.ring_of(self), start)

    def blocks(
        self, frames: int, *, start: Start = "newest", timeout: float | None = None, copy: bool = True
    ) -> Iterator[RingBlock]:
        """Block after block of the frame axis, without a gap, until the engine ends.

        Each has `data` (float32, shape (frames, channels)), `position` of its first frame, `lost` (frames in it that
        the device lost, zeros) and `skipped` (frames before it that this loop was too slow for).

        Parameters
        ----------
        frames
            Frames a block; the last may be shorter.
        start
            Where to begin, see `reader`.
        timeout
            Longest wait for a block, seconds; RingError ``ring_timeout`` then. None: as long as it takes.
        copy
            False: views of the ring, to be used at once; see `RingBlock.intact`.
        """
        # Not a generator itself: "newest" is when this was called, not when the first block is asked for.
        return _blocks(self.reader(start), frames, timeout, copy)

    @property
    def handle(self) -> str:
        """Text by which any process of this user on this machine finds the tap: ``Tap.attach(handle)``."""
        reader = self.reader()
        try:
            return reader.handle
        finally:
            reader.close()

    @staticmethod
    def attach(handle: str) -> RingReader:
        """A reader of the tap that gave this `handle`, in whatever process; it disturbs nobody.

        Raises
        ------
        RingError
            ``ring_unknown``: the text is no handle, or its engine has ended.
        """
        from asmu_engine.shm.reader import RingReader

        return RingReader.from_handle(handle)


def _blocks(reader: RingReader, frames: int, timeout: float | None, copy: bool) -> Iterator[RingBlock]:
    try:
        yield from reader.blocks(frames, timeout, copy)
    finally:
        reader.close()
