"""Processors: the objects of a script that stand for cores in the audio process.

A Processor of your own names the kind of its core and offers what users want to say to it::

    class SoftClip(Effect):
        kind = "softclip"

        def __init__(self, interface, drive=1.0):
            super().__init__(interface, drive=drive)

        def set_drive(self, drive):
            self._set(drive=drive)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from asmu_control.io import Input, Output
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter, Ports, Role
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface

__all__ = ["Analyzer", "Effect", "Generator", "Processor"]


class Processor:
    """Base of `Generator`, `Effect` and `Analyzer`; those are what to derive from.

    Class attributes describe the core, as in the core's own class; a contract test compares the two.

    Attributes
    ----------
    kind
        Name of the core's kind.
    parameters
        What the core can be told. Those declared here are checked where they are set; others by the engine.
    input_ports, output_ports
        How many ports the core may have.
    paired
        As many outputs as inputs: output n is input n, processed.
    """

    role: ClassVar[Role]
    kind: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    input_ports: ClassVar[Ports] = NO_PORTS
    output_ports: ClassVar[Ports] = NO_PORTS
    paired: ClassVar[bool] = False
    calls: ClassVar[tuple[str, ...]] = ()
    ring: ClassVar[Literal["", "tap", "feed"]] = ""
    breaks_cycle: ClassVar[bool] = False

    def __init__(self, interface: Interface, *, channels: int | None = None, **values: Any) -> None:
        """Add the core to the interface's patch.

        Parameters
        ----------
        interface
            The interface whose patch it joins; a running one takes it in at once.
        channels
            Ports to begin with (outputs of a generator, inputs and outputs of an effect, inputs of an analyzer);
            more come into being when they are asked for. Default: the fewest, or one a value of a per-channel array.
        values
            Parameters of the core, by name.
        """
        self._interface = interface
        plain = {name: to_plain(value) for name, value in values.items()}
        if channels is None:
            per_channel = [p.name for p in self.parameters if p.per_channel]
            channels = max((len(plain[name]) for name in per_channel if isinstance(plain.get(name), list)), default=0)
        inputs = max(self.input_ports.minimum, channels if self.input_ports.maximum > 1 else 0)
        outputs = max(self.output_ports.minimum, channels if self.output_ports.maximum > 1 else 0)
        self._name = interface._patch.new_name(self.kind)
        checked = self._checked(plain, outputs or inputs)
        interface._patch.add(self, inputs, outputs, checked)

    @classmethod
    def describe(cls) -> Kind:
        """What this class says of its core, in the form of the engine's catalogue."""
        return Kind(
            name=cls.kind,
            role=cls.role,
            inputs=cls.input_ports,
            outputs=cls.output_ports,
            parameters=cls.parameters,
            calls=cls.calls,
            paired=cls.paired,
            ring=cls.ring,
            breaks_cycle=cls.breaks_cycle,
        )

    @property
    def name(self) -> str:
        """Name of the node in the engine's patch."""
        return self._name

    @property
    def interface(self) -> Interface:
        """The interface whose patch the processor belongs to."""
        return self._interface

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs that exist so far."""
        return tuple(
            Input(self._interface, self._name, idx) for idx in range(self._interface._patch.graph.node(self._name).inputs)
        )

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All outputs that exist so far."""
        return tuple(
            Output(self._interface, self._name, idx) for idx in range(self._interface._patch.graph.node(self._name).outputs)
        )

    @property
    def latency_frames(self) -> int:
        """By how many frames its outputs are later than its inputs; 0 for most."""
        return 0

    def disconnect(self) -> None:
        """Take the processor out of the patch: its connections go, the engine frees its core. It cannot come back."""
        self._interface._patch.remove(self)

    def _set(self, **values: Any) -> None:
        """Set parameters of the core; a running one has them from the next block on.

        Raises
        ------
        PatchError
            A value that is not finite, out of range or of the wrong shape. Nothing changed then.
        """
        node = self._interface._patch.graph.node(self._name)
        plain = {name: to_plain(value) for name, value in values.items()}
        self._interface._patch.edit(
            {"op": "set", "node": self._name, "parameters": self._checked(plain, node.outputs or node.inputs)}
        )

    def _get(self, name: str) -> Any:
        """The value of a parameter as last set, or its default."""
        values = self._interface._patch.graph.node(self._name).parameters
        if name in values:
            return values[name]
        return next(p.default for p in self.parameters if p.name == name)

    def _call(self, call: str) -> None:
        """Have the core do one of its calls; it means nothing to an engine that is not up."""
        self._interface._patch.edit({"op": "call", "node": self._name, "call": call})

    def _input(self, idx: int) -> Input:
        self._grow(idx, "input", self.input_ports)
        return Input(self._interface, self._name, idx)

    def _output(self, idx: int) -> Output:
        self._grow(idx, "output", self.output_ports)
        return Output(self._interface, self._name, idx)

    def _grow(self, idx: int, side: str, ports: Ports) -> None:
        """Make port `idx` exist, which may be the first that does not yet."""
        node = self._interface._patch.graph.node(self._name)
        count = node.inputs if side == "input" else node.outputs
        if 0 <= idx < count:
            return
        if idx != count:
            raise PatchError(
                f"{self._name} has {count} {side}s, counted from 0; the next one is {side} {count}, not {idx}",
                code="unknown_port",
                where=self._name,
            )
        inputs = count + 1 if side == "input" or self.paired else node.inputs
        outputs = count + 1 if side == "output" or self.paired else node.outputs
        if count + 1 not in ports:
            raise PatchError(f"{self._name} has {ports} {side}s; there is no {side} {idx}", code="unknown_port", where=self._name)
        self._interface._patch.edit({"op": "resize", "node": self._name, "inputs": inputs, "outputs": outputs})

    def _checked(self, values: dict[str, Any], channels: int) -> dict[str, Any]:
        declared = {parameter.name: parameter for parameter in self.parameters}
        return {
            name: declared[name].check(value, channels, self._name) if name in declared else value
            for name, value in values.items()
        }

    # Called by the interface.

    def _opened(self) -> None:
        """The core is now in a live engine."""

    def _not_started(self) -> None:
        """The start of the engine or the device that `_opened` came before has failed. Raises nothing."""

    def _before_start(self, reset: bool) -> None:
        """The device is about to run; `reset`: from the start."""

    def _closing(self) -> None:
        """The engine is about to end, or to be left."""

    def __repr__(self) -> str:
        node = self._interface._patch.graph.nodes.get(self._name)
        if node is None:
            return f"<{type(self).__name__} {self._name}: disconnected>"
        units = {p.name: p.unit for p in self.parameters}
        parts = [f"{name} {_short(value)} {units.get(name, '')}".rstrip() for name, value in node.parameters.items()]
        if node.inputs:
            parts.append(f"{node.inputs} input" + "s" * (node.inputs > 1))
        if node.outputs:
            parts.append(f"{node.outputs} output" + "s" * (node.outputs > 1))
        return f"<{type(self).__name__} {self._name}: {', '.join(parts)}>"


class Generator(Processor):
    """A processor that makes signals: outputs only."""

    role = "generator"
    output_ports = ANY_PORTS

    def output(self, idx: int = 0) -> Output:
        """Output `idx`, from 0; the next one beyond those that exist comes into being here."""
        return self._output(idx)


class Effect(Processor):
    """A processor that changes signals; unless its class says otherwise, output n is input n, processed."""

    role = "effect"
    input_ports = ANY_PORTS
    output_ports = ANY_PORTS
    paired = True

    def input(self, idx: int = 0) -> Input:
        """Input `idx`, from 0; the next one beyond those that exist comes into being here."""
        return self._input(idx)

    def output(self, idx: int = 0) -> Output:
        """Output `idx`, from 0; the next one beyond those that exist comes into being here."""
        return self._output(idx)


class Analyzer(Processor):
    """A processor that measures or keeps signals: inputs only."""

    role = "analyzer"
    input_ports = ANY_PORTS

    def input(self, idx: int = 0) -> Input:
        """Input `idx`, from 0; the next one beyond those that exist comes into being here."""
        return self._input(idx)


def to_plain(value: Any) -> Any:
    """A value as messages carry it: numpy scalars and arrays become numbers and lists, tuples become lists."""
    if isinstance(value, Array):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
