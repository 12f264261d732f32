"""Transactions with a key of their client's are done once, however often they come, through whatever connection."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.errors import AsmuError, ProtocolError
from asmu_engine.protocol.request import Request

if TYPE_CHECKING:
    from asmu_engine.host.child import Answer

MAX_KEYS: Final = 10_000
"""Keys that are remembered, the newest, of all clients together."""


@dataclass
class _Known:
    digest: bytes
    result: dict[str, Any] | None = None
    waiting: list[Answer] = field(default_factory=list)


class Once:
    """Remembers keys with what their requests said and what they were answered.

    One that was refused had no effect: its key is forgotten, and it may be tried again.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def begin(self, key: str, request: Request, answer: Answer) -> Answer | None:
        """To be called when a request with a key comes in: what to answer it through; None when it came before.

        Then it gets the answer that it got before, as soon as there is one.

        Raises
        ------
        ProtocolError
            ``key_reused``: the key came with another request.
        """
        mark = _digest(request)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(mark)
            while len(self._known) > MAX_KEYS:
                self._known.popitem(last=False)
            return lambda result, error: self._end(key, known, answer, result, error)
        if known.digest != mark:
            raise ProtocolError(
                f"key {key!r} came before with another request, which was done; each transaction needs a key of its own",
                code="key_reused",
                where="key",
            )
        if known.result is not None:
            answer(dict(known.result), None)
        else:
            known.waiting.append(answer)
        return None

    def _end(self, key: str, known: _Known, answer: Answer, result: dict[str, Any] | None, error: AsmuError | None) -> None:
        known.result = result
        if result is None and self._known.get(key) is known:
            del self._known[key]
        waiting, known.waiting = known.waiting, []
        for one in (answer, *waiting):
            one(None if result is None else dict(result), error)


def _digest(request: Request) -> bytes:
    """Of all that it says but its id."""
    return hashlib.blake2b(pack(request.model_dump(exclude={"id"})), digest_size=16).digest()
