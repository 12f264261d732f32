"""The clients' endpoints: requests in, answers out, nothing a client sends ever stops the loop."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zmq

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client, Clients, digest
from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import AsmuError, EngineError, ProtocolError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)

HARD_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""A larger message is not read at all: ZeroMQ drops the connection. Up to here it is read, and refused in words."""

QUEUE_MESSAGES: Final = 1000
"""Answers and events that wait for one client; more are dropped."""

BATCH: Final = 64
"""Requests that are read before timers and children get their turn."""

MAX_TEXT: Final = 1000
"""Longest text of a refusal: it may quote what the client sent."""

_REPEATABLE: Final = (
    messages.Hello,
    messages.Ping,
    messages.Status,
    messages.GetPatch,
    messages.GetCatalogue,
    messages.Profile,
    messages.JobStatus,
)
"""Requests that may be done again when they come again; the answers to all others are kept for a while."""

Handler = Callable[[messages.Request, Client, int, Answer], None]
"""Does a request of so many bytes and answers, at once or later; raises AsmuError to refuse it."""


class Server:
    """ROUTER for requests, PUB for events.

    Parameters
    ----------
    folder
        Where the ``ipc`` endpoints are put; ``tcp://127.0.0.1`` instead where the system has none, or where the path
        would be longer than a socket's address can be.
    """

    def __init__(self, context: zmq.Context[Any], folder: Path, clients: Clients, handler: Handler) -> None:
        self._clients = clients
        self._handler = handler
        self.requests = self._socket(context, zmq.ROUTER)
        self.events = self._socket(context, zmq.PUB)
        try:
            self.requests_endpoint = self._bind(self.requests, folder / "requests.sock")
            self.events_endpoint = self._bind(self.events, folder / "events.sock")
        except BaseException:
            self.close(0)
            raise

    @staticmethod
    def _socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = context.socket(kind)
        socket.linger = 0
        socket.sndhwm = socket.rcvhwm = QUEUE_MESSAGES
        socket.setsockopt(zmq.MAXMSGSIZE, HARD_MESSAGE_BYTES)
        if kind == zmq.ROUTER:
            socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a client that reconnects under its old identity gets its answers
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # full or gone shows as an error, not as silence
        return socket

    @staticmethod
    def _bind(socket: zmq.Socket[bytes], path: Path) -> str:
        local = zmq.has("ipc") and os.name == "posix" and len(os.fsencode(path)) <= zmq.IPC_PATH_MAX_LEN
        try:
            socket.bind(f"ipc://{path}" if local else "tcp://127.0.0.1:*")
            if local:
                path.chmod(0o600)
        except (zmq.ZMQError, OSError) as error:
            raise EngineError(
                f"no endpoint at {path}: {error.strerror or error}", code="engine_failed", where=str(path)
            ) from None
        return str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")

    def read(self) -> None:
        """Read and handle what has come, up to a batch of it."""
        for _ in range(BATCH):
            try:
                frames = self.requests.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(frames)

    def close(self, linger: float) -> None:
        """Close both endpoints; answers on their way get at most so many seconds."""
        self.requests.close(linger=round(linger * 1000))
        self.events.close(linger=round(linger * 1000))

    def _take(self, frames: list[bytes]) -> None:
        # DEALER sends [message], REQ ["", message]: the answer goes back in the same envelope.
        envelope, data = frames[:-1], frames[-1]
        identifier = 0
        try:
            if len(frames) not in (2, 3) or any(envelope[1:]):
                raise ProtocolError(f"a request is one frame, not {len(frames) - 1}", code="bad_message")
            message = unpack(data)
            identifier = messages.request_id(message)
            request = messages.parse_request(message)
            self._handle(request, self._clients.of(envelope[0]), data, envelope)
        except AsmuError as error:
            self._send(envelope, self._refusal(identifier, error))
        except Exception as error:  # noqa: BLE001 - no client may stop the host
            _log.exception("a request failed inside the host")
            self._send(envelope, self._refusal(identifier, _internal(error)))

    def _handle(self, request: messages.Request, client: Client, data: bytes, envelope: list[bytes]) -> None:
        once = not isinstance(request, _REPEATABLE)
        mark = digest(data) if once else b""
        if isinstance(request, messages.Hello):
            client.answers.clear()  # it counts from the beginning again
        if once:
            repeated, known = client.seen(request.id, mark)
            if repeated:
                if known is not None:
                    self._send(envelope, known)
                return  # else the answer is being worked out and will go to this identity
            client.remember(request.id, mark, None)

        def answer(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            reply = self._refusal(request.id, error or _internal(None)) if result is None else self._reply(request.id, result)
            if once:
                client.remember(request.id, mark, reply)
            self._send(envelope, reply)

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

    def _send(self, envelope: list[bytes], data: bytes) -> None:
        with contextlib.suppress(zmq.Again, zmq.ZMQError):  # gone, or not reading: its loss, nobody else's
            self.requests.send_multipart([*envelope, data], zmq.NOBLOCK)


def _internal(error: Exception | None) -> EngineError:
    return EngineError(
        f"the engine failed inside: {error!r}; the patch is untouched" if error else "the engine gave no reason",
        code="engine_failed",
    )
