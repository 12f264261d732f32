"""Tap: the ring through which audio leaves the schedule."""

from __future__ import annotations

from asmu_engine.rt.acore import AAnalyzer, Block
from asmu_engine.shm.writer import RingWriter


class ATap(AAnalyzer):
    """Writes its inputs to a ring that any number of processes read, and never waits for them."""

    kind = "tap"
    ring = "tap"

    def prepare(self) -> None:
        """Attach the ring that the host made."""
        self._writer = RingWriter(self.setup.ring)

    def process(self, inputs: Block, outputs: Block) -> None:
        """One copy, then the index."""
        context = self.setup.context
        self._writer.write(
            inputs, context.position, context.monotonic_ns, context.utc_ns, context.lost_cause, context.lost_uncertainty
        )

    def room(self) -> int:
        """Frames that can be written before a reader that asked to be waited for would lose some."""
        return self._writer.room()

    def close(self) -> None:
        """Tell the readers that nothing more comes."""
        self._writer.close(final=True)
