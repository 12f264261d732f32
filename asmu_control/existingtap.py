"""Reading a tap of an engine, wherever the engine is: its ring on this machine, the relay beside it on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, Unpack, cast

from asmu_engine.protocol.errors import RingError

if TYPE_CHECKING:
    from asmu_control.analyzer.mapping.blockmap import BlockMap
    from asmu_control.analyzer.mapping.start import MapOptions
    from asmu_control.client import Client
    from asmu_control.connection import Connection
    from asmu_control.remotetap import RemoteReader
    from asmu_control.typing import Start
    from asmu_control.zmqlink import ZmqLink
    from asmu_engine.protocol.keys import ClientKey
    from asmu_engine.shm.block import RingBlock
    from asmu_engine.shm.end import Frames
    from asmu_engine.shm.reader import RingReader

T = TypeVar("T")

TapReader: TypeAlias = "RingReader | RemoteReader"
"""What reads a tap: the same to the eye, whether the tap is on this machine or on another."""

_EVERY_TAP: Final = "all"


class ExistingTap:
    """A tap that is in an engine's patch, whoever put it there: ``client.tap("node")``.

    Parameters
    ----------
    client
        A client of the engine.
    node
        Name of the tap. Whether there is one is seen when it is read.
    """

    def __init__(self, client: Client, node: str) -> None:
        self.node = node
        self._client = client

    def reader(self, start: Start = "newest") -> TapReader:
        """A reader of its own, for one thread; see `asmu_control.analyzer.Tap.reader`."""
        return open_reader(self._client, self.node, start)

    def blocks(
        self, frames: int, *, start: Start = "newest", timeout: float | None = None, copy: bool = True
    ) -> Iterator[RingBlock]:
        """Block after block of the frame axis; see `asmu_control.analyzer.Tap.blocks`."""
        return blocks_of(self.reader(start), frames, timeout, copy)

    def map(
        self,
        function: Callable[[Frames], T],
        workers: int | None = None,
        *,
        start: Start = "newest",
        **options: Unpack[MapOptions],
    ) -> BlockMap[T]:
        """Run a function over block after block in processes of its own; see `asmu_control.analyzer.Tap.map`."""
        from asmu_control.analyzer.mapping.start import map_reader

        return map_reader(self.reader(start), self.node, function, workers, **options)

    @property
    def handle(self) -> str:
        """Text by which other processes find it: ``Tap.attach(handle)``."""
        with self.reader() as reader:
            return reader.handle

    def __repr__(self) -> str:
        return f"<ExistingTap {self.node} of engine {self._client.engine!r}>"


def open_reader(client: Client, node: str, start: Start = "newest") -> TapReader:
    """A reader of the tap of that name.

    Raises
    ------
    RingError
        ``ring_unknown``: there is no such tap, or no relay beside an engine on another machine; ``ring_timeout``: the relay
        does not answer.
    AccessError
        ``key_refused``: the relay does not let this client in.
    """
    return reader_at(client, node, tap_place(client, node, client.status() if client.remote else client.patch()), start)


def reader_at(client: Connection, node: str, place: str, start: Start) -> TapReader:
    """A reader of the tap that `tap_place` found."""
    if client.remote:
        from asmu_control.remotetap import RemoteReader

        return RemoteReader(place, cast("ClientKey", cast("ZmqLink", client.link).key), node, start)
    from asmu_engine.shm.reader import RingReader

    return RingReader(place, start)


def tap_place(client: Connection, node: str, answer: Mapping[str, Any]) -> str:
    """Where a tap is read: the name of its ring, by the engine's patch, or the relay's address, by its status.

    Raises
    ------
    RingError
        ``ring_unknown``: there is no such tap, or no relay for it.
    """
    if client.remote:
        return _relay_of(client, node, answer)
    nodes: dict[str, Any] = answer["nodes"]
    ring = nodes.get(node, {}).get("ring")
    if not ring or nodes[node]["outputs"]:
        known = ", ".join(name for name, facts in nodes.items() if facts.get("ring") and not facts["outputs"]) or "none"
        raise RingError(f"engine {client.engine!r} has no tap {node!r}; taps: {known}", code="ring_unknown", where=node)
    return str(ring)


def reader_from(handle: str, key: ClientKey | None) -> TapReader:
    """A reader where another one was when it gave its `handle`; `key` for one of a tap on another machine.

    Raises
    ------
    RingError
        ``ring_unknown``: the text is no handle, or there is no such tap; ``ring_access``: it takes a key.
    """
    if not handle.startswith("tcp://"):
        from asmu_engine.shm.reader import RingReader

        return RingReader.from_handle(handle)
    from asmu_control.remotetap import RemoteReader

    name, _, start = handle.rpartition("@")
    endpoint, _, node = name.rpartition("/")
    if not node or not start.isdecimal() or endpoint == "tcp:/":
        raise RingError(
            f"{handle!r} is not the handle of a tap; it looks like tcp://HOST:PORT/NODE@POSITION",
            code="ring_unknown",
            where=handle,
        )
    if key is None:
        raise RingError(
            f"{handle} is on another machine: say with which key its relay lets this process in, Tap.attach(handle, key=FILE)",
            code="ring_access",
            where=handle,
        )
    return RemoteReader(endpoint, key, node, int(start) or "newest")


def blocks_of(reader: TapReader, frames: int, timeout: float | None, copy: bool) -> Iterator[RingBlock]:
    """Block after block of a reader, which is closed at the end."""
    try:
        yield from reader.blocks(frames, timeout, copy)
    finally:
        reader.close()


def _relay_of(client: Connection, node: str, status: Mapping[str, Any]) -> str:
    """Where the relay is that publishes this tap of an engine on another machine."""
    from asmu_control.relay.wire import SERVICE
    from asmu_control.zmqlink import split_url

    for service in status.get("services") or ():
        taps = str(service["facts"].get("taps", _EVERY_TAP)).split(",")
        if service["service"] == SERVICE and (taps == [_EVERY_TAP] or node in taps):
            host, _ = split_url(cast("ZmqLink", client.link).url)
            return str(service["endpoint"]).replace("tcp://*:", f"tcp://{host}:")
    raise RingError(
        f"engine {client.engine!r} is on another machine, and no relay there publishes tap {node!r}; start one there with "
        f"'asmu relay --engine {client.engine}'",
        code="ring_unknown",
        where=node,
        retry=True,
    )
