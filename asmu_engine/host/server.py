"""The clients' endpoints: requests in, answers out, nothing a client sends ever stops the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client, Clients, digest
from asmu_engine.host.endpoint import Endpoint, Peer
from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError, EngineError, ProtocolError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)

BATCH: Final = 64
"""Requests that are read before timers and children get their turn."""

MAX_TEXT: Final = 1000
"""Longest text of a refusal: it may quote what the client sent."""

Handler = Callable[[messages.Request, Client, int, Answer], None]
"""Does a request of so many bytes and answers, at once or later; raises AsmuError to refuse it."""


class Server:
    """Reads what comes in at the endpoints, has it done, answers."""

    def __init__(self, clients: Clients, handler: Handler) -> None:
        self._clients = clients
        self._handler = handler

    def read(self, endpoint: Endpoint) -> None:
        """Read and handle what has come, up to a batch of it."""
        for _ in range(BATCH):
            received = endpoint.receive()
            if received is None:
                return
            self._take(endpoint, *received)

    def _take(self, endpoint: Endpoint, peer: Peer, frames: list[bytes]) -> None:
        # DEALER sends [message], REQ ["", message]: the answer goes back in the same envelope.
        envelope, data = frames[:-1], frames[-1] if frames else b""

        def send(reply: bytes) -> None:
            endpoint.send(peer, [*envelope, reply])

        identifier = 0
        try:
            if len(frames) not in (1, 2) or any(envelope):
                raise ProtocolError(f"a request is one frame, not {len(frames)}", code="bad_message")
            message = unpack(data)
            identifier = messages.request_id(message)
            request = messages.parse_request(message)
            self._handle(request, self._clients.of(peer.identity), data, send)
        except AsmuError as error:
            send(self._refusal(identifier, error))
        except Exception as error:  # noqa: BLE001 - no client may stop the host
            _log.exception("a request failed inside the host")
            send(self._refusal(identifier, _internal(error)))

    def _handle(self, request: messages.Request, client: Client, data: bytes, send: Callable[[bytes], None]) -> None:
        once = not request.repeatable
        mark = digest(data) if once else b""
        if isinstance(request, messages.Hello):
            client.answers.clear()  # it counts from the beginning again
        if once:
            repeated, known = client.seen(request.id, mark)
            if repeated:
                if known is not None:
                    send(known)
                return  # else the answer is being worked out and will go to this identity
            client.remember(request.id, mark, None)

        def answer(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            reply = self._refusal(request.id, error or _internal(None)) if result is None else self._reply(request.id, result)
            if once:
                client.remember(request.id, mark, reply)
            send(reply)

        try:
            self._handler(request, client, len(data), answer)
        except AsmuError as error:
            answer(None, error)
        except Exception as error:  # noqa: BLE001 - no client may stop the host
            _log.exception("a request failed inside the host")
            answer(None, _internal(error))

    def _reply(self, identifier: int, result: dict[str, Any]) -> bytes:
        data = pack(messages.reply(identifier, result))
        if len(data) > MAX_MESSAGE_BYTES:
            return self._refusal(
                identifier,
                ProtocolError(f"the answer has {len(data)} bytes; the limit is {MAX_MESSAGE_BYTES}", code="message_too_large"),
            )
        return data

    @staticmethod
    def _refusal(identifier: int, error: AsmuError) -> bytes:
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
