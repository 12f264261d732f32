"""The contract of everything that runs in the audio process.

A core is prepared once (allocate there), then processes block after block. `process` allocates no arrays, takes no
lock, does no I/O and gives the same samples however a block is cut. One core works on all its channels in one
vectorised call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter, Ports, Role, Value
from asmu_engine.rt.context import Setup

Block = NDArray[np.float32]


class ACore(ABC):
    """Base of all cores; derive from `AGenerator`, `AEffect` or `AAnalyzer`.

    Class attributes describe the kind; a Processor in the user layer names the same `kind`.

    Attributes
    ----------
    kind
        Name of the kind, unique in an engine.
    parameters
        Each becomes an attribute of the same name before `prepare`: a number is a float or int, a per-channel one a
        float64 array of shape (channels,), an array an ndarray, a choice or text a str. It holds the newest value
        whenever `process` runs.
    inputs, outputs
        How many ports a node may have. With `paired`, as many outputs as inputs.
    calls
        Names of methods without arguments that clients may call; they run in the callback.
    idles
        Nothing is remembered from block to block, so a node that nobody hears need not run.
    stacks
        Channels may run in another core of the kind, see `asmu_engine.rt.stackable`; but those of one that is to stay `alone`.
    latency_frames
        By how many frames the output is later than the input; may be set in `prepare`.
    setup
        Samplerate, most frames a block, ports, node name.
    channels
        Number of channels that parameters are per: the outputs, or the inputs where there are none.
    """

    role: ClassVar[Role]
    kind: ClassVar[str]
    doc: ClassVar[str] = ""
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    inputs: ClassVar[Ports] = NO_PORTS
    outputs: ClassVar[Ports] = NO_PORTS
    paired: ClassVar[bool] = False
    calls: ClassVar[tuple[str, ...]] = ()
    ring: ClassVar[Any] = ""
    idles: ClassVar[bool] = False
    stacks: ClassVar[bool] = False
    alone: bool = False
    latency_frames: int = 0

    def __init__(self, setup: Setup, values: Mapping[str, Any]) -> None:
        self.setup = setup
        self.channels = setup.outputs or setup.inputs
        for parameter in self.parameters:
            setattr(self, parameter.name, self.convert(parameter.name, values.get(parameter.name, parameter.default)))
        self.prepare()

    @classmethod
    def describe(cls) -> Kind:
        """The kind as the catalogue shows it."""
        return Kind(
            name=cls.kind,
            role=cls.role,
            inputs=cls.inputs,
            outputs=cls.outputs,
            parameters=cls.parameters,
            calls=cls.calls,
            paired=cls.paired,
            ring=cls.ring,
            breaks_cycle=issubclass(cls, ADelayLine),
            doc=(cls.doc or cls.__doc__ or "").strip().splitlines()[0] if (cls.doc or cls.__doc__) else "",
        )

    def convert(self, name: str, value: Value | None) -> Any:
        """A parameter's value in the form in which `process` uses it; runs outside the callback and may allocate."""
        parameter = next(p for p in self.parameters if p.name == name)
        if parameter.per_channel:
            return np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), (self.channels,)))
        if isinstance(value, Array):
            return np.frombuffer(value.data, dtype="<" + value.dtype).reshape(value.shape)
        return value

    def prepare(self) -> None:  # noqa: B027 - most cores need no preparation
        """Allocate; `self.setup` and all parameters are there. Runs outside the callback."""

    @abstractmethod
    def process(self, inputs: Block, outputs: Block) -> None:
        """Write `outputs` (frames, outputs) from `inputs` (frames, inputs): float32, C-contiguous, 1 to blocksize frames.

        A generator gets inputs of no columns, an analyzer outputs of no columns. Every output sample must be written.
        """

    def changed(self, name: str) -> None:  # noqa: B027 - most cores just read the attribute
        """A parameter has a new value; runs in the callback, between two frames."""

    def reset(self) -> None:  # noqa: B027 - a core without state has nothing to reset
        """Back to the state after `prepare`; runs in the callback."""

    def adopt(self, previous: Self) -> None:  # noqa: B027 - a core without state has nothing to take over
        """Take over the state of the core that this one replaces, whose number of ports differs; runs in the callback."""

    def close(self) -> None:  # noqa: B027 - most cores hold nothing but memory
        """Let go of rings and the like; runs outside the callback, once, after the last `process`."""


class AGenerator(ACore):
    """A core with outputs only."""

    role = "generator"
    outputs = ANY_PORTS


class AEffect(ACore):
    """A core with inputs and outputs; paired unless the class says otherwise: output n is input n, processed."""

    role = "effect"
    inputs = ANY_PORTS
    outputs = ANY_PORTS
    paired = True


class AAnalyzer(ACore):
    """A core with inputs only."""

    role = "analyzer"
    inputs = ANY_PORTS


class ADelayLine(AEffect):
    """An effect whose output never depends on the input of the same block, so that a cycle may pass through it.

    In a cycle the schedule calls `emit` for its outputs before, and `absorb` with its inputs after the others have run;
    outside one it calls `process`, which does both.
    """

    @abstractmethod
    def shortest(self, name: str = "", value: Any = None) -> int:
        """Least delay of any channel, frames, once parameter `name` has `value`; a cycle needs a block at least."""

    @abstractmethod
    def emit(self, outputs: Block) -> None:
        """Write the outputs of this block before its inputs are known."""

    @abstractmethod
    def absorb(self, inputs: Block) -> None:
        """Take the inputs of this block and advance."""
