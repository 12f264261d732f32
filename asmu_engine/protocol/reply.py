"""What all answers have in common, and the parts of which several are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from asmu_engine.protocol.request import Request

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Numbers = dict[str, Count]
"""Of each topic the number of its last event."""


class Part(BaseModel):
    """Fields of an answer or event; what is not named here is not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Nothing(Part):
    """Nothing: that it was answered says all."""


@dataclass(frozen=True)
class Answer:
    """What a request is answered with.

    `result` is the class of what stands in ``result`` where the request worked (or several, told apart by a field of theirs);
    `refusals` are the codes with which this request in particular may be refused, beside `ANY_REFUSALS`.
    """

    request: type[Request]
    result: Any
    refusals: tuple[str, ...] = ()


ANY_REFUSALS = (
    "bad_message",
    "protocol_version",
    "message_too_large",
    "unknown_request",
    "hello_first",
    "out_of_order",
    "not_allowed",
    "key_refused",
    "engine_state",
    "engine_gone",
    "engine_failed",
)
"""Codes with which any request may be refused."""


class DeviceFacts(Part):
    """The device that runs."""

    name: str = Field(description="its name", examples=["virtual"])
    host_api: str = Field(description="the system's sound interface, as PortAudio calls it", examples=["virtual"])
    kind: str = Field(description="`portaudio`, `virtual`, `offline` or `file`", examples=["virtual"])
    inputs: list[Count] = Field(description="input channels in use, from 1", examples=[[1, 2]])
    outputs: list[Count] = Field(description="output channels in use, from 1", examples=[[1, 2]])
    max_inputs: Count = Field(description="input channels that it has", examples=[2])
    max_outputs: Count = Field(description="output channels that it has", examples=[2])
    input_latency: float = Field(description="as the device says, s", examples=[0.0])
    output_latency: float = Field(description="as the device says, s", examples=[0.0])
    paced: bool = Field(description="it keeps time; else it runs as fast as it can, or is stepped", examples=[True])
    speed: float = Field(description="seconds of audio a second, where it is paced", examples=[1.0])


class ErrorFacts(Part):
    """Why something was refused or failed."""

    code: str = Field(description="the single cause, for programs; see the list of errors", examples=["file_unwritable"])
    family: str = Field(description="what kind of cause, where a program does not know the code", examples=["disk"])
    message: str = Field(
        description="what was wrong, where, and what would be right, for people", examples=["cannot write /data/a.wav: disk full"]
    )
    where: str = Field(description="the node, port, field or path concerned; may be empty", examples=["/data/a.wav"])
    retry: bool = Field(description="the same may work later, unchanged", examples=[False])
