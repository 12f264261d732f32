"""Ports: what processors and the interface are connected by.

A port holds no state of its own; it looks itself up in the interface's patch, so that it always tells the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asmu_control.attributes import ChannelAttributes
from asmu_control.graph import describe
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import INPUTS_NODE, MAX_CHANNELS, OUTPUTS_NODE

if TYPE_CHECKING:
    from asmu_control.interface import Interface

__all__ = ["IInput", "IOutput", "Input", "Output"]


class _Port:
    """What inputs and outputs share."""

    _side = ""

    def __init__(self, interface: Interface, node: str, idx: int) -> None:
        self._interface = interface
        self._node = node
        self._idx = idx

    @property
    def idx(self) -> int:
        """Index of the port at its processor, from 0."""
        return self._idx

    @property
    def interface(self) -> Interface:
        """The interface whose patch the port belongs to."""
        return self._interface

    @property
    def port(self) -> tuple[str, int]:
        """The port as the engine knows it: node and index, from 0."""
        return (self._node, self._idx)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Port):
            return NotImplemented
        return (self._interface, self._side, self.port) == (other._interface, other._side, other.port)

    def __hash__(self) -> int:
        return hash((id(self._interface), self._side, self.port))

    def __repr__(self) -> str:
        return f"<{describe(self.port, self._side)}>"


class Output(_Port):
    """An output of a processor; it may feed any number of inputs. True while it feeds one at least."""

    _side = "output"

    def connect(self, input: Input) -> None:
        """Feed `input` from here.

        Raises
        ------
        PatchError
            The input is fed already, the connection would close a cycle, or the two belong to different interfaces.
            Nothing changed then.
        """
        if not isinstance(input, Input):
            raise TypeError(f"an output feeds an input (of a processor, or interface.ioutput()), not {input!r}")
        if input.interface is not self._interface:
            raise PatchError(
                f"{self!r} and {input!r} belong to different interfaces; one patch has one interface",
                code="unknown_node",
                where=self._node,
            )
        self._interface._patch.connect(self.port, input.port)

    def disconnect(self, input: Input | None = None) -> None:
        """No longer feed `input`; without it, nothing at all."""
        inputs = self.inputs if input is None else (input,)
        if input is not None and input not in self.inputs:
            raise PatchError(f"{self!r} does not feed {input!r}", code="not_connected", where=self._node)
        with self._interface.edit():
            for each in inputs:
                self._interface._patch.disconnect(each.port)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What this output feeds."""
        return tuple(self._interface._input_at(port) for port in self._interface._patch.graph.inputs_fed_by(self.port))

    def __bool__(self) -> bool:
        return self._interface._patch.graph.feeds(self.port)


class Input(_Port):
    """An input of a processor; one output feeds it, or it reads silence. True while it is fed."""

    _side = "input"

    def connect(self, output: Output) -> None:
        """Be fed by `output`; see `Output.connect`."""
        if not isinstance(output, Output):
            raise TypeError(f"an input is fed by an output (of a processor, or interface.iinput()), not {output!r}")
        output.connect(self)

    def disconnect(self, output: Output | None = None) -> None:
        """No longer be fed. `output`: only if that is what feeds it, else PatchError."""
        if output is not None:
            output.disconnect(self)
        elif self:
            self._interface._patch.disconnect(self.port)

    @property
    def connected_output(self) -> Output | None:
        """The output that feeds this input."""
        source = self._interface._patch.graph.sources.get(self.port)
        return None if source is None else self._interface._output_at(source)

    def __bool__(self) -> bool:
        return self.port in self._interface._patch.graph.sources


class _Channel(ChannelAttributes):
    """What the channels of an interface share; see `ChannelAttributes` for what they carry."""

    _prefix = ""

    @property
    def channel(self) -> int:
        """Number of the device's channel, from 1."""
        return self._channel

    def __repr__(self) -> str:
        return f"{self._prefix}_ch{self._channel:02d}"


class IInput(_Channel, Output):
    """An input channel of the interface: a source of signals inside the patch. Made by ``interface.iinput(ch=…)``."""

    _prefix = "in"

    def __init__(self, interface: Interface, idx: int, ch: int) -> None:
        super().__init__(interface, INPUTS_NODE, ch - 1)
        self._channel, self._place = ch, idx

    @property
    def idx(self) -> int:
        """Place among the interface's input channels in use, from 0."""
        return self._place


class IOutput(_Channel, Input):
    """An output channel of the interface: where signals leave the patch. Made by ``interface.ioutput(ch=…)``."""

    _prefix = "out"

    def __init__(self, interface: Interface, idx: int, ch: int) -> None:
        super().__init__(interface, OUTPUTS_NODE, ch - 1)
        self._channel, self._place = ch, idx

    @property
    def idx(self) -> int:
        """Place among the interface's output channels in use, from 0."""
        return self._place


C = TypeVar("C", IInput, IOutput)


class Channels(Generic[C]):
    """The channels of one side of an interface, in the order in which they were made."""

    def __init__(self, interface: Interface, cls: type[C]) -> None:
        self._interface = interface
        self._cls: type[C] = cls
        self._made: dict[int, C] = {}

    @property
    def all(self) -> tuple[C, ...]:
        """Every channel made so far."""
        return tuple(self._made.values())

    def get(self, idx: int, ch: int | None, attributes: Mapping[str, Any] | None = None) -> C:
        """Channel `ch`, made at its first use, or the one at place `idx`; see `Interface.iinput`."""
        if attributes:
            return self._search(idx, ch, attributes)
        side = self._cls.__name__.lower()
        if ch is None:
            if not 0 <= idx < len(self._made):
                raise ValueError(f"there is no channel at place {idx}; name the device's channel to make one: {side}(ch=…)")
            return self.all[idx]
        number = check_channel(ch, side.removeprefix("i"))
        if number not in self._made:
            if idx not in (0, len(self._made)):
                raise ValueError(f"{side}: channel {number} at place {idx}; the next free place is {len(self._made)}")
            self._made[number] = self._cls(self._interface, len(self._made), number)
        return self._made[number]

    def _search(self, idx: int, ch: int | None, attributes: Mapping[str, Any]) -> C:
        """The channel at place `idx` among those with these attributes; with `ch` that channel, given them at its first use."""
        if ch is not None and ch not in self._made:
            channel = self.get(idx, ch)
            try:
                channel.deserialize(attributes)
            except BaseException:
                del self._made[ch]
                raise
            return channel
        found = [channel for channel in self.all if ch in (None, channel.channel) and channel.matches(attributes)]
        if not 0 <= idx < len(found):
            side = self._cls.__name__.lower()
            wanted = ", ".join(f"{name}={value!r}" for name, value in attributes.items())
            which = f"{side} {ch}" if ch is not None else side
            known = ", ".join(f"{c!r} {c.name}" if c.name else repr(c) for c in self.all) or "none"
            place = f" at place {idx} of {len(found)}" if found else ""
            raise ValueError(f"there is no {which} with {wanted}{place}; there are: {known}")
        return found[idx]


def check_channel(ch: object, what: str) -> int:
    """A channel number of a device; ValueError unless it is a whole number of 1 to 1024."""
    if isinstance(ch, bool) or not hasattr(ch, "__index__") or not 1 <= ch.__index__() <= MAX_CHANNELS:
        raise ValueError(f"{what} channel {ch!r}: channels are counted from 1, up to {MAX_CHANNELS}")
    return int(ch.__index__())
