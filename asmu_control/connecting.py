"""From the name or address of an engine to a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.client import Client
from asmu_control.timeouts import Timeouts
from asmu_engine.protocol.errors import ConfigError

if TYPE_CHECKING:
    from asmu_control.aio import Connecting
    from asmu_control.link import ZmqLink
    from asmu_control.typing import PathLike
    from asmu_engine.protocol.keys import ClientKey
    from asmu_engine.protocol.runtime import EngineInfo

REMOTE_GRACE = 10.0
"""Seconds for which an engine elsewhere keeps what a client owns after its connection was lost, where nothing else is said."""


def connect(
    engine: str | EngineInfo,
    key: PathLike | ClientKey | None = None,
    *,
    name: str = "script",
    role: str | None = None,
    grace: float | None = None,
    timeout: Timeouts | float | None = None,
) -> Client:
    """A client of a running engine: ``with asmu_control.connect("lab") as client: …``.

    Parameters
    ----------
    engine
        Name of an engine of this user on this machine, or ``tcp://HOST:PORT`` of one that listens there.
    key
        File that ``asmu keys new`` made, for a ``tcp://`` address.
    name
        What the engine and its other clients know this one by.
    role
        ``"observer"`` (look), ``"operator"`` (also edit, record, play) or ``"admin"`` (also start, stop, keys), to do no
        more than that by mistake; None: the most that this client may. Of an engine that allows it less it gets less:
        `Client.role` tells.
    grace
        Seconds, 0 to 3600, for which the engine keeps what this client owns, should its connection be lost. It comes back by
        itself, as the same client. Default: 0 on this machine, 10 elsewhere.
    timeout
        Longest waits: `Timeouts`, or seconds for all of them; None: as they are by default.

    Raises
    ------
    EngineError
        ``engine_unknown``: there is no such engine; names those that run.
    EngineTimeout
        Nothing answers at the address.
    AccessError
        ``key_refused``: the engine does not let this key in; ``key_unreadable``: the file, or others may read it.
    ProtocolError
        ``protocol_version``: the engine is of another version.
    ConfigError
        An address or key that is none.
    """
    link = _link(engine, key)
    return Client(link, name, role=role, grace=_grace(link, grace), timeout=timeout)


def connect_async(
    engine: str | EngineInfo,
    key: PathLike | ClientKey | None = None,
    *,
    name: str = "script",
    role: str | None = None,
    grace: float | None = None,
    timeout: Timeouts | float | None = None,
) -> Connecting:
    """The same for asyncio: ``async with asmu_control.connect_async("lab") as client: …``, or ``await`` it; see `connect`."""
    from asmu_control.aio import AsyncClient, Connecting

    def make() -> AsyncClient:
        link = _link(engine, key)
        return AsyncClient(link, name, role=role, grace=_grace(link, grace), timeout=timeout)

    return Connecting(make)


def _link(engine: str | EngineInfo, key: PathLike | ClientKey | None) -> ZmqLink:
    from asmu_control.zmqlink import ZmqLink

    if isinstance(engine, str) and "://" in engine:
        from asmu_engine.protocol.keys import ClientKey

        return ZmqLink(engine, key=key if key is None or isinstance(key, ClientKey) else ClientKey.load(key))
    if isinstance(engine, str):
        from asmu_engine.protocol.runtime import find_engine

        if ":" in engine:
            raise ConfigError(
                f"{engine!r} is no name of an engine; the address of one on another machine is written tcp://{engine}",
                code="bad_config",
                where=engine,
            )
        engine = find_engine(engine)
    return ZmqLink(engine)


def _grace(link: ZmqLink, grace: float | None) -> float:
    return (REMOTE_GRACE if link.remote else 0.0) if grace is None else grace
