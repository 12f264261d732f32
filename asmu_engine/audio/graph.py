"""The patch as the audio process holds it: nodes with their cores, connections, run order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import INPUTS_NODE
from asmu_engine.rt.acore import ACore

_NONE: Final[dict[int, tuple[str, int]]] = {}


@dataclass
class Graph:
    """The nodes of an engine and how they are connected.

    Attributes
    ----------
    cores
        By node name, in order of creation.
    sources
        Of each target node, its inputs' sources: {input: (source, output)}.
    delays
        Of each delay line, its least delay in frames.
    cut, depth
        Delay lines at which the last `order` cut a cycle; and the number of nodes on the longest way to each.
    """

    cores: dict[str, ACore] = field(default_factory=dict)
    sources: dict[str, dict[int, tuple[str, int]]] = field(default_factory=dict)
    delays: dict[str, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    depth: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Graph:
        """Independent of this one, with the same cores."""
        sources = {target: dict(inputs) for target, inputs in self.sources.items()}
        return Graph(dict(self.cores), sources, dict(self.delays), set(self.cut))

    def connect(self, source: str, output: int, target: str, port: int) -> None:
        """Output of one node to input of another."""
        self.sources.setdefault(target, {})[port] = (source, output)

    def disconnect(self, target: str, port: int) -> None:
        """An input loses its source."""
        self.sources.get(target, {}).pop(port, None)

    def remove(self, node: str) -> None:
        """A node with all its connections."""
        del self.cores[node]
        self.delays.pop(node, None)
        self.sources.pop(node, None)
        self._keep(lambda source, _: source != node)

    def trim(self, node: str, inputs: int, outputs: int) -> None:
        """Drop the connections of ports that the node has no longer."""
        mine = self.sources.get(node, {})
        for port in [port for port in mine if port >= inputs]:
            del mine[port]
        self._keep(lambda source, output: source != node or output < outputs)

    def order(self, blocksize: int) -> list[str]:
        """Node names in run order; `cut` tells the delay lines whose outputs come before their inputs, `depth` the longest way to
        each.

        Raises
        ------
        PatchError
            code cycle, with the path named, when one passes through no delay of at least `blocksize` frames.
        """
        self.cut = set()
        while True:
            order = self._sort()
            if len(order) == len(self.cores):
                return order
            self.cut.add(self._breaker(self._loop(), blocksize))

    def _sort(self) -> list[str]:
        """Producers before consumers, edges out of `cut` left aside; without those that lie in a cycle, or behind one."""
        cut, consumers, waiting = self.cut, defaultdict[str, list[str]](list), dict[str, int]()
        ready: list[str] = []
        for node in self.cores:
            producers = dict.fromkeys([source for source, _ in self.sources.get(node, _NONE).values()])
            count = 0
            for producer in producers:
                if producer != INPUTS_NODE and producer not in cut:
                    consumers[producer].append(node)
                    count += 1
            if count:
                waiting[node] = count
            else:
                ready.append(node)
        depth = self.depth = dict.fromkeys(self.cores, 0)
        for node in ready:  # which grows meanwhile
            if node in consumers:
                after = depth[node] + 1
                for consumer in consumers[node]:
                    depth[consumer] = max(depth[consumer], after)
                    waiting[consumer] -= 1
                    if not waiting[consumer]:
                        ready.append(consumer)
        return ready

    def _loop(self) -> list[str]:
        """The nodes of the first cycle found, from consumer to producer."""
        done: set[str] = set()
        for root in self.cores:
            if root in done:
                continue
            # Depth first without recursion: patches may be thousands of nodes deep.
            path: dict[str, Iterator[str]] = {root: self._producers(root)}
            while path:
                node, producers = next(reversed(path.items()))
                producer = next((p for p in producers if p not in done), None)
                if producer is None:
                    path.popitem()
                    done.add(node)
                elif producer in path:
                    names = list(path)
                    return names[names.index(producer) :]
                else:
                    path[producer] = self._producers(producer)
        raise AssertionError("there is no cycle")

    def _breaker(self, loop: list[str], blocksize: int) -> str:
        for node in loop:
            if self.delays.get(node, 0) >= blocksize:
                return node
        # The walk went from consumers to producers; people read the other way.
        path = " -> ".join([*reversed(loop), loop[-1]])
        raise PatchError(
            f"cycle: {path}; put a delay of at least one block ({blocksize} frames) into it", code="cycle", where=loop[0]
        )

    def _producers(self, node: str) -> Iterator[str]:
        for source, _ in self.sources.get(node, {}).values():
            if source != INPUTS_NODE and source not in self.cut:
                yield source

    def _keep(self, wanted: Callable[[str, int], bool]) -> None:
        for inputs in self.sources.values():
            for port in [port for port, (source, output) in inputs.items() if not wanted(source, output)]:
                del inputs[port]
