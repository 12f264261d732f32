"""Feed: audio that a process computes itself and hands to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Generator
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_engine.shm.feed import FeedWriter


class Fed(Generator):
    """A generator that plays what is in its ring, and can wait to begin with it."""

    kind = "feed"
    ring = "feed"
    parameters = (Parameter("playing", type="bool", default=True),)

    @property
    def playing(self) -> bool:
        """False while it waits, and is silent."""
        return bool(self._get("playing"))

    def begin(self) -> None:
        """Play from the next block on; within ``interface.edit(at=…)`` from that very frame on. After a `pause` it goes on."""
        self._set(playing=True)

    def pause(self) -> None:
        """Wait, silent, with what comes next; `begin` goes on with it, no frame left out."""
        self._set(playing=False)


class Feed(Fed):
    """Plays what is written to its ring, as it is written; silence, counted as an underflow, where nothing was.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    channels
        Outputs.
    wait
        Keep what is written until `begin`.
    """

    def __init__(self, interface: Interface, channels: int = 1, *, wait: bool = False) -> None:
        super().__init__(interface, channels=channels, **({"playing": False} if wait else {}))

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
