"""Feed: audio that a process computes itself and hands to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Generator

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_engine.shm.feed import FeedWriter


class Feed(Generator):
    """Plays what is written to its ring, as it is written; silence, counted as an underflow, where nothing was.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    channels
        Outputs.
    """

    kind = "feed"
    ring = "feed"

    def __init__(self, interface: Interface, channels: int = 1) -> None:
        super().__init__(interface, channels=channels)

    def writer(self) -> FeedWriter:
        """The writing end, for one thread of one process at a time; there is one once ``interface.open()`` or ``start()`` ran.

        Raises
        ------
        EngineError
            ``engine_state``: the engine is not up yet.

        Examples
        --------
        ``writer.wait(len(block))`` and ``writer.write(block)`` with float32 blocks of shape (frames, channels).
        """
        from asmu_engine.shm.feed import FeedWriter

        return FeedWriter(self._interface._patch.ring_of(self))
