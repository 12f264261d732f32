"""Reading a tap of an engine with asyncio, wherever the engine is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from asmu_control.existingtap import TapReader, reader_at, tap_place
from asmu_engine.protocol.errors import RingError

if TYPE_CHECKING:
    from asmu_control.aio import AsyncClient
    from asmu_control.typing import Start
    from asmu_engine.shm.block import RingBlock

T = TypeVar("T")

_SLICE: Final = 0.2
"""Seconds for which a thread waits for frames at a stretch: so long may the end of a task take that is cancelled."""


class AsyncTap:
    """A tap that is in an engine's patch, whoever put it there: ``client.tap("node")`` of an `AsyncClient`.

    Parameters
    ----------
    client
        A client of the engine.
    node
        Name of the tap. Whether there is one is seen when it is read.
    """

    def __init__(self, client: AsyncClient, node: str) -> None:
        self.node = node
        self._client = client

    async def reader(self, start: Start = "newest") -> TapReader:
        """A reader of its own, as of `asmu_control.analyzer.Tap`. Its `read` does not wait, its `wait` and `blocks` do."""
        answer = await (self._client.status() if self._client.remote else self._client.patch())
        place = tap_place(self._client, self.node, answer)
        return await _in_thread(lambda: reader_at(self._client, self.node, place, start))

    async def blocks(
        self, frames: int, *, start: Start = "newest", timeout: float | None = None, copy: bool = True
    ) -> AsyncIterator[RingBlock]:
        """Block after block of the frame axis: ``async for block in client.tap("tap1").blocks(4800): …``.

        See `asmu_control.analyzer.Tap.blocks`. With ``start="newest"`` it begins when the first block is asked for.
        """
        reader = await self.reader(start)
        try:
            while (block := await self._next(reader, frames, timeout, copy)) is not None:
                yield block
        finally:
            reader.close()

    async def _next(self, reader: TapReader, frames: int, timeout: float | None, copy: bool) -> RingBlock | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seconds = _SLICE if deadline is None else max(0.0, min(_SLICE, deadline - time.monotonic()))
            try:
                return await _in_thread(lambda: next(reader.blocks(frames, seconds, copy), None))  # noqa: B023 - done at once
            except RingError as error:
                if error.code != "ring_timeout":
                    raise
                if deadline is not None and time.monotonic() >= deadline:
                    raise RingError(
                        f"no {frames} frames of tap {self.node!r} within {timeout:g} s",
                        code="ring_timeout",
                        where=self.node,
                        retry=True,
                    ) from None

    def __repr__(self) -> str:
        return f"<AsyncTap {self.node} of engine {self._client.engine!r}>"


async def _in_thread(work: Callable[[], T]) -> T:
    """Do it in a thread; who is cancelled goes when the thread is done, since nobody may close what it uses before."""
    done = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise
