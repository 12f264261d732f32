"""What a blocking and an awaited client have in common beside their requests: what they know of their engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from asmu_control.exchange import Exchange
from asmu_control.timeouts import Timeouts

if TYPE_CHECKING:
    from asmu_control.link import Link


class Connection:
    """A client's side of a connection that may or may not have said hello yet."""

    def __init__(
        self, link: Link, name: str, *, role: str | None = None, grace: float = 0.0, timeout: Timeouts | float | None = None
    ) -> None:
        who: dict[str, Any] = {"name": name, "pid": os.getpid(), "beat": True}
        if role is not None:
            who["role"] = role
        if grace:
            who["grace"] = float(grace)
        self._link = link
        self._exchange = Exchange(link, who, Timeouts() if timeout is None else Timeouts.of(timeout))

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self._link.name

    @property
    def facts(self) -> dict[str, Any]:
        """What the engine said of itself and of this client when it was last greeted: samplerate, blocksize, role, clock …"""
        return self._exchange.facts

    @property
    def id(self) -> str:
        """By which events and the status name this client."""
        return str(self.facts.get("client", ""))

    @property
    def lapses(self) -> int:
        """How often the engine had let this client go because its connection was lost for too long.

        What it owned and leased was gone each time; it came back with the next request, as the same client or as a new one.
        """
        return self._exchange.lapses

    @property
    def role(self) -> str:
        """What this client may do: ``"observer"``, ``"operator"`` or ``"admin"``."""
        return str(self.facts.get("role", ""))

    @property
    def remote(self) -> bool:
        """Whether it came over the network: the rings of taps and feeds are out of reach then."""
        return self._link.remote

    @property
    def link(self) -> Link:
        """The way to the engine."""
        return self._link

    @property
    def timeouts(self) -> Timeouts:
        """How long it waits where a call does not say."""
        return self._exchange.timeouts

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._exchange.closed

    def check_open(self) -> None:
        """EngineError ``engine_state`` once this client is closed."""
        self._exchange.check_open()

    def alive(self) -> bool:
        """False once the engine is certainly gone, or this client is closed."""
        return not self.closed and self._link.alive()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "the client of an engine stays in its process; give workers a tap's handle, or let them connect by themselves"
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else "connected"
        return f"<{type(self).__name__} of engine {self.engine!r}: {state}>"
