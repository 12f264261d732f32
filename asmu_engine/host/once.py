"""Transactions with a key of their client's are done once, however often they come, through whatever connection."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError, EngineError, ProtocolError
from asmu_engine.protocol.request import Request

if TYPE_CHECKING:
    from asmu_engine.host.child import Answer

MAX_KEYS: Final = 10_000
"""Keys that are remembered, the newest, of all clients together."""

MAX_BYTES: Final = 16 * 1024 * 1024
"""What their answers may take; beyond that the oldest are forgotten."""

MAX_REPEATED: Final = 64
"""How often one may come while it is being worked on."""


@dataclass(slots=True)
class _Known:
    digest: bytes
    result: bytes | None = None
    waiting: list[Answer] = field(default_factory=list)


class Once:
    """Remembers keys with what their requests said and what they were answered.

    One that was refused had no effect: its key is forgotten, and it may be tried again.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._bytes = 0

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
            self._trim()
            return lambda result, error: self._end(key, known, answer, result, error)
        if known.digest != mark:
            raise ProtocolError(
                f"key {key!r} came before with another request, which was done; each transaction needs a key of its own",
                code="key_reused",
                where="key",
            )
        if known.result is not None:
            answer(unpack(known.result, None), None)
        elif len(known.waiting) >= MAX_REPEATED:
            raise EngineError(
                f"the transaction with key {key!r} is being worked on, and came {MAX_REPEATED} times more; wait for its answer",
                code="engine_state",
                where="key",
                retry=True,
            )
        else:
            known.waiting.append(answer)
        return None

    def _end(self, key: str, known: _Known, answer: Answer, result: dict[str, Any] | None, error: AsmuError | None) -> None:
        if self._known.get(key) is known:
            if result is None:
                del self._known[key]
            else:
                known.result = pack(result)
                self._bytes += len(known.result)
                self._trim()
        waiting, known.waiting = known.waiting, []
        for one in (answer, *waiting):
            one(None if result is None else dict(result), error)

    def _trim(self) -> None:
        while len(self._known) > MAX_KEYS or (self._bytes > MAX_BYTES and len(self._known) > 1):
            self._bytes -= len(self._known.popitem(last=False)[1].result or b"")


def _digest(request: Request) -> bytes:
    """Of all that it says but its id."""
    said = {name: value for name, value in request.__dict__.items() if name != "id"}
    if "edits" in said:
        # As they stand on the wire; model_dump would copy all that is in them, and takes ten times as long.
        said["edits"] = [edit.__dict__ for edit in said["edits"]]
    return hashlib.blake2b(pack(said), digest_size=16).digest()
