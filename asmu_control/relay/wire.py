"""The relay's messages: what a subscriber gets, and how it is read.

A message has three frames: the topic, which is the node's name and a zero byte (so that ``tap1`` is not also ``tap10``); the
header, a msgpack map with the fields of `Header`; and the samples, as `asmu_control.relay.packing` describes them.

A subscription is answered at once by a message without samples, to all subscribers of that topic, from which a new one learns
shape and place; the same is sent each second, so that silence means that the relay or the network is gone.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgpack
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asmu_control.relay.packing import Format
from asmu_engine.protocol.edits import Name
from asmu_engine.protocol.errors import AsmuError, ProtocolError, from_wire
from asmu_engine.protocol.version import MAX_CHANNELS

RELAY_VERSION: Final = 1
"""Raised by one whenever an older subscriber could misunderstand a message."""

BEAT_SECONDS: Final = 1.0
"""How often a subscribed tap is heard of at least."""

SILENT_SECONDS: Final = 10.0
"""A tap that was not heard of for so long has ended, for its readers."""

SERVICE: Final = "relay"
"""What an engine's clients see the relay announced as."""

MAX_BLOCK: Final = 65536
"""Most frames of one message."""

MAX_SAMPLES: Final = 4 * 2**20
"""Most samples of one message; wide taps go in shorter blocks."""

MAX_GAPS: Final = 1024
"""Most gaps right before one message, of which there is hardly ever more than one."""

MAX_BYTES: Final = 32 * 2**20
"""Most bytes of one message."""

Count = Annotated[int, Field(ge=0, lt=2**62)]
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Header(BaseModel):
    """What stands before the samples of one message; unknown fields are left unread.

    Between two messages of one stream ``position = last position + last frames + skipped + lost`` holds; what is missing beyond
    that got lost between the relay and its subscriber, which was too slow, or away.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    v: Literal[1] = RELAY_VERSION
    node: Name = Field(description="the tap")
    stream: Annotated[str, Field(max_length=64)] = Field(
        default="", description="names the ring behind the tap: another one after a resize or a new start of the engine"
    )
    run: Annotated[str, Field(max_length=64)] = Field(
        default="", description="names the relay's reading of that ring: with another one, sequence begins anew"
    )
    sequence: Count = Field(
        default=0, description="number of this message within stream and run; without samples, of the next that has some"
    )
    position: Count | None = Field(
        default=None,
        description="frame position of the first sample; without samples, of what comes next, none before the first frame ever",
    )
    first: Count | None = Field(default=None, description="frame position of message 0")
    frames: Annotated[int, Field(ge=0, le=MAX_BLOCK)] = Field(default=0, description="frames; 0: a sign of life")
    channels: Annotated[int, Field(ge=0, le=MAX_CHANNELS)] = Field(default=0, description="channels")
    samplerate: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Hz")
    capacity: Count = Field(default=0, description="frames that the engine's ring holds")
    format: Format = Field(default="float32", description="form of the samples")
    parts: Annotated[list[Count], Field(max_length=MAX_CHANNELS)] = Field(
        default_factory=list, description="with flac: bytes of each group of channels"
    )
    clipped: Count = Field(default=0, description="samples here that were clipped, or NaN, where the form has only integers")
    lost: Count = Field(default=0, description="frames right before these that the device lost")
    gaps: Annotated[list[Annotated[list[Integer], Field(min_length=3, max_length=3)]], Field(max_length=MAX_GAPS)] = Field(
        default_factory=list, description="the gaps that make up lost, each: position, frames, cause"
    )
    uncertainties: Annotated[list[Count], Field(max_length=MAX_GAPS)] = Field(
        default_factory=list, description="of each gap the standard uncertainty of its length, frames; empty where all are exact"
    )
    skipped: Count = Field(default=0, description="frames right before those, and these, that the relay was too slow for")
    stamp: Annotated[list[Integer], Field(min_length=3, max_length=3)] | None = Field(
        default=None, description="a frame position with its time on the engine's clocks, monotonic and UTC, ns"
    )
    closed: bool = Field(default=False, description="nothing more comes of this stream")
    error: dict[str, Any] | None = Field(default=None, description="why there is no such tap; all else is empty then")

    def refusal(self) -> AsmuError | None:
        """The error that it carries."""
        return None if self.error is None else from_wire(self.error)


def topic_of(node: str) -> bytes:
    """What to subscribe to for a node's messages, and for no other's."""
    return node.encode() + b"\0"


def encode(header: Header, payload: bytes = b"") -> list[bytes]:
    """The frames of a message."""
    fields = header.model_dump(exclude_defaults=True)
    return [topic_of(header.node), msgpack.packb({"v": RELAY_VERSION, **fields}, use_bin_type=True), payload]


def decode(head: bytes) -> Header:
    """The header from its frame; ProtocolError ``bad_message``, or ``protocol_version``, where it is none."""
    try:
        fields = msgpack.unpackb(head, raw=False, strict_map_key=True)
    except Exception as error:  # noqa: BLE001 - msgpack raises several unrelated classes; all mean the same here
        raise ProtocolError(f"header of a relay's message is not valid msgpack: {error}", code="bad_message") from None
    if isinstance(fields, dict) and fields.get("v") != RELAY_VERSION:
        raise ProtocolError(
            f"the relay's messages are of version {fields.get('v')!r}, this library reads {RELAY_VERSION}; "
            "use one version on both sides",
            code="protocol_version",
        )
    try:
        return Header.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ProtocolError(
            f"header of a relay's message: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}", code="bad_message"
        ) from None
