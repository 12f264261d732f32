"""What a client may do, and the log of what it may not."""

from __future__ import annotations

import logging
import time
from typing import Final

from asmu_engine.host.clients import Client
from asmu_engine.host.endpoint import Peer
from asmu_engine.protocol.errors import AccessError, AsmuError, ProtocolError
from asmu_engine.protocol.request import Request, allows

_log = logging.getLogger(__name__)

LINES_A_SECOND: Final = 20
MAX_LINE: Final = 300


def check_key(peer: Peer) -> None:
    """AccessError ``key_refused`` when the key of a peer was revoked since it connected."""
    if peer.role is None:
        raise AccessError(
            f"key {peer.user!r} was revoked; ask whoever runs this engine for another (asmu keys new)",
            code="key_refused",
            where=peer.user,
        )


def check_role(client: Client, request: Request) -> None:
    """AccessError ``not_allowed`` unless the role of the client is enough for the request."""
    if allows(client.role, request.needs):
        return
    kind = str(getattr(request, "type", "this"))
    remedy = f"ask for a key of that role; {client.user!r} allows no more" if client.user else "say hello with that role"
    raise AccessError(
        f"{kind!r} takes the role {request.needs}, and this client is {client.role}: {remedy}, or do without it",
        code="not_allowed",
        where=kind,
    )


def check_there(client: Client) -> None:
    """ProtocolError ``hello_first`` for what would last, and whose client left before its turn came: nobody would ever end it."""
    if client.left is not None:
        raise ProtocolError(f"client {client.id} left before this had its turn", code="hello_first", where="type")


class RefusalLog:
    """A line of the log for every refusal of somebody from outside; of a flood the first of each second, and their number."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0

    def note(self, peer: Peer, error: AsmuError) -> None:
        """Log what was refused, with the address of who asked."""
        second = int(time.monotonic())
        if second != self._second:
            if self._lines > LINES_A_SECOND:
                _log.warning("%d further refusals in one second are not logged", self._lines - LINES_A_SECOND)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= LINES_A_SECOND:
            # repr: what a stranger sent must not look like lines of the log
            _log.warning("refused %s, key %r: %s: %.*r", peer.address or "?", peer.user, error.code, MAX_LINE, error.message)
