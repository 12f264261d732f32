"""Graph to schedule: which cores run together, where their outputs stand, run order, and the copies that the wiring needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from asmu_engine.audio.chains import join_steps
from asmu_engine.audio.graph import Graph
from asmu_engine.audio.grouping import NO_SUM, NOWHERE, WORTH, Channel, Source, goal_of, stacks_of
from asmu_engine.audio.heard import Port, heard_channels, is_stackable
from asmu_engine.audio.layout import Layout, Member, channel_numbers, home, make_stack, takeover
from asmu_engine.audio.wiring import Wiring
from asmu_engine.protocol.version import INPUTS_NODE, OUTPUTS_NODE
from asmu_engine.rt.acore import ACore, ADelayLine, Block
from asmu_engine.rt.schedule import OUTPUT, Gather, Part, Schedule, Step, contiguous_runs, silence
from asmu_engine.rt.stackable import Stackable, columns_of

_WIDE: Final = 16
"""A node with so many channels that reads its inputs in place runs by itself: to copy them would cost more than a call."""

_UNWIRED: Final[dict[int, tuple[str, int]]] = {}
_MANY: Final = 8
"""So many runs of columns take longer than to pick all columns one by one."""


def compile_graph(
    graph: Graph, blocksize: int, wiring: Wiring, former: Layout, replaced: Mapping[ACore, ACore]
) -> tuple[Schedule, Layout]:
    """The schedule of `graph`, and its layout, in which everything that did not change is that of the `former` one.

    `replaced`: by the own core of a node that was resized since then the one before it.
    """
    return _Compiler(graph, blocksize, wiring, former).compile(replaced)


class _Compiler:
    def __init__(self, graph: Graph, blocksize: int, wiring: Wiring, former: Layout) -> None:
        self._graph = graph
        self._blocksize = blocksize
        self._wiring = wiring
        self._former = former
        self._layout = Layout()
        self._places: dict[str, tuple[int, Sequence[int]]] = {}  # buffer and column of each port, -1 where nobody listens
        self._buffers: list[Block] = []
        self._steps: list[Step] = []
        self._sums: Mapping[Port, Port | None] = {}

    def compile(self, replaced: Mapping[ACore, ACore]) -> tuple[Schedule, Layout]:
        graph = self._graph
        order = graph.order(self._blocksize)
        cut = sorted(graph.cut)
        heard, self._sums = heard_channels(graph, order)
        nothing = silence(self._blocksize, 0)
        # Delay lines in cycles speak first and listen last; analyzers come after all that sounds.
        for node in cut:
            core = graph.cores[node]
            assert isinstance(core, ADelayLine)
            self._steps.append(Step(core, _emitting(core), nothing, self._own_buffer(node, core)))
        analyzers = [node for node in order if node in heard and graph.cores[node].role == "analyzer"]
        for level in self._levels(order, heard, apart=graph.cut | set(analyzers)):
            self._place_level(level, heard)
        for node in cut:
            core = graph.cores[node]
            assert isinstance(core, ADelayLine)
            inputs, gathers = self._inputs(self._sources(node), core.setup.inputs)
            self._steps.append(Step(core, _absorbing(core), inputs, nothing, gathers))
        for node in analyzers:
            self._add_own(node, graph.cores[node], self._sources(node))
        self._rest()
        output = self._straight_out(self._output())
        covers = self._covers(output)
        steps, self._layout.chains = join_steps(self._steps, output, self._former.chains)
        change = takeover(self._former, self._layout, replaced)
        places = self._layout.apart()
        return Schedule(steps, output, self._blocksize, covers=covers, places=places, takeover=change), self._layout

    # ---- order

    def _levels(self, order: Sequence[str], heard: Mapping[str, set[int]], apart: set[str]) -> list[list[str]]:
        """Nodes by the longest way to them: those on one level do not depend on each other."""
        levels: dict[int, list[str]] = {}
        for node in order:
            if node in heard and node not in apart:
                levels.setdefault(self._graph.depth[node], []).append(node)
        return [levels[depth] for depth in sorted(levels)]

    def _place_level(self, level: Iterable[str], heard: Mapping[str, set[int]]) -> None:
        groups: dict[type[Stackable], list[tuple[str, Stackable]]] = {}
        for node in level:
            core = self._graph.cores[node]
            if is_stackable(core):
                groups.setdefault(type(core), []).append((node, core))
            else:
                self._add_own(node, core, self._sources(node))
        for nodes in groups.values():
            self._place_group(nodes, heard)

    def _place_group(self, nodes: Sequence[tuple[str, Stackable]], heard: Mapping[str, set[int]]) -> None:
        """Cores of one kind on one level: as few calls as there can be without copies that cost more."""
        groups: dict[str, list[Channel]] = {}
        wires, places = self._graph.sources, self._places
        worth = WORTH.get(type(nodes[0][1]), 0) if self._sums else 0
        for number, (node, core) in enumerate(nodes):
            count = core.channels
            channels: Sequence[int] = range(count) if count == 1 or not core.idles else sorted(heard[node])
            if len(channels) == count and (len(nodes) == 1 or count >= _WIDE):
                sources = self._sources(node)
                if len(nodes) == 1 or self._in_place(sources):
                    self._layout.places[core] = [home(core)]
                    self._add_own(node, core, sources)
                    continue
            goal, ports = goal_of(self._sums, node, channels) if worth else (NO_SUM, channels)
            group = groups.setdefault(goal, [])
            wired = wires.get(node, _UNWIRED)
            for channel, port in zip(channels, ports, strict=True):
                buffer, column = NOWHERE
                if channel in wired:  # as `_source` does, for nearly all
                    source, output = wired[channel]
                    if source in places:
                        buffer, columns = places[source]
                        column = columns[output]
                    else:
                        buffer, column = self._standing(source, output) or NOWHERE
                group.append((port, buffer, column, number, channel, core, node))
        for members in stacks_of(groups, worth):
            self._add_stack(members)

    # ---- steps

    def _add_own(self, node: str, core: ACore, sources: Sequence[Source | None]) -> None:
        inputs, gathers = self._inputs(sources, core.setup.inputs)
        self._steps.append(Step(core, core.process, inputs, self._own_buffer(node, core), gathers))

    def _add_stack(self, members: Sequence[Channel]) -> None:
        key: tuple[Member, ...] = tuple([(member[5], member[4]) for member in members])
        stack = self._former.stacks.get(key) or make_stack(key, silence(self._blocksize, len(key)))
        self._layout.stacks[key] = stack
        number, places = self._number(stack.buffer), self._places
        for column, member in enumerate(members):
            channel, core, node = member[4:]
            if core.channels == 1:
                places[node] = number, (column,)
                continue
            if node not in places:
                places[node] = number, [-1] * core.channels
            columns = places[node][1]
            assert isinstance(columns, list)
            columns[channel] = column
        for core, part in stack.parts.items():
            self._layout.places[core] = [part]
        sources = [None if member[1] == NOWHERE[0] else (member[1], member[2]) for member in members]
        inputs, gathers = self._inputs(sources, stack.core.setup.inputs)
        self._steps.append(Step(stack.core, stack.core.process, inputs, stack.buffer, gathers, stack.nodes))

    def _rest(self) -> None:
        """Channels that nobody hears sleep in their node's own core."""
        layout = self._layout
        for core in self._graph.cores.values():
            if not is_stackable(core):
                continue
            parts = layout.places.get(core)
            if parts is None:
                layout.places[core] = [home(core)]
                layout.asleep.add(core)
            elif core.channels > 1 and parts[0].core is not core:
                there = set(channel_numbers(parts[0].channels, core.channels))
                asleep = [channel for channel in range(core.channels) if channel not in there]
                if asleep:
                    parts.append(Part(core, columns_of(asleep), columns_of(asleep)))
                    layout.asleep.add(core)

    def _own_buffer(self, node: str, core: ACore) -> Block:
        """The buffer of a core's outputs, kept across edits."""
        buffer = self._former.buffers.get(core)
        if buffer is None:
            buffer = silence(self._blocksize, core.setup.outputs)
        self._layout.buffers[core] = buffer
        self._places[node] = self._number(buffer), range(core.setup.outputs)
        return buffer

    def _number(self, buffer: Block) -> int:
        self._buffers.append(buffer)
        return len(self._buffers) - 1

    def _buffer(self, number: int) -> Block | None:
        return None if number < 0 else self._buffers[number]

    # ---- wiring

    def _sources(self, node: str) -> list[Source | None]:
        return [self._source(node, port) for port in range(self._graph.cores[node].setup.inputs)]

    def _source(self, node: str, port: int) -> Source | None:
        """Where a port reads; None where it is not connected, or the device is not open."""
        inputs = self._graph.sources.get(node)
        found = inputs.get(port) if inputs else None
        return None if found is None else self._standing(*found)

    def _standing(self, source: str, output: int) -> Source | None:
        if source == INPUTS_NODE:
            column = self._wiring.input_column(output)
            return None if column is None else (-1, column)
        number, columns = self._places[source]
        return number, columns[output]

    def _in_place(self, sources: Sequence[Source | None]) -> bool:
        """Whether they are all columns of one buffer in their order, so that it is read as it is."""
        if not sources:
            return True
        if sources[0] is None:
            return False
        number = sources[0][0]
        buffer = self._buffer(number)
        if len(sources) != (len(self._wiring.inputs or ()) if buffer is None else buffer.shape[1]):
            return False
        return all(source == (number, column) for column, source in enumerate(sources))

    def _inputs(self, sources: Sequence[Source | None], ports: int) -> tuple[Block | None, list[Gather]]:
        """Where a core reads: a producer's buffer or the device's array as it is, else a buffer of its own and the copies."""
        if ports and self._in_place(sources):
            assert sources[0] is not None
            return self._buffer(sources[0][0]), []
        return silence(self._blocksize, ports), self._gathers(enumerate(sources))

    def _gathers(self, pairs: Iterable[tuple[int, Source | None]]) -> list[Gather]:
        """The copies that bring each source into its column: runs of columns, or one that picks all from one source."""
        triples = [(target, *source) for target, source in pairs if source is not None]
        runs = contiguous_runs(triples)
        if len(runs) > _MANY and len({number for _, number, _ in triples}) == 1:
            targets = [target for target, _, _ in triples]
            if targets == list(range(len(triples))):
                picked = np.array([column for _, _, column in triples], dtype=np.intp)
                return [(slice(0, len(triples)), self._buffer(triples[0][1]), picked)]
        return [(target, self._buffer(number), columns) for target, number, columns in runs]

    def _output(self) -> list[Gather]:
        pairs: list[tuple[int, Source | None]] = []
        for port, (source, output) in self._graph.sources.get(OUTPUTS_NODE, {}).items():
            target = self._wiring.output_column(port)
            if target is not None:
                pairs.append((target, self._standing(source, output)))
        return self._gathers(sorted(pairs, key=lambda pair: pair[0]))

    def _straight_out(self, output: list[Gather]) -> list[Gather]:
        """Where the device's output is one buffer as it is, its producer writes there, and others read there."""
        if len(output) != 1 or self._wiring.outputs is None:
            return output
        target, buffer, columns = output[0]
        if buffer is None or not isinstance(columns, slice) or target != columns or target != slice(0, len(self._wiring.outputs)):
            return output
        producer = next(step for step in self._steps if step.outputs is buffer)
        if buffer.shape[1] != target.stop or producer.run != producer.core.process:
            return output
        producer.outputs = OUTPUT
        for step in self._steps:
            if step.inputs is buffer:
                step.inputs = OUTPUT
            elif any(source is buffer for _, source, _ in step.gathers):
                step.gathers = [(to, OUTPUT if source is buffer else source, at) for to, source, at in step.gathers]
        return []

    def _covers(self, output: Sequence[Gather]) -> bool:
        """Whether every channel of the device's output is written in every block; foreign code may forget some of its own."""
        straight = next((step.core for step in self._steps if step.outputs is OUTPUT), None)
        if straight is not None:
            return not straight.alone
        written = sum(target.stop - target.start for target, _, _ in output)
        return self._wiring.outputs is not None and written == len(self._wiring.outputs)


def _emitting(core: ADelayLine) -> Callable[[Block, Block], None]:
    def emit(_: Block, outputs: Block) -> None:
        core.emit(outputs)

    return emit


def _absorbing(core: ADelayLine) -> Callable[[Block, Block], None]:
    def absorb(inputs: Block, _: Block) -> None:
        core.absorb(inputs)

    return absorb
