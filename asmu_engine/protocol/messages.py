"""Every request of a client, one validated class each; `type` says which.

A request is a msgpack map ``{"v": 1, "id": N, "type": …, …}``. Its answer has the same `id` and is either
``{"v": 1, "id": N, "type": "reply", "result": {…}}`` or ``{"v": 1, "id": N, "type": "error", "code": …,
"family": …, "message": …, "where": …, "retry": …}``. Events are published as two frames, the topic and a map
``{"v": 1, "number": N, "topic": …, …}``; `number` counts from 1 without a gap.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from asmu_engine.protocol.edits import Edit, Name
from asmu_engine.protocol.errors import AsmuError, ProtocolError
from asmu_engine.protocol.version import MAX_CHANNELS, MAX_EDITS, PROTOCOL_VERSION

Channels = Annotated[list[Annotated[int, Field(ge=1, le=MAX_CHANNELS)]], Field(max_length=MAX_CHANNELS)]


class Request(BaseModel):
    """What all requests carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    v: Literal[1] = 1
    id: Annotated[int, Field(ge=0, lt=2**63)]


class Hello(Request):
    """Who the client is; answered with the engine's facts (name, version, samplerate, blocksize, device, state).

    >>> Hello(id=1, name="notebook").model_dump()
    {'v': 1, 'id': 1, 'type': 'hello', 'name': 'notebook', 'pid': 0}
    """

    type: Literal["hello"] = "hello"
    name: Name
    pid: int = 0


class Ping(Request):
    """Answered at once with an empty result."""

    type: Literal["ping"] = "ping"


class Transaction(Request):
    """Edits of the patch, all or nothing.

    Answered with ``{"revision", "at"}``: the patch revision, and the frame position from which the edits hold, that of
    the next block that the device processes.
    """

    type: Literal["transaction"] = "transaction"
    edits: Annotated[list[Edit], Field(min_length=1, max_length=MAX_EDITS)]


class Start(Request):
    """The device runs. `inputs` and `outputs` are the channels in use (from 1), None for all that the device has.

    `drop`: blocks at the start that play silence and process nothing. `end_block`: stop by itself so many blocks after them.
    `reset`: every core goes back to its start.
    """

    type: Literal["start"] = "start"
    inputs: Channels | None = None
    outputs: Channels | None = None
    end_block: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    drop: Annotated[int, Field(ge=0, lt=2**31)] = 0
    reset: bool = True


class Stop(Request):
    """The device stops; patch, rings and clients stay."""

    type: Literal["stop"] = "stop"


class Step(Request):
    """The offline device processes `blocks` blocks; answered when they are done."""

    type: Literal["step"] = "step"
    blocks: Annotated[int, Field(ge=1, lt=2**53)] = 1


class Status(Request):
    """State, device, processes, real-time grants, clients, open recordings and players."""

    type: Literal["status"] = "status"


class GetPatch(Request):
    """The patch: revision, nodes, connections."""

    type: Literal["patch"] = "patch"


class GetCatalogue(Request):
    """The kinds of core that this engine knows, with parameters, units, ranges and ports."""

    type: Literal["catalogue"] = "catalogue"


class Profile(Request):
    """Time each core (on) or not (off); answered with the microseconds a block of each node since it was switched on."""

    type: Literal["profile"] = "profile"
    enabled: bool | None = None


class Fault(Request):
    """Make the virtual device fail on purpose.

    `fault`: ``stall`` (no callback for `blocks` blocks), ``lose`` (`frames` frames vanish), ``input_overflow``,
    ``input_underflow``, ``output_overflow``, ``output_underflow`` (flag on the next block), ``gone`` and ``back``.
    """

    type: Literal["fault"] = "fault"
    fault: Literal["stall", "lose", "input_overflow", "input_underflow", "output_overflow", "output_underflow", "gone", "back"]
    blocks: Annotated[int, Field(ge=1, lt=2**31)] = 1
    frames: Annotated[int, Field(ge=1, lt=2**40)] = 1


class Record(Request):
    """The disk process writes the tap `node` to `path` (absolute) from its first frame on; answered with a job id.

    `format` and `subtype` are libsndfile's names; an empty subtype is the finest that the format holds.
    """

    type: Literal["record"] = "record"
    node: Name
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    format: str = "WAV"
    subtype: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


class Play(Request):
    """The disk process reads `path` (absolute) into the feed `node`; answered with a job id once the ring is primed."""

    type: Literal["play"] = "play"
    node: Name
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    loop: bool = False
    start: Annotated[int, Field(ge=0, lt=2**62)] = 0


class Seek(Request):
    """A player goes on at frame `position` of its file; answered with its status once the ring is primed from there.

    >>> Seek(id=1, job=2, position=48000).model_dump()
    {'v': 1, 'id': 1, 'type': 'seek', 'job': 2, 'position': 48000}
    """

    type: Literal["seek"] = "seek"
    job: Annotated[int, Field(ge=1)]
    position: Annotated[int, Field(ge=0, lt=2**62)]


class Reset(Request):
    """Every core goes back to its start, all with the same frame; `drop`: blocks after it that play silence.

    Answered with ``{"at"}``, the frame position from which it holds.
    """

    type: Literal["reset"] = "reset"
    drop: Annotated[int, Field(ge=0, lt=2**31)] = 0


class JobStatus(Request):
    """How far a recording or player is."""

    type: Literal["job"] = "job"
    job: Annotated[int, Field(ge=1)]


class JobStop(Request):
    """A recording takes what its ring holds and closes its file, or a player stops; answered when the file is whole."""

    type: Literal["job_stop"] = "job_stop"
    job: Annotated[int, Field(ge=1)]


class Shutdown(Request):
    """The engine ends: recordings are closed, processes and segments go."""

    type: Literal["shutdown"] = "shutdown"


AnyRequest = Annotated[
    Hello
    | Ping
    | Transaction
    | Start
    | Stop
    | Step
    | Status
    | GetPatch
    | GetCatalogue
    | Profile
    | Fault
    | Record
    | Play
    | Seek
    | Reset
    | JobStatus
    | JobStop
    | Shutdown,
    Field(discriminator="type"),
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyRequest)


def parse_request(message: dict[str, Any]) -> Request:
    """The request in `message`; ProtocolError names the version or the field that is wrong."""
    version = message.get("v")
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"message of protocol version {version!r}; this engine speaks version {PROTOCOL_VERSION}",
            code="protocol_version",
            where="v",
        )
    try:
        request = _ADAPTER.validate_python(message)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        code = "unknown_request" if first["type"].startswith("union_tag") and not first["loc"] else "bad_message"
        raise ProtocolError(f"{where or 'message'}: {first['msg']}", code=code, where=where) from None
    assert isinstance(request, Request)
    return request


def request_id(message: dict[str, Any]) -> int:
    """The id to answer with: that of the message where it has a usable one, else 0."""
    value = message.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


def reply(identifier: int, result: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that worked.

    >>> reply(7, {"revision": 3})
    {'v': 1, 'id': 7, 'type': 'reply', 'result': {'revision': 3}}
    """
    return {"v": PROTOCOL_VERSION, "id": identifier, "type": "reply", "result": result}


def refusal(identifier: int, error: AsmuError) -> dict[str, Any]:
    """The answer to a request that was refused."""
    return {"v": PROTOCOL_VERSION, "id": identifier, "type": "error", **error.to_wire()}


def event(number: int, topic: str, fields: dict[str, Any]) -> dict[str, Any]:
    """One published event."""
    return {"v": PROTOCOL_VERSION, "number": number, "topic": topic, **fields}
