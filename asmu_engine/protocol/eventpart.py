"""What all events have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asmu_engine.protocol.reply import Part
from asmu_engine.protocol.version import PROTOCOL_VERSION

WHAT = Field(description="what happened")


class EventPart(Part):
    """What all events carry."""

    v: Literal[1] = Field(default=PROTOCOL_VERSION, description="version of the protocol")
    number: Annotated[int, Field(ge=1)] = Field(description="counts the events of the topic from 1 without a gap", examples=[13])
