"""A client of an engine: requests with their answers, and events."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asmu_control.connection import Connection
from asmu_control.deviceverbs import DeviceVerbs
from asmu_control.events import Event, Events
from asmu_control.exchange import R, Steps, run
from asmu_control.lease import Lease, leased
from asmu_control.patchverbs import PatchVerbs
from asmu_control.shared import Blocking
from asmu_control.timeouts import Timeout, Timeouts

if TYPE_CHECKING:
    from asmu_control.existingtap import ExistingTap
    from asmu_control.link import Link, Subscription
    from asmu_engine.protocol.runtime import EngineInfo

__all__ = ["TIMEOUT", "Client", "Event", "Events", "Lease", "Timeouts"]

TIMEOUT: Final = 10.0
"""Longest wait for an answer, seconds, where nothing else is said."""

QUEUE: Final = 10_000


class Client(Connection, PatchVerbs, DeviceVerbs, Blocking):
    """One client of one engine; any thread may use it, one request at a time.

    Parameters
    ----------
    link
        The way to the engine; `asmu_control.connect` makes one from an engine's name or address.
    name
        What the engine and its other clients know this one by.
    role
        ``"observer"``, ``"operator"`` or ``"admin"``, to do no more than that by mistake; None: the most that it may.
    grace
        Seconds for which the engine keeps what this client owns, should its connection be lost; it goes on as the same then.
    timeout
        Longest waits: `Timeouts`, or seconds for all of them; None: as they are by default.

    Examples
    --------
    ::

        with asmu_control.connect("lab") as client:
            client.status()["state"]
    """

    def __init__(
        self,
        link: Link,
        name: str = "script",
        *,
        role: str | None = None,
        grace: float = 0.0,
        timeout: Timeouts | float | None = None,
    ) -> None:
        super().__init__(link, name, role=role, grace=grace, timeout=timeout)
        self._lock = threading.Lock()
        self._event_lock = threading.Lock()
        self._subscription: Subscription | None = None
        try:
            self._run(self._exchange.hello(self.timeouts.connect))
        except BaseException:
            self._shut()
            raise

    @classmethod
    def connect(cls, engine: str | EngineInfo, name: str = "script") -> Client:
        """A client of a running engine; see `asmu_control.connect`."""
        from asmu_control.connecting import connect

        return connect(engine, name=name)

    def events(self, *topics: str, timeout: float | None = None, snapshot: bool = True, queue: int = QUEUE) -> Events:
        """What happens from now on, to be gone through with ``for``.

        Parameters
        ----------
        topics
            ``"engine"``, ``"patch"``, ``"xrun"``, ``"node"``, ``"device"``, ``"disk"``, ``"client"``; all without any.
        timeout
            The loop ends when nothing happens for so many seconds; None: it goes on.
        snapshot
            Begin with an event ``snapshot`` of how things stand; those that follow happened after it.
        queue
            Events that may wait to be fetched, 1 or more; of more than these some are lost, and an event ``lost`` says so.
        """
        self.check_open()
        return Events(self, topics, timeout=timeout, snapshot=snapshot, queue=queue)

    def event(self, timeout: float = TIMEOUT) -> dict[str, Any] | None:
        """The next event since the first call, which subscribes; None if there is none within `timeout` seconds.

        Each is a dictionary with `topic` and `number`; numbers that are missing tell that events were dropped
        because nobody fetched them. `events` does more.
        """
        with self._event_lock:
            self.check_open()
            if self._subscription is None:
                self._subscription = self._link.subscribe(())
            return self._subscription.receive(timeout)

    def lease(self, nodes: Sequence[str] = (), outputs: Sequence[int] = (), timeout: Timeout = "default") -> Lease:
        """Have nodes and output channels for this client alone: ``with client.lease(nodes=["gain1"]): …``.

        Others can still read the outputs of the nodes; their edits that touch them are refused.

        Parameters
        ----------
        nodes
            Names of nodes of this client, or of nobody.
        outputs
            Output channels of the device, from 1.

        Raises
        ------
        AccessError
            ``leased``: names who has which of them. None is leased then.
        """
        self.request(leased(nodes, outputs), timeout)
        return Lease(self, nodes, outputs)

    def tap(self, node: str) -> ExistingTap:
        """The tap of that name in the engine's patch, whoever put it there, to be read as `asmu_control.analyzer.Tap` is.

        Of an engine on another machine it is read through the relay there: ``asmu relay``.
        """
        from asmu_control.existingtap import ExistingTap

        return ExistingTap(self, node)

    def close(self) -> None:
        """Leave: leases end, and what this client owns and did not keep is removed. The engine goes on."""
        try:
            with self._lock:
                if not self.closed:
                    run(self._exchange.goodbye())
        finally:
            self._shut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, steps: Steps[R]) -> R:
        with self._lock:
            return run(steps)

    def _tend(self) -> None:
        """Look after the connection, unless another thread is using it anyway."""
        if self._lock.acquire(blocking=False):
            try:
                if not self.closed:
                    run(self._exchange.tend())
            finally:
                self._lock.release()

    def _shut(self) -> None:
        with self._lock, self._event_lock:
            if not self._exchange.closed:
                self._exchange.closed = True
                self._link.close()
