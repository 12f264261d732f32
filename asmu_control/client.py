"""A client of an engine: requests with their answers, and events."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asmu_control.typing import Edit
from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.errors import EngineError, EngineTimeout, ProtocolError, from_wire
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES, PROTOCOL_VERSION

if TYPE_CHECKING:
    from asmu_control.link import Link
    from asmu_engine.protocol.runtime import EngineInfo

TIMEOUT: Final = 10.0
"""Longest wait for an answer, seconds, where nothing else is said."""

_SLICE: Final = 0.1  # between looks at whether the engine is still there, seconds


class Client:
    """One client of one engine; any thread may use it, one request at a time.

    Parameters
    ----------
    link
        The way to the engine; `connect` makes one from an engine's name.
    name
        What the engine and its other clients know this one by.

    Examples
    --------
    ::

        with Client.connect("lab") as client:
            client.request({"type": "status"})["state"]
    """

    def __init__(self, link: Link, name: str = "script") -> None:
        self._link = link
        self._lock = threading.Lock()
        self._event_lock = threading.Lock()
        self._next = 0
        self._closed = False
        self._gone = ""
        try:
            self.facts: dict[str, Any] = self.request({"type": "hello", "name": name, "pid": os.getpid()})
        except BaseException:
            self.close()
            raise

    @classmethod
    def connect(cls, engine: str | EngineInfo, name: str = "script") -> Client:
        """A client of a running engine; EngineError ``engine_unknown`` lists those that run."""
        from asmu_control.link import ZmqLink
        from asmu_engine.protocol.runtime import find_engine

        return cls(ZmqLink(find_engine(engine) if isinstance(engine, str) else engine), name)

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self._link.name

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def request(self, message: Mapping[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
        """Send a request and wait for its result.

        Parameters
        ----------
        message
            The request without ``v`` and ``id``, which are filled in; see `asmu_engine.protocol.messages`.
        timeout
            Longest wait, seconds.

        Raises
        ------
        AsmuError
            What the engine refused it with, of the class that says so: PatchError, DeviceError, DiskError …
        EngineTimeout
            No answer in time; whether the engine did what was asked is not known then.
        EngineError
            ``engine_gone``: the engine ended; ``engine_state``: this client is closed.
        """
        with self._lock:
            if self._closed:
                raise EngineError(f"the connection to engine {self.engine!r} is closed", code="engine_state", where=self.engine)
            self._next += 1
            full = {"v": PROTOCOL_VERSION, "id": self._next, **message}
            if len(pack(full)) > MAX_MESSAGE_BYTES:
                raise ProtocolError(
                    f"the {message.get('type')} request is larger than {MAX_MESSAGE_BYTES} bytes; send it in several parts",
                    code="message_too_large",
                )
            self._link.send(full)
            answer = self._answer(self._next, str(message.get("type")), time.monotonic() + timeout, timeout)
        if answer.get("type") == "reply":
            return dict(answer.get("result") or {})
        raise from_wire(answer)

    def edit(self, edits: Iterable[Edit], timeout: float = TIMEOUT) -> dict[str, Any]:
        """Change the patch, all edits or none.

        Returns
        -------
        dict
            ``revision`` of the patch, and ``at``: the frame position from which the edits hold.
        """
        return self.request({"type": "transaction", "edits": list(edits)}, timeout)

    def event(self, timeout: float = TIMEOUT) -> dict[str, Any] | None:
        """The next event since the first call, which subscribes; None if there is none within `timeout` seconds.

        Each is a dictionary with `topic` and `number`; numbers that are missing tell that events were dropped
        because nobody fetched them.
        """
        with self._event_lock:
            if self._closed:
                raise EngineError(f"the connection to engine {self.engine!r} is closed", code="engine_state", where=self.engine)
            return self._link.event(timeout)

    def alive(self) -> bool:
        """False once the engine is certainly gone, or this client is closed."""
        return not self._closed and not self._gone and self._link.alive()

    def close(self) -> None:
        """Leave; the engine goes on."""
        with self._lock, self._event_lock:
            if not self._closed:
                self._closed = True
                self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected"
        return f"<Client of engine {self.engine!r}: {state}>"

    def _answer(self, identifier: int, what: str, deadline: float, timeout: float) -> dict[str, Any]:
        while True:
            left = deadline - time.monotonic()
            answer = self._link.receive(max(0.0, min(left, _SLICE)))
            if answer is not None:
                # Anything else is the late answer to a request that was given up.
                if answer.get("id") == identifier:
                    return answer
            elif not self._link.alive():
                raise EngineError(
                    f"engine {self.engine!r} ended before it answered {what!r}", code="engine_gone", where=self.engine
                )
            elif left <= 0:
                raise EngineTimeout(
                    f"engine {self.engine!r} did not answer {what!r} within {timeout:g} s",
                    code="timeout",
                    where=self.engine,
                    retry=True,
                )
