"""Feed: the ring through which audio enters the schedule."""

from __future__ import annotations

from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.shm.feed import FeedReader


class AFeed(AGenerator):
    """Plays what a process writes to its ring.

    Where there is nothing it plays silence, counted as an underflow unless the end was reached.
    """

    kind = "feed"
    ring = "feed"

    def prepare(self) -> None:
        """Attach the ring that the host made."""
        self._reader = FeedReader(self.setup.ring)
        self._told = False

    def process(self, inputs: Block, outputs: Block) -> None:
        """One copy; says once that the end is reached."""
        self._reader.read_into(outputs)
        if self._reader.finished:
            if not self._told:
                self._told = True
                self.setup.context.notify(self.setup.node, "finished")
        else:
            self._told = False

    def primed(self, frames: int) -> bool:
        """True when so many frames, or all that are to come, are in the ring."""
        return self._reader.primed(frames)

    def close(self) -> None:
        """Detach."""
        self._reader.close()
