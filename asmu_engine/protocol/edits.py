"""The edits of a patch, as they stand in a transaction; `op` says which."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asmu_engine.protocol.version import MAX_CHANNELS, NAME_PATTERN

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Port = Annotated[int, Field(ge=0, lt=MAX_CHANNELS)]
PortCount = Annotated[int, Field(ge=0, le=MAX_CHANNELS)]


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class Add(_Edit):
    """A new node.

    >>> Add(node="sine1", kind="sine", outputs=1, parameters={"frequency": 250.0}).model_dump(exclude_defaults=True)
    {'node': 'sine1', 'kind': 'sine', 'outputs': 1, 'parameters': {'frequency': 250.0}}
    """

    op: Literal["add"] = "add"
    node: Name = Field(description="a name that no node has yet", examples=["sine1"])
    kind: Name = Field(description="one of the catalogue", examples=["sine"])
    inputs: PortCount = Field(default=0, description="number of its inputs")
    outputs: PortCount = Field(default=0, description="number of its outputs", examples=[1])
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="values by name, units and ranges as in the catalogue: a number, a list with one a channel, a text, an array",
        examples=[{"frequency": 250.0}],
    )


class Remove(_Edit):
    """A node and all its connections go."""

    op: Literal["remove"] = "remove"
    node: Name = Field(description="the node", examples=["sine1"])


class Resize(_Edit):
    """A node gets another number of ports; the state of the channels that stay is kept."""

    op: Literal["resize"] = "resize"
    node: Name = Field(description="the node", examples=["gain1"])
    inputs: PortCount = Field(description="number of its inputs from now on", examples=[2])
    outputs: PortCount = Field(description="number of its outputs from now on", examples=[2])


class Connect(_Edit):
    """Output `output` of `source` feeds input `input` of `target`; an input has one source at most.

    Ports count from 0. The node ``in`` has the device's input channels as outputs, ``out`` its output channels as
    inputs: port 0 is channel 1.

    >>> Connect(source="sine1", output=0, target="out", input=1).model_dump()
    {'op': 'connect', 'source': 'sine1', 'output': 0, 'target': 'out', 'input': 1}
    """

    op: Literal["connect"] = "connect"
    source: Name = Field(description="node that gives, or `in`", examples=["sine1"])
    output: Port = Field(description="its output, from 0", examples=[0])
    target: Name = Field(description="node that takes, or `out`", examples=["out"])
    input: Port = Field(description="its input, from 0, which has no source yet", examples=[1])


class Disconnect(_Edit):
    """Input `input` of `target` loses its source and reads silence."""

    op: Literal["disconnect"] = "disconnect"
    target: Name = Field(description="node that takes, or `out`", examples=["out"])
    input: Port = Field(description="its input, from 0", examples=[1])


class Set(_Edit):
    """Parameters of a node change.

    >>> Set(node="gain1", parameters={"gain": 0.5}).model_dump()
    {'op': 'set', 'node': 'gain1', 'parameters': {'gain': 0.5}}
    """

    op: Literal["set"] = "set"
    node: Name = Field(description="the node", examples=["gain1"])
    parameters: dict[str, Any] = Field(description="new values by name; the others stay", examples=[{"gain": 0.5}])


class Call(_Edit):
    """A node does one of the calls of its kind, e.g. ``restart``."""

    op: Literal["call"] = "call"
    node: Name = Field(description="the node", examples=["burst1"])
    call: Name = Field(description="one of the calls of its kind", examples=["restart"])


Edit = Annotated[Add | Remove | Resize | Connect | Disconnect | Set | Call, Field(discriminator="op")]
