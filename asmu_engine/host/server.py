"""The clients' endpoints: requests in, answers out, nothing a client sends ever stops the loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.host.access import RefusalLog, check_key, check_role
from asmu_engine.host.answers import digest
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client, Clients
from asmu_engine.host.endpoint import Endpoint, Line, Peer
from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError, EngineError, ProtocolError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)

BATCH: Final = 64
"""Requests that are read before timers, children and the other endpoint get their turn."""

BATCH_SECONDS: Final = 0.005
"""After which they get it in any case: one heavy transaction may take a tenth of a second by itself."""

MAX_TEXT: Final = 1000
"""Longest text of a refusal: it may quote what the client sent."""

Handler = Callable[[messages.Request, Client, int, Answer], None]
"""Does a request of so many bytes and answers, at once or later; raises AsmuError to refuse it."""


class Server:
    """Reads what comes in at the endpoints, has it done, answers.

    Whoever has not said hello is refused everything else but a ping.
    """

    def __init__(self, clients: Clients, handler: Handler) -> None:
        self._clients = clients
        self._handler = handler
        self._refusals = RefusalLog()

    def read(self, endpoint: Endpoint) -> bool:
        """Read and handle what has come, up to a batch of it; True when more waits, whatever the socket says."""
        until = time.monotonic() + BATCH_SECONDS
        for _ in range(BATCH):
            received = endpoint.receive()
            if received is None:
                return False
            self._take(endpoint, *received)
            if time.monotonic() > until:
                break
        return endpoint.more

    def _take(self, endpoint: Endpoint, peer: Peer, frames: list[bytes]) -> None:
        # DEALER sends [message], REQ ["", message]: the answer goes back in the same envelope.
        envelope, data = frames[:-1], frames[-1] if frames else b""
        line = Line(endpoint, peer, tuple(envelope))
        identifier = 0
        try:
            check_key(peer)
            client = self._clients.find(endpoint, peer)
            if len(frames) not in (1, 2) or any(envelope):
                raise ProtocolError("a request is one frame, not several", code="bad_message")
            message = unpack(data)
            identifier = messages.request_id(message)
            request = messages.parse_request(message)
            if isinstance(request, messages.Hello):
                client = self._clients.admit(request, line)
            if client is not None:
                self._handle(request, client, data, line)
            elif isinstance(request, messages.Ping):
                line.send(self._reply(identifier, {}))
            else:
                raise ProtocolError(
                    f"say hello first: this engine does not know who asks for {message['type']!r}. A client that left, or was "
                    "away for too long, says hello again, with its token to be the same one",
                    code="hello_first",
                    where="type",
                )
        except AsmuError as error:
            line.send(self._refusal(identifier, error, peer))
        except Exception as error:  # noqa: BLE001 - no client may stop the host
            _log.exception("a request failed inside the host")
            line.send(self._refusal(identifier, _internal(error), peer))

    def _handle(self, request: messages.Request, client: Client, data: bytes, line: Line) -> None:
        ordered = not isinstance(request, messages.Ping)  # a sign of life needs no number
        once = not request.repeatable
        mark = digest(data) if ordered else b""
        answers = client.answers  # a later hello begins another conversation, which this answer is no part of
        if ordered:
            done, known = answers.begin(request.id, mark, repeatable=request.repeatable)
            if done:
                if known is not None:
                    line.send(known)
                return  # else the answer is being worked out and will go to this connection

        def answer(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None:
                reply = self._refusal(request.id, error or _internal(None), line.peer)
            else:
                reply = self._reply(request.id, result)
            if once:
                answers.keep(request.id, mark, reply)
            if line.send(reply):
                client.told = time.monotonic()

        try:
            check_role(client, request)
            self._handler(request, client, len(data), answer)
        except AsmuError as error:
            answer(None, error)
        except Exception as error:  # noqa: BLE001 - no client may stop the host
            _log.exception("a request failed inside the host")
            answer(None, _internal(error))

    def _reply(self, identifier: int, result: dict[str, Any]) -> bytes:
        try:
            data = pack(messages.reply(identifier, result))
        except ProtocolError as formless:
            return pack(messages.refusal(identifier, formless))
        if len(data) > MAX_MESSAGE_BYTES:
            error = ProtocolError(f"the answer has {len(data)} bytes; the limit is {MAX_MESSAGE_BYTES}", code="message_too_large")
            return pack(messages.refusal(identifier, error))
        return data

    def _refusal(self, identifier: int, error: AsmuError, peer: Peer) -> bytes:
        if peer.remote:
            self._refusals.note(peer, error)
        refusal = messages.refusal(identifier, error)
        for key in ("message", "where"):
            if len(refusal[key]) > MAX_TEXT:
                refusal[key] = refusal[key][:MAX_TEXT] + "…"
        return pack(refusal)


def _internal(error: Exception | None) -> EngineError:
    return EngineError(
        f"the engine failed inside: {error!r}; the patch is untouched" if error else "the engine gave no reason",
        code="engine_failed",
    )
