"""Every request of a client, one validated class each; `type` says which.

A request is a msgpack map ``{"v": 1, "id": N, "type": …, …}``. Its answer has the same `id` and is either
``{"v": 1, "id": N, "type": "reply", "result": {…}}`` or ``{"v": 1, "id": N, "type": "error", "code": …,
"family": …, "message": …, "where": …, "retry": …}``. Events are published as two frames, the topic and a map
``{"v": 1, "number": N, "topic": …, …}``; `number` counts the events of its topic from 1 without a gap.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from asmu_engine.protocol.client_requests import Announce, Goodbye, Hello, Keys, Lease, Ping, Release, Shutdown, Snapshot, Status
from asmu_engine.protocol.device_requests import Fault, Profile, Reset, Start, Step, Stop
from asmu_engine.protocol.disk_requests import Acquire, JobStatus, JobStop, Play, Record, Seek
from asmu_engine.protocol.errors import AsmuError, ProtocolError
from asmu_engine.protocol.patch_requests import (
    Cancel,
    GetCatalogue,
    GetPatch,
    GetValue,
    History,
    Scheduled,
    Transaction,
    Undo,
)
from asmu_engine.protocol.request import Channels, Request
from asmu_engine.protocol.version import PROTOCOL_VERSION

__all__ = [
    "Acquire", "Announce", "AnyRequest", "Cancel", "Channels", "Fault", "GetCatalogue", "GetPatch", "GetValue", "Goodbye",
    "Hello", "History", "JobStatus", "JobStop", "Keys", "Lease", "Ping", "Play", "Profile", "Record", "Release", "Request",
    "Reset", "Scheduled", "Seek", "Shutdown", "Snapshot", "Start", "Status", "Step", "Stop", "Transaction", "Undo",
    "beat", "event", "parse_request", "refusal", "reply", "request_id",
]  # fmt: skip

AnyRequest = Annotated[
    Hello
    | Goodbye
    | Ping
    | Status
    | Snapshot
    | Lease
    | Release
    | Announce
    | Keys
    | Shutdown
    | Transaction
    | Scheduled
    | Cancel
    | GetPatch
    | GetValue
    | GetCatalogue
    | History
    | Undo
    | Start
    | Stop
    | Step
    | Reset
    | Profile
    | Fault
    | Record
    | Acquire
    | Play
    | Seek
    | JobStatus
    | JobStop,
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
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
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


def beat() -> dict[str, Any]:
    """What a client that asked for it hears when nothing else is said; it answers no request.

    >>> beat()
    {'v': 1, 'id': 0, 'type': 'beat'}
    """
    return {"v": PROTOCOL_VERSION, "id": 0, "type": "beat"}
