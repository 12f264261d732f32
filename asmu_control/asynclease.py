"""Nodes and output channels that are one awaited client's alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from asmu_control.lease import covers, leased
from asmu_control.timeouts import Timeout
from asmu_engine.protocol.errors import AsmuError

if TYPE_CHECKING:
    from asmu_control.aio import AsyncClient


class AsyncLease:
    """What `AsyncClient.lease` gives: from when it is awaited until `release`, or the end of ``async with``, others cannot
    change these nodes and channels.

    Attributes
    ----------
    nodes
        Names of nodes.
    outputs
        Output channels of the device, from 1.
    """

    def __init__(self, client: AsyncClient, nodes: Sequence[str], outputs: Sequence[int], timeout: Timeout) -> None:
        self._message = leased(nodes, outputs)
        self.nodes = tuple(nodes)
        self.outputs = tuple(outputs)
        self._client = client
        self._timeout: Timeout = timeout
        self._taken = False

    async def held(self) -> bool:
        """Ask the engine whether they still are this client's alone."""
        return self._taken and covers(await self._client.clients(), self._client.id, self.nodes, self.outputs)

    async def release(self) -> None:
        """Give them free; harmless when done before, and when the client is closed."""
        taken, self._taken = self._taken, False
        if taken and not self._client.closed:
            await self._client.release(self.nodes, self.outputs)

    async def _take(self) -> Self:
        await self._client.request(self._message, self._timeout)
        self._taken = True
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._take().__await__()

    async def __aenter__(self) -> Self:
        return self if self._taken else await self._take()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.release()
        except AsmuError as second:
            # The error of the body is the one to be seen.
            if error is None:
                raise
            error.add_note(f"releasing the lease then failed as well: {second}")
