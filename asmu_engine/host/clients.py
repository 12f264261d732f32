"""Who talks to this engine, and what they were answered."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

MAX_CLIENTS: Final = 1024
MAX_ANSWERS: Final = 64


@dataclass
class Client:
    """One peer, known by its ZeroMQ identity; `name` and `pid` once it has said hello.

    `answers`: request id → (digest of the request, its answer or None while that is being worked out). A request that
    comes a second time, because its answer was lost, is answered from here and not done twice.
    """

    id: str
    name: str = ""
    pid: int = 0
    answers: OrderedDict[int, tuple[bytes, bytes | None]] = field(default_factory=OrderedDict)

    @property
    def label(self) -> str:
        """What events call it."""
        return self.name or self.id

    def facts(self) -> dict[str, Any]:
        """What status shows of it."""
        return {"id": self.id, "name": self.name, "pid": self.pid}

    def seen(self, identifier: int, digest: bytes) -> tuple[bool, bytes | None]:
        """Whether this very request came before, and what it was answered."""
        known = self.answers.get(identifier)
        return (False, None) if known is None or known[0] != digest else (True, known[1])

    def remember(self, identifier: int, digest: bytes, answer: bytes | None) -> None:
        """Note a request, and later its answer."""
        self.answers[identifier] = (digest, answer)
        self.answers.move_to_end(identifier)
        while len(self.answers) > MAX_ANSWERS:
            self.answers.popitem(last=False)


def digest(data: bytes) -> bytes:
    """Short fingerprint of a request."""
    return hashlib.blake2b(data, digest_size=16).digest()


class Clients:
    """All peers, the longest silent forgotten first when there are too many."""

    def __init__(self) -> None:
        self._by_identity: OrderedDict[bytes, Client] = OrderedDict()
        self._numbers = itertools.count(1)

    def of(self, identity: bytes) -> Client:
        """The peer of that identity, new or known."""
        client = self._by_identity.get(identity)
        if client is None:
            client = self._by_identity[identity] = Client(f"c{next(self._numbers)}")
            while len(self._by_identity) > MAX_CLIENTS:
                self._by_identity.popitem(last=False)
        else:
            self._by_identity.move_to_end(identity)
        return client

    def present(self) -> list[Client]:
        """Those who said hello."""
        return [client for client in self._by_identity.values() if client.name]

    def forget_dead(self) -> list[Client]:
        """Drop those whose process is gone, and return them."""
        dead = {identity: client for identity, client in self._by_identity.items() if client.pid and not _alive(client.pid)}
        for identity in dead:
            del self._by_identity[identity]
        return list(dead.values())


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # os.kill would end the process there; a dead client is forgotten as the longest silent
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
