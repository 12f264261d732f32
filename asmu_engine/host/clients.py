"""Who talks to this engine: each client with its name, role and connection."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.host.answers import Answers
from asmu_engine.protocol.errors import AccessError, EngineError
from asmu_engine.protocol.messages import Hello
from asmu_engine.protocol.request import Role, lesser
from asmu_engine.protocol.version import RESUME_SECONDS

if TYPE_CHECKING:
    from asmu_engine.host.endpoint import Endpoint, Line, Peer

MAX_CLIENTS: Final = 1024
"""Clients at a time."""

MAX_OF_ONE_KEY: Final = 128
"""Of them with one and the same key, so that nobody from outside can keep all others out."""


@dataclass(eq=False)
class Client:
    """One client, from its first hello until it is forgotten.

    Attributes
    ----------
    id
        The engine's name of it, such as ``c3``.
    name, pid, grace, beat
        As it said in its hello.
    role
        What it may do.
    remote
        True when it came over the network, with the key called `user`, from `address`.
    watched
        Its process was seen alive on this machine: when that ends, the client has left.
    since
        When it first said hello, UTC seconds.
    heard, told
        When something last came from it, and went to it, on the monotonic clock in seconds.
    lost
        Since when its connection has been broken; None while it stands.
    away
        Since when it has been away; None while it is there.
    left
        When it left; None before.
    told_as
        The name under which the others were last told that it is here; empty before, and when it left.
    services
        What it offers to others, by name: ``endpoint`` and ``facts``.
    """

    id: str
    name: str = ""
    pid: int = 0
    role: Role = "admin"
    remote: bool = False
    address: str = ""
    user: str = ""
    grace: float = 0.0
    beat: bool = False
    token: str = field(default="", repr=False)
    watched: bool = False
    since: float = field(default_factory=time.time)
    heard: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    lost: float | None = None
    away: float | None = None
    left: float | None = None
    told_as: str = ""
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers, repr=False)
    line: Line | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.id

    def facts(self) -> dict[str, Any]:
        """What the others see of it."""
        return {
            "id": self.id,
            "name": self.name,
            "pid": self.pid,
            "role": self.role,
            "address": self.address,
            "since": self.since,
            "away": self.away is not None,
        }


ENGINE: Final = Client("engine", name="engine")
"""The author of what the engine does to the patch by itself."""


class Clients:
    """All clients by connection and by token.

    A connection is an endpoint, an identity there, and the key that it came with: who takes up another's identity at another
    endpoint, or with another key, is another client.
    """

    def __init__(self) -> None:
        self._by_connection: dict[Hashable, Client] = {}
        self._by_id: OrderedDict[str, Client] = OrderedDict()
        self._by_token: dict[str, Client] = {}
        self._numbers = itertools.count(1)

    def find(self, endpoint: Endpoint, peer: Peer) -> Client | None:
        """The client at that connection, or None before its hello."""
        client = self._by_connection.get(_connection(endpoint, peer))
        if client is not None:
            client.heard, client.lost = time.monotonic(), None
            if peer.role is not None:
                client.role = lesser(client.role, peer.role)  # the role of a key may have been lowered meanwhile
        return client

    def admit(self, hello: Hello, line: Line) -> Client:
        """The client that says hello: a new one, the one at that connection, or the one whose token it has.

        Raises
        ------
        AccessError
            ``token_unknown``: there is nobody to resume.
        EngineError
            ``engine_state``: there are too many clients.
        """
        key = _connection(line.endpoint, line.peer)
        here = self._by_connection.get(key)
        client = self._of_token(hello.resume, line.peer) if hello.resume else here or self._new(line.peer)
        if here is not None and here is not client:
            here.line, here.lost = None, time.monotonic()  # it gave up its connection for that of the other
        if client.line is not None:
            self._by_connection.pop(_connection(client.line.endpoint, client.line.peer), None)
        self._by_connection[key] = client
        allowed = line.peer.role or "observer"
        client.line, client.lost, client.left = line, None, None
        client.heard = client.told = time.monotonic()
        client.name, client.pid, client.grace, client.beat = hello.name, hello.pid, hello.grace, hello.beat
        client.role, client.address = lesser(hello.role or allowed, allowed), line.peer.address
        client.answers = Answers()  # it counts from the beginning again
        return client

    def present(self) -> list[Client]:
        """Those who have not left, those who are away included, in the order of their first hello."""
        return [client for client in self._by_id.values() if client.left is None]

    def get(self, identifier: str) -> Client | None:
        """The client of that id, if it has not left."""
        client = self._by_id.get(identifier)
        return client if client is not None and client.left is None else None

    def leave(self, client: Client, *, final: bool) -> None:
        """It is not there any more. `final`: it cannot come back either."""
        if client.line is not None:
            self._by_connection.pop(_connection(client.line.endpoint, client.line.peer), None)
        client.line, client.left = None, time.monotonic()
        client.services = {}
        if final:
            self._forget(client)

    def forget_old(self) -> None:
        """Let go of those who left longer ago than they may come back."""
        now = time.monotonic()
        for client in list(self._by_id.values()):
            if client.left is not None and now - (client.away or client.left) > RESUME_SECONDS:
                self._forget(client)

    def _new(self, peer: Peer) -> Client:
        self._make_room(peer)
        client = Client(
            f"c{next(self._numbers)}", remote=peer.remote, address=peer.address, user=peer.user, token=secrets.token_hex(16)
        )
        self._by_id[client.id] = self._by_token[client.token] = client
        return client

    def _make_room(self, peer: Peer) -> None:
        present = self.present()
        same = sum(client.user == peer.user for client in present)
        if len(present) >= MAX_CLIENTS or (peer.remote and same >= MAX_OF_ONE_KEY):
            whose, limit = (f" with key {peer.user!r}", MAX_OF_ONE_KEY) if len(present) < MAX_CLIENTS else ("", MAX_CLIENTS)
            raise EngineError(
                f"{limit} clients{whose} are connected, which is the limit; come again when one has left",
                code="engine_state",
                where="hello",
                retry=True,
            )
        while len(self._by_id) >= 2 * MAX_CLIENTS:
            self._forget(next(client for client in self._by_id.values() if client.left is not None))

    def _of_token(self, token: str, peer: Peer) -> Client:
        client = self._by_token.get(token)
        if client is None or client.user != peer.user:
            raise AccessError(
                "no client with this token is remembered: it left, or was away for too long. Say hello without it, as a new one",
                code="token_unknown",
                where="resume",
            )
        return client

    def _forget(self, client: Client) -> None:
        self._by_id.pop(client.id, None)
        self._by_token.pop(client.token, None)


def _connection(endpoint: Endpoint, peer: Peer) -> Hashable:
    return endpoint, peer.identity, peer.user
