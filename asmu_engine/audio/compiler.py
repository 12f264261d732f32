"""Graph to schedule: buffers, run order, and the copies that the wiring needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from asmu_engine.audio.graph import Graph
from asmu_engine.protocol.errors import DeviceError
from asmu_engine.protocol.version import INPUTS_NODE, OUTPUTS_NODE
from asmu_engine.rt.acore import AAnalyzer, ADelayLine, Block
from asmu_engine.rt.schedule import Gather, Schedule, Step, contiguous_runs, silence


@dataclass(frozen=True)
class Wiring:
    """Column of each device channel (from 0) in the arrays that the device hands over; None before a device is open."""

    inputs: dict[int, int] | None = None
    outputs: dict[int, int] | None = None

    def input_column(self, port: int) -> int | None:
        """Column of an input channel; None while no device is open, DeviceError when it is not among the open ones."""
        return self._column(self.inputs, port, "input")

    def output_column(self, port: int) -> int | None:
        """Column of an output channel."""
        return self._column(self.outputs, port, "output")

    @staticmethod
    def _column(columns: dict[int, int] | None, port: int, side: str) -> int | None:
        if columns is None:
            return None
        if port not in columns:
            known = ", ".join(str(channel + 1) for channel in columns) or "none"
            raise DeviceError(
                f"{side} channel {port + 1} is not open; open are: {known}. "
                "Connect it before the stream starts, or stop and start again",
                code="device_channels",
                where=f"{side} {port + 1}",
            )
        return columns[port]


def compile_graph(graph: Graph, blocksize: int, wiring: Wiring, buffers: dict[str, Block]) -> Schedule:
    """The schedule of `graph`. `buffers` are the nodes' output buffers, kept across edits and completed here."""
    order = graph.order(blocksize)
    cut = sorted(graph.cut)
    for node in [node for node in buffers if node not in graph.cores]:
        del buffers[node]
    for node, core in graph.cores.items():
        if node not in buffers or buffers[node].shape[1] != core.setup.outputs:
            buffers[node] = silence(blocksize, core.setup.outputs)
    steps: list[Step] = []
    nothing = silence(blocksize, 0)
    # Delay lines in cycles speak first and listen last; analyzers come after all that sounds.
    for node in cut:
        core = graph.cores[node]
        assert isinstance(core, ADelayLine)
        steps.append(Step(core, _emitting(core), nothing, buffers[node]))
    analyzers = [node for node in order if isinstance(graph.cores[node], AAnalyzer)]
    apart = graph.cut | set(analyzers)
    for node in [node for node in order if node not in apart]:
        core = graph.cores[node]
        inputs, gathers = _inputs(graph, node, blocksize, wiring, buffers)
        steps.append(Step(core, core.process, inputs, buffers[node], gathers))
    for node in cut:
        core = graph.cores[node]
        assert isinstance(core, ADelayLine)
        inputs, gathers = _inputs(graph, node, blocksize, wiring, buffers)
        steps.append(Step(core, _absorbing(core), inputs, nothing, gathers))
    for node in analyzers:
        core = graph.cores[node]
        inputs, gathers = _inputs(graph, node, blocksize, wiring, buffers)
        steps.append(Step(core, core.process, inputs, buffers[node], gathers))
    return Schedule(steps, _output(graph, wiring, buffers), blocksize)


def _emitting(core: ADelayLine) -> Callable[[Block, Block], None]:
    def emit(_: Block, outputs: Block) -> None:
        core.emit(outputs)

    return emit


def _absorbing(core: ADelayLine) -> Callable[[Block, Block], None]:
    def absorb(inputs: Block, _: Block) -> None:
        core.absorb(inputs)

    return absorb


def _inputs(
    graph: Graph, node: str, blocksize: int, wiring: Wiring, buffers: dict[str, Block]
) -> tuple[Block | None, list[Gather]]:
    """Where a node reads: a producer's buffer or the device's array as it is, else a buffer of its own and the copies into it."""
    ports = graph.cores[node].setup.inputs
    sources = graph.sources.get(node, {})
    pairs: list[tuple[int, str, int]] = []
    for port in sorted(sources):
        source, output = sources[port]
        column = wiring.input_column(output) if source == INPUTS_NODE else output
        if column is not None:
            pairs.append((port, source, column))
    if len(pairs) == ports and ports > 0:
        source = pairs[0][1]
        in_order = all(pair == (index, source, index) for index, pair in enumerate(pairs))
        if in_order and source == INPUTS_NODE and wiring.inputs is not None and len(wiring.inputs) == ports:
            return None, []
        if in_order and source != INPUTS_NODE and buffers[source].shape[1] == ports:
            return buffers[source], []
    return silence(blocksize, ports), _gathers(pairs, buffers)


def _output(graph: Graph, wiring: Wiring, buffers: dict[str, Block]) -> list[Gather]:
    pairs: list[tuple[int, str, int]] = []
    for port, (source, output) in graph.sources.get(OUTPUTS_NODE, {}).items():
        target = wiring.output_column(port)
        column = wiring.input_column(output) if source == INPUTS_NODE else output
        if target is not None and column is not None:
            pairs.append((target, source, column))
    return _gathers(sorted(pairs), buffers)


def _gathers(pairs: list[tuple[int, str, int]], buffers: dict[str, Block]) -> list[Gather]:
    names = sorted({source for _, source, _ in pairs})
    number = {name: index for index, name in enumerate(names)}
    runs = contiguous_runs([(target, number[source], column) for target, source, column in pairs])
    return [(target, None if names[key] == INPUTS_NODE else buffers[names[key]], column) for target, key, column in runs]
