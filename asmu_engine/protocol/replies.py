"""Of every request what it is answered with, and why it may be refused."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from asmu_engine.protocol import client_replies, device_replies, disk_replies, patch_replies
from asmu_engine.protocol.reply import Answer, ErrorFacts, Part
from asmu_engine.protocol.request import Request
from asmu_engine.protocol.version import PROTOCOL_VERSION

ANSWERS: dict[type[Request], Answer] = {
    answer.request: answer
    for answer in (*client_replies.ANSWERS, *patch_replies.ANSWERS, *device_replies.ANSWERS, *disk_replies.ANSWERS)
}
"""By class of request."""


class _Envelope(Part):
    v: Literal[1] = Field(default=PROTOCOL_VERSION, description="version of the protocol")
    id: int = Field(ge=0, lt=2**63, description="number of the request; 0 where it had none that is one", examples=[7])


class WorkedMessage(_Envelope):
    """A request worked."""

    type: Literal["reply"] = Field(default="reply", description="which message this is")
    result: dict[str, Any] = Field(description="see the request", examples=[{"revision": 13, "at": 480_000, "late": 0}])


class RefusedMessage(ErrorFacts, _Envelope):
    """A request was refused, or could not be done; it had no effect."""

    type: Literal["error"] = Field(default="error", description="which message this is")


class BeatMessage(Part):
    """A sign of life, to a client that asked for it and to which nothing was said for a second. It is not answered."""

    v: Literal[1] = Field(default=PROTOCOL_VERSION, description="version of the protocol")
    id: Literal[0] = Field(default=0, description="no request")
    type: Literal["beat"] = Field(default="beat", description="which message this is")


MESSAGES = (WorkedMessage, RefusedMessage, BeatMessage)
"""What comes back through the socket of the requests."""


@cache
def _adapter(request: type[Request]) -> TypeAdapter[Any]:
    return TypeAdapter(ANSWERS[request].result)


def check_result(request: type[Request], result: dict[str, Any]) -> Any:
    """The `result` of such a request as an object of its class; pydantic's ValidationError where it is none."""
    return _adapter(request).validate_python(result)
