"""Requests about the clients themselves, and about the engine as a whole."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.edits import Name
from asmu_engine.protocol.request import Channels, Request, Role
from asmu_engine.protocol.version import MAX_NODES

Names = Annotated[list[Name], Field(max_length=MAX_NODES)]
Fact = Annotated[str, Field(max_length=255)]


class Hello(Request):
    """Who the client is; the first request of each. Answered with the engine's facts and the client's id, role and token.

    Until then nothing but `ping` is answered. It may be said again: ids then count anew.

    >>> Hello(id=1, name="notebook").model_dump(exclude_defaults=True)
    {'id': 1, 'name': 'notebook'}
    """

    type: Literal["hello"] = "hello"
    name: Name = Field(description="what people read; several clients may have the same", examples=["notebook"])
    pid: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="its process on this machine, whose end is noticed at once; 0 for none, or on another machine"
    )
    role: Role | None = Field(default=None, description="at most this one; null for the most that it may have")
    resume: Annotated[str, Field(max_length=64)] = Field(
        default="",
        description="the token of an earlier hello, to be the same client again, with its nodes, while the engine remembers it",
    )
    grace: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0, description="for how long what it owns waits for it after its connection was lost, s"
    )
    beat: bool = Field(
        default=False,
        description="the engine says `beat` every second while it has nothing else to say, and sees from that whether the "
        "connection stands; a client that does not ask for it must itself send something, such as a ping, every 2 s",
        examples=[True],
    )


class Goodbye(Request):
    """The client leaves: its leases end, and what it owns is removed, but for what was to be kept."""

    type: Literal["goodbye"] = "goodbye"


class Ping(Request):
    """Answered at once with an empty result."""

    repeatable: ClassVar[bool] = True
    type: Literal["ping"] = "ping"


class Status(Request):
    """State, device, processes, real-time grants, clients, leases, open recordings and players."""

    repeatable: ClassVar[bool] = True
    type: Literal["status"] = "status"


class Snapshot(Request):
    """Status, patch and what is scheduled, with the number of the last event of each topic that they include.

    A client that subscribes first and asks for this then knows everything: what has a greater number happened after it.
    """

    repeatable: ClassVar[bool] = True
    type: Literal["snapshot"] = "snapshot"


class Lease(Request):
    """Nodes and output channels become this client's alone, all or none; edits of others that touch them are refused.

    Reading a leased node's outputs stays free. A lease ends with `release`, or with its client.

    >>> Lease(id=4, nodes=["gain1"], outputs=[1, 2]).model_dump(exclude_defaults=True)
    {'id': 4, 'nodes': ['gain1'], 'outputs': [1, 2]}
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["lease"] = "lease"
    nodes: Names = Field(default_factory=list, description="nodes of the patch", examples=[["gain1"]])
    outputs: Channels = Field(default_factory=list, description="output channels of the device, from 1", examples=[[1, 2]])


class Release(Request):
    """Leases of this client end; with nothing named, all of them."""

    needs: ClassVar[Role] = "operator"
    type: Literal["release"] = "release"
    nodes: Names = Field(default_factory=list, description="nodes whose lease ends", examples=[["gain1"]])
    outputs: Channels = Field(default_factory=list, description="output channels whose lease ends, from 1")


class Announce(Request):
    """A client offers a service to the others, such as the relay that publishes taps; seen in the status until it leaves."""

    needs: ClassVar[Role] = "operator"
    type: Literal["announce"] = "announce"
    service: Name = Field(description="what it is", examples=["relay"])
    endpoint: Annotated[str, Field(max_length=255)] = Field(
        description="where it is found, `tcp://*:PORT` for a port of this machine; an empty one takes the offer back",
        examples=["tcp://*:5557"],
    )
    facts: Annotated[dict[Fact, Fact], Field(max_length=32)] = Field(
        default_factory=dict, description="what a user of it must know", examples=[{"format": "float32"}]
    )


class Keys(Request):
    """The keys with which clients may come from other machines: list them, or revoke one."""

    needs: ClassVar[Role] = "admin"
    type: Literal["keys"] = "keys"
    action: Literal["list", "revoke"] = Field(default="list", description="what to do", examples=["revoke"])
    name: Annotated[str, Field(max_length=63)] = Field(
        default="", description="the key that is revoked; its connections end", examples=["anna"]
    )


class Shutdown(Request):
    """The engine ends: recordings are closed, processes and segments go."""

    needs: ClassVar[Role] = "admin"
    type: Literal["shutdown"] = "shutdown"
