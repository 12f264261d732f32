"""Requests about the clients themselves, and about the engine as a whole."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.edits import Name
from asmu_engine.protocol.request import Channels, Request, Role
from asmu_engine.protocol.version import MAX_NODES

Names = Annotated[list[Name], Field(max_length=MAX_NODES)]


class Hello(Request):
    """Who the client is; the first request of each. Answered with the engine's facts and the client's id, role and token.

    `role`: a lesser one than it may have; None for the most that it may have. `resume`: the token of an earlier hello, to be
    the same client again, with its nodes and leases, while the engine still remembers it. `grace`: seconds for which what
    it owns waits for it after its connection was lost. `beat`: the engine sends ``{"type": "beat"}`` while nothing
    else is said, and sees from that whether the connection stands; a client that does not ask for it must itself send
    something, such as a ping, every 2 s.

    >>> Hello(id=1, name="notebook").model_dump(exclude_defaults=True)
    {'id': 1, 'name': 'notebook'}
    """

    type: Literal["hello"] = "hello"
    name: Name
    pid: Annotated[int, Field(ge=0, lt=2**31)] = 0
    role: Role | None = None
    resume: Annotated[str, Field(max_length=64)] = ""
    grace: Annotated[float, Field(ge=0, le=3600)] = 0.0
    beat: bool = False


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
    nodes: Names = Field(default_factory=list)
    outputs: Channels = Field(default_factory=list)


class Release(Request):
    """Leases of this client end; with nothing named, all of them."""

    needs: ClassVar[Role] = "operator"
    type: Literal["release"] = "release"
    nodes: Names = Field(default_factory=list)
    outputs: Channels = Field(default_factory=list)


class Announce(Request):
    """A client offers a service to the others, such as the relay that publishes taps; seen in the status until it leaves.

    `endpoint`: where it is found, ``tcp://*:PORT`` for a port of this machine. An empty one takes the offer back.
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["announce"] = "announce"
    service: Name
    endpoint: Annotated[str, Field(max_length=255)]
    facts: Annotated[dict[str, str], Field(max_length=32)] = Field(default_factory=dict)


class Keys(Request):
    """The keys with which clients may come from other machines: list them, or revoke the one called `name`."""

    needs: ClassVar[Role] = "admin"
    type: Literal["keys"] = "keys"
    action: Literal["list", "revoke"] = "list"
    name: Annotated[str, Field(max_length=63)] = ""


class Shutdown(Request):
    """The engine ends: recordings are closed, processes and segments go."""

    needs: ClassVar[Role] = "admin"
    type: Literal["shutdown"] = "shutdown"
