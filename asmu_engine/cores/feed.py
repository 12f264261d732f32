"""Feed: the ring through which audio enters the schedule."""

from __future__ import annotations

from typing import ClassVar

from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.shm.feed import FeedReader


class AFeed(AGenerator):
    """Plays what a process writes to its ring.

    Where there is nothing it plays silence, counted as an underflow unless the end was reached. While it does not play it is
    silent, and what is in its ring waits.
    """

    kind = "feed"
    ring = "feed"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("playing", type="bool", default=True, doc="plays; otherwise waits, silent"),
    )

    playing: bool

    def prepare(self) -> None:
        """Attach the ring that the host made."""
        self._reader = FeedReader(self.setup.ring)
        self._told = False

    def process(self, inputs: Block, outputs: Block) -> None:
        """One copy; says when a loop begins anew, and once that the end is reached."""
        if not self.playing:
            self._reader.primed(0)  # makes room for a writer that goes on elsewhere
            outputs.fill(0)
            return
        got = self._reader.read_into(outputs)
        row = self._reader.loop_row(got)
        if row >= 0:
            self.setup.context.notify(self.setup.node, "looped", row)
        if self._reader.finished:
            if not self._told:
                self._told = True
                self.setup.context.notify(self.setup.node, "finished", got)
        else:
            self._told = False

    def primed(self, frames: int) -> bool:
        """True when so many frames, or all that are to come, are in the ring; or when none are wanted now."""
        return not self.playing or self._reader.primed(frames)

    def close(self) -> None:
        """Detach."""
        self._reader.close()
