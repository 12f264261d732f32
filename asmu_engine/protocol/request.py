"""What all requests have in common: version, id, and the role that a client needs for them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from asmu_engine.protocol.version import MAX_CHANNELS

Channels = Annotated[list[Annotated[int, Field(ge=1, le=MAX_CHANNELS)]], Field(max_length=MAX_CHANNELS)]
"""Device channels, from 1."""

FramePosition = Annotated[int, Field(ge=0, lt=2**62)]
"""Frames since the engine's epoch."""

Path = Annotated[str, Field(min_length=1, max_length=4096)]

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""A text of the client's own that no other request of any client has, such as a UUID."""

Role = Literal["observer", "operator", "admin"]
"""What a client may do: look; also edit, record and play; also start and stop the device and the engine, and see to keys."""

ROLES: tuple[Role, ...] = ("observer", "operator", "admin")
"""From the least to the most."""


class Request(BaseModel):
    """What all requests carry.

    `needs` is the role that a client must have at least. A `repeatable` request may be done again when it
    comes again; the answers to the others are kept for a while, and one that comes twice is done once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    needs: ClassVar[Role] = "observer"
    repeatable: ClassVar[bool] = False
    v: Literal[1] = Field(default=1, description="version of the protocol")
    id: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        description="number of the request, which its answer carries; each of a client is greater than the one before",
        examples=[7],
    )


def allows(role: Role, needed: Role) -> bool:
    """Whether a client of that role may do what needs the other.

    >>> allows("operator", "observer"), allows("operator", "admin")
    (True, False)
    """
    return ROLES.index(role) >= ROLES.index(needed)


def lesser(one: Role, other: Role) -> Role:
    """The role that allows less.

    >>> lesser("admin", "operator")
    'operator'
    """
    return one if allows(other, one) else other
