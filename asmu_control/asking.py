"""What all requests of a client have in common, for the blocking and for the awaited client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asmu_control.exchange import Exchange, Steps
from asmu_control.shared import Awaited, Blocking, adopt, shared

if TYPE_CHECKING:
    from asmu_control.timeouts import Timeout


class Asking:
    """Sends a request and has its result; the classes derived from it have a method for each request.

    Each method takes `timeout`, seconds: None waits as long as it takes, ``"default"`` as long as the client's `Timeouts`
    say. Each raises what the engine refuses it with: PatchError, DeviceError, DiskError …, AccessError ``not_allowed`` where
    this client's role is not enough, EngineTimeout, and EngineError ``engine_gone``.
    """

    _exchange: Exchange

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if issubclass(cls, Blocking | Awaited):
            for source in reversed(cls.__mro__):
                if issubclass(source, Asking):
                    adopt(cls, source)

    def _ask(self, kind: str, timeout: Timeout, **fields: Any) -> Steps[dict[str, Any]]:
        seconds = self._exchange.timeouts.request if timeout == "default" else timeout
        return self._exchange.request({"type": kind, **fields}, seconds)

    def _ask_device(self, kind: str, timeout: Timeout, **fields: Any) -> Steps[dict[str, Any]]:
        return self._ask(kind, self._exchange.timeouts.start if timeout == "default" else timeout, **fields)

    @shared
    def request(self, message: Mapping[str, Any], timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Send a request and wait for its result; for all that has no method of its own.

        Parameters
        ----------
        message
            The request without ``v`` and ``id``, which are filled in; see `asmu_engine.protocol.messages`.
        """
        seconds = self._exchange.timeouts.request if timeout == "default" else timeout
        return (yield from self._exchange.request(message, seconds))
