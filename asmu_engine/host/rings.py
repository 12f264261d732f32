"""The rings of the patch, from the host's side: it makes and removes them, and never looks into one."""

from __future__ import annotations

from typing import Final

from asmu_engine.host.change import Change
from asmu_engine.host.node import Node
from asmu_engine.shm.create import RingKind, close_ring, create_ring
from asmu_engine.shm.segment import list_segments, remove_segment, segment_name

_KINDS: Final = {"tap": RingKind.TAP, "feed": RingKind.FEED}


class Rings:
    """Rings belong to the host, not to the audio process that writes them: so they outlive it."""

    def __init__(self, engine: str, samplerate: float, seconds: float) -> None:
        self.engine = engine
        self.samplerate = samplerate
        self.capacity = max(1, round(samplerate * seconds))

    def make(self, change: Change, nodes: dict[str, Node]) -> dict[str, str]:
        """The rings that a change needs, written into its wire edits; RingError, nothing made, when one cannot be had.

        Returns the names by node.
        """
        names: list[str] = []
        made: dict[str, str] = {}
        try:
            for node, wire, channels in change.made:
                name = self._free_name(node.name)
                create_ring(name, _KINDS[node.kind.ring], channels, self.samplerate, self.capacity).close()
                names.append(name)
                if node.ring:
                    change.dropped[node.ring] = None
                node.ring = wire["ring"] = made[node.name] = name
        except BaseException:
            for name in names:
                remove_segment(name)
            raise
        for node, _, _ in change.made:
            if nodes.get(node.name) is not node:  # added and removed in one transaction
                change.dropped[node.ring] = None
                made.pop(node.name, None)
        return made

    def unmake(self, change: Change) -> None:
        """Remove what `make` made for a change that does not hold after all."""
        for _, wire, _ in change.made:
            self.drop(wire.get("ring", ""))

    def drop(self, name: str) -> None:
        """Remove a ring. Who has it mapped keeps it and learns that nothing more will come."""
        if name:
            close_ring(name)
            remove_segment(name)

    def _free_name(self, node: str) -> str:
        """The ring of a node is named after it, with a number where that is taken: by its former ring, or the status page."""
        taken = set(list_segments(self.engine))
        name, number = segment_name(self.engine, node), 1
        while name in taken:
            number += 1
            name = segment_name(self.engine, f"{node}.{number}")
        return name
