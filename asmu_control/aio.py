"""The awaited twin of the client: everything is shared but the waiting, which the event loop of asyncio does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asmu_control.asynclease import AsyncLease
from asmu_control.connection import Connection
from asmu_control.deviceverbs import DeviceVerbs
from asmu_control.events import Event
from asmu_control.events import Sequence as EventSequence
from asmu_control.exchange import R, Steps
from asmu_control.patchverbs import PatchVerbs
from asmu_control.shared import Awaited
from asmu_control.timeouts import Timeout, Timeouts
from asmu_engine.protocol.errors import AsmuError

if TYPE_CHECKING:
    from asmu_control.asynctap import AsyncTap
    from asmu_control.link import Link, Message, Source

__all__ = ["AsyncClient", "AsyncEvents", "AsyncLease", "Connecting"]

QUEUE: Final = 10_000
_POLL_SECONDS: Final = 0.002


class AsyncClient(Connection, PatchVerbs, DeviceVerbs, Awaited):
    """A client whose methods are awaited; they are those of `asmu_control.client.Client`, in one event loop.

    Requests of several tasks are done one after another. A task that is cancelled while it waits does not know whether the
    engine did what was asked, as after an EngineTimeout.

    Parameters
    ----------
    link, name, role, grace, timeout
        As for `Client`. `open` says hello.

    Examples
    --------
    ::

        async with asmu_control.connect_async("lab") as client:
            async for event in client.events("patch"):
                print(event.what, event.get("revision"))
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
        self._lock = asyncio.Lock()

    async def open(self) -> Self:
        """Say hello, unless that was done."""
        if not self.facts:
            try:
                await self._run(self._exchange.hello(self.timeouts.connect))
            except BaseException:
                self._shut()
                raise
        return self

    def events(self, *topics: str, timeout: float | None = None, snapshot: bool = True, queue: int = QUEUE) -> AsyncEvents:
        """What happens from the first time on that this is awaited: ``async for event in client.events("patch"): …``.

        See `asmu_control.client.Client.events`.
        """
        self.check_open()
        return AsyncEvents(self, topics, timeout=timeout, snapshot=snapshot, queue=queue)

    def lease(self, nodes: Sequence[str] = (), outputs: Sequence[int] = (), timeout: Timeout = "default") -> AsyncLease:
        """Have nodes and output channels for this client alone: ``async with client.lease(nodes=["gain1"]): …``, or await it.

        See `asmu_control.client.Client.lease`.
        """
        return AsyncLease(self, nodes, outputs, timeout)

    def tap(self, node: str) -> AsyncTap:
        """The tap of that name in the engine's patch: ``async for block in client.tap("tap1").blocks(4800): …``.

        See `asmu_control.client.Client.tap`.
        """
        from asmu_control.asynctap import AsyncTap

        return AsyncTap(self, node)

    async def close(self) -> None:
        """Leave: leases end, and what this client owns and did not keep is removed. The engine goes on."""
        if not self.closed:
            try:
                await self._run(self._exchange.goodbye())
            finally:
                self._shut()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _run(self, steps: Steps[R]) -> R:
        async with self._lock:
            return await go(steps)

    async def _tend(self) -> None:
        """Look after the connection, unless another task is using it anyway."""
        if not self._lock.locked() and not self.closed:
            await self._run(self._exchange.tend())

    def _shut(self) -> None:
        self._exchange.closed = True
        self._link.close()


class AsyncEvents:
    """What happens in an engine, event after event: ``async for event in client.events("patch"): …``; for one task at a time.

    It ends as `asmu_control.events.Events` does.
    """

    def __init__(
        self, client: AsyncClient, topics: Collection[str], *, timeout: float | None, snapshot: bool, queue: int
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._sequence = EventSequence(client._exchange, topics, snapshot=snapshot, queue=queue)

    async def next(self, timeout: float | None = None) -> Event | None:
        """The next event; None when there is none within `timeout` seconds (None: as long as it takes), or will be none."""
        await self._begin()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._sequence.tend_due():
                await self._client._tend()
                self._sequence.tended()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            event = await go(self._sequence.next(left))
            if event is not None or self._sequence.over or left == 0.0:
                return event

    def close(self) -> None:
        """No more events; harmless when done before."""
        self._sequence.subscription.close()

    async def _begin(self) -> None:
        if not self._sequence.begun:
            try:
                await self._client._run(self._sequence.begin())
            except BaseException:
                self.close()
                raise

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self.next(self._timeout)
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Connecting:
    """A connection in the making: await it, or enter it with ``async with``, which closes it at the end."""

    def __init__(self, make: Callable[[], AsyncClient]) -> None:
        self._make = make
        self._client: AsyncClient | None = None

    def __await__(self) -> Generator[Any, None, AsyncClient]:
        return self._open().__await__()

    async def _open(self) -> AsyncClient:
        return await self._make().open()

    async def __aenter__(self) -> AsyncClient:
        self._client = await self._open()
        return self._client

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._client is not None:
            await self._client.close()


async def go(steps: Steps[R]) -> R:
    """Go through the steps, waiting with the event loop."""
    try:
        wait = next(steps)
        while True:
            try:
                message = await _message(wait.source, wait.seconds)
            except AsmuError as error:
                wait = steps.throw(error)
            else:
                wait = steps.send(message)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        steps.close()


async def _message(source: Source, seconds: float) -> Message | None:
    message = source.receive(0.0)
    if message is not None or seconds <= 0.0:
        return message
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        left = deadline - loop.time()
        if left <= 0.0:
            return None
        # A socket's descriptor tells of something new only; what was there already has just been looked for.
        await _readable(loop, source.fileno(), left)
        message = source.receive(0.0)
        if message is not None:
            return message


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int | None, seconds: float) -> None:
    """Wait until there may be something, so many seconds at most."""
    woken = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    watching = False
    if descriptor is not None:
        try:
            loop.add_reader(descriptor, wake)
            watching = True
        except NotImplementedError:
            pass  # an event loop that watches no descriptors, as the usual one of Windows
    timer = loop.call_later(seconds if watching else min(seconds, _POLL_SECONDS), wake)
    try:
        await woken
    finally:
        timer.cancel()
        if watching and descriptor is not None:
            loop.remove_reader(descriptor)
