"""What `Interface.start` gives back."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asmu_engine.protocol.errors import AsmuError

if TYPE_CHECKING:
    from asmu_control.interface import Interface

_POLL_SECONDS = 0.02


class Stream:
    """A running patch. ``with interface.start(): …`` closes it at the end, as `close` does."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface

    @property
    def active(self) -> bool:
        """True while the device runs."""
        try:
            return bool(self._interface.stats()["state"] == "running")
        except AsmuError:
            return False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the stream ended by itself (`end_frame`, end of a file device, a lost device).

        Returns
        -------
        bool
            False when it still runs after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.active:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def stop(self) -> None:
        """Stop the device; the engine, its rings and recordings stay. Start again with ``interface.start()``."""
        self._interface._session.stop()

    def close(self) -> None:
        """Stop, finish recordings, and end the script's own engine; see `Interface.close`."""
        self._interface.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._interface.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Stream of {self._interface!r}>"
