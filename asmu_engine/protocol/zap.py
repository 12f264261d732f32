"""Who is let in over the network: the answers to ZeroMQ's questions (ZAP, RFC 27), and what is said of those who are not.

Nothing here opens a socket. Whoever binds `ZAP_ENDPOINT` with a REP socket gives each question to `zap_answer` and sends back
what that returns. A socket whose peers are to be asked after is a CURVE server with the domain `ZAP_DOMAIN`, enforced.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from asmu_engine.protocol.keys import KeyRing, fingerprint, key_text

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
ZAP_DOMAIN: Final = b"asmu"
_VERSION: Final = b"1.0"

QUIET_SECONDS: Final = 10.0
"""The same refusal of the same address is said again after so long."""

MAX_LINES: Final = 20
"""Most lines in `QUIET_SECONDS`, over all addresses."""

MAX_ADDRESSES: Final = 1024


def zap_answer(ring: KeyRing, frames: Sequence[bytes]) -> tuple[list[bytes], str, str]:
    """The answer to one question; the address of who wants in; and why it may not, empty when it may.

    The answer names the peer by its public key, which every message from it then carries as ``User-Id``.
    """
    if len(frames) < 6 or frames[0] != _VERSION:
        request = frames[1] if len(frames) > 1 else b""
        return [_VERSION, request, b"500", b"bad question", b"", b""], "", "a question of another version of ZAP"
    _, request, domain, address, _, mechanism, *credentials = frames
    why, user = "", ""
    if domain != ZAP_DOMAIN or mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
        why = "it shows no key"
    else:
        public = key_text(credentials[0])
        ring.refresh()
        if ring.find(public) is not None:
            user = public
        else:
            known = ring.name_of(public)
            why = f"its key {known} " + ("is not known here" if known == fingerprint(public) else "was revoked")
    code, text = (b"400", b"no access") if why else (b"200", b"")
    return [_VERSION, request, code, text, user.encode(), b""], address.decode("utf-8", "replace"), why


class Refusals:
    """Says who was not let in, and stays quiet about one who tries again and again.

    Parameters
    ----------
    say
        Called with each line.
    clock
        Seconds, rising.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._window = (float("-inf"), 0)

    def note(self, address: str, why: str) -> None:
        """Someone was refused."""
        now = self._clock()
        key = (address, why)
        since, more = self._known.get(key, (float("-inf"), 0))
        begun, lines = self._window if now - self._window[0] < QUIET_SECONDS else (now, 0)
        if now - since < QUIET_SECONDS or lines >= MAX_LINES:
            self._known[key] = (since, more + 1)
        else:
            self._known[key] = (now, 0)
            self._window = (begun, lines + 1)
            again = f", and {more} times more since it was last said" if more else ""
            self._say(f"refused {address or 'a peer of unknown address'}: {why}{again}")
        self._known.move_to_end(key)
        while len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)
