"""What an engine in memory knows of its one client: who it is, what it may, owns, has leased and offers."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

from asmu_engine.protocol.client_replies import Counters, Summary
from asmu_engine.protocol.errors import AccessError, ProtocolError
from asmu_engine.protocol.messages import Announce, Hello, Lease, Release, Request, Transaction
from asmu_engine.protocol.request import Role, allows


class FakeClient:
    """The other end of the client of a `asmu_control.testing.FakeLink`.

    Parameters
    ----------
    most
        The most that it may do.

    Attributes
    ----------
    known, away
        Whether it has said hello, and whether its connection is lost.
    owned
        Nodes that it added and did not keep.
    services
        What it offers, in wire form.
    """

    def __init__(self, most: Role) -> None:
        self.id = ""
        self.name = ""
        self.token = ""
        self.role: Role = most
        self.known = False
        self.away = False
        self.owned: list[str] = []
        self.services: list[dict[str, Any]] = []
        self._most: Role = most
        self._numbers = itertools.count(1)
        self._nodes: set[str] = set()
        self._outputs: set[int] = set()

    def facts(self) -> dict[str, Any]:
        """What events show of it."""
        return {
            "id": self.id,
            "name": self.name,
            "pid": 0,
            "role": self.role,
            "address": "",
            "since": 0.0,
            "away": self.away,
        }

    def status(self, status: Mapping[str, Any], nodes: Collection[str]) -> dict[str, Any]:
        """What a host adds to the status of an engine without one, of which these are the nodes."""
        zeros: dict[str, Any] = dict.fromkeys(Counters.model_fields, 0)
        times = dict.fromkeys(("callback_us", "late_us"), dict.fromkeys(Summary.model_fields, 0.0))
        rates = {"samplerate": status["samplerate"], "blocksize": status["blocksize"]}
        return {
            "counters": {**zeros, **times, **rates, **status["counters"]},
            "processes": {"host": {"pid": status["pid"], "rss": None}, "audio": None, "disk": None},
            "clients": [{**self.facts(), "leases": self._leases()}] if self.known else [],
            "services": list(self.services),
            "owners": {node: self.id for node in self.owned if node in nodes},
        }

    def check(self, request: Request, kind: str) -> None:
        """ProtocolError ``hello_first``, AccessError ``not_allowed``."""
        if not self.known and kind != "ping":
            raise ProtocolError(f"say hello first, before {kind!r}", code="hello_first", where=kind)
        if not allows(self.role, request.needs):
            raise AccessError(
                f"{kind!r} takes the role {request.needs}, and this client is {self.role}", code="not_allowed", where=kind
            )

    def hello(self, request: Hello) -> str:
        """Say who it is; the event that follows. AccessError ``token_unknown``."""
        if request.resume and request.resume != self.token:
            raise AccessError("no client has this token; say hello without one", code="token_unknown", where="resume")
        asked = request.role or self._most
        self.role = asked if allows(self._most, asked) else self._most
        self.known, self.away, self.name = True, False, request.name
        if request.resume:
            return "back"
        self.id = f"c{next(self._numbers)}"
        self.token = f"token of {self.id}"
        return "joined"

    def lose(self) -> None:
        """Its connection is lost, and with it its leases."""
        self.away = True
        self._nodes, self._outputs = set(), set()

    def leave(self) -> list[str]:
        """It is gone; what it owned."""
        self.lose()
        self.known = self.away = False
        self.services = []
        owned, self.owned = self.owned, []
        return owned

    def lease(self, request: Lease, nodes: Collection[str]) -> dict[str, Any]:
        """Nodes and channels become its alone, of those that there are; all that are so now."""
        for node in request.nodes:
            if node not in nodes:
                raise AccessError(f"there is no node {node!r} to lease", code="leased", where=node)
        self._nodes |= set(request.nodes)
        self._outputs |= set(request.outputs)
        return self._leases()

    def release(self, request: Release) -> dict[str, Any]:
        """And are no more, all where none is named; those that still are."""
        everything = not request.nodes and not request.outputs
        self._nodes -= self._nodes if everything else set(request.nodes)
        self._outputs -= self._outputs if everything else set(request.outputs)
        return self._leases()

    def announce(self, request: Announce) -> dict[str, Any]:
        """Offer a service, or take the offer back; what was offered."""
        self.services = [one for one in self.services if one["service"] != request.service]
        service = {"service": request.service, "endpoint": request.endpoint, "facts": dict(request.facts), "client": self.id}
        if request.endpoint:
            self.services.append(service)
        return service

    def note(self, request: Transaction) -> None:
        """What it owns from now on."""
        self.owned += [edit.node for edit in request.edits if edit.op == "add" and not request.keep]

    def _leases(self) -> dict[str, Any]:
        return {"nodes": sorted(self._nodes), "outputs": sorted(self._outputs)}
