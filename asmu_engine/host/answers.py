"""What one client was answered: so that a request which comes twice is done once, and none comes out of order."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from asmu_engine.protocol.errors import ProtocolError

MAX_ANSWERS: Final = 64
"""Answers that are remembered of each client."""

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Bytes of them; one answer, however large, is always remembered."""


class Answers:
    """Memory of one conversation, from a hello to the next.

    A request that comes a second time, because its answer was lost, is answered from here and not done twice.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[int, tuple[bytes, bytes | None]] = OrderedDict()
        self._bytes = 0
        self._last = -1
        self._last_mark = b""

    def begin(self, identifier: int, mark: bytes, *, repeatable: bool) -> tuple[bool, bytes | None]:
        """Note a request that comes in.

        Parameters
        ----------
        mark
            Its `digest`.
        repeatable
            It may be done again; its answer is not kept.

        Returns
        -------
        tuple
            Whether it came before and must not be done again, and what it was answered; None while that is being worked out.

        Raises
        ------
        ProtocolError
            ``out_of_order``: its id is not greater than the last, and it is no repetition of what is remembered.
        """
        known = self._answers.get(identifier)
        if known is not None and known[0] == mark and not repeatable:
            return True, known[1]
        if identifier <= self._last and not (repeatable and (identifier, mark) == (self._last, self._last_mark)):
            raise ProtocolError(
                f"id {identifier} comes after id {self._last}; the ids of a client must grow, and a request that is sent again "
                "must be the same, byte for byte. A hello lets them begin anew",
                code="out_of_order",
                where="id",
            )
        self._last, self._last_mark = identifier, mark
        if not repeatable:
            self.keep(identifier, mark, None)
        return False, None

    def keep(self, identifier: int, mark: bytes, answer: bytes | None) -> None:
        """Remember a request that is being worked on, and later its answer."""
        self._drop(self._answers.pop(identifier, None))
        self._answers[identifier] = (mark, answer)
        self._bytes += len(answer or b"")
        while len(self._answers) > MAX_ANSWERS or (self._bytes > MAX_ANSWER_BYTES and len(self._answers) > 1):
            self._drop(self._answers.popitem(last=False)[1])

    def _drop(self, entry: tuple[bytes, bytes | None] | None) -> None:
        if entry is not None:
            self._bytes -= len(entry[1] or b"")


def digest(data: bytes) -> bytes:
    """Short fingerprint of a request."""
    return hashlib.blake2b(data, digest_size=16).digest()
