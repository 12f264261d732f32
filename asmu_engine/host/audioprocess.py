"""What the run of a device needs of the process that the device is in."""

from __future__ import annotations

from typing import Any, Protocol

from asmu_engine.host.child import Answer


class AudioProcess(Protocol):
    """See `asmu_engine.host.audio`."""

    @property
    def up(self) -> bool:
        """True while there is a process that answers."""

    @property
    def hung(self) -> str | None:
        """What the present process was asked and did not answer in time, for which it is ended."""

    @property
    def restarts(self) -> int:
        """How often a process was replaced."""

    def ask(self, message: dict[str, Any], answer: Answer, timeout: float | None = ...) -> None:
        """Send a request; EngineError when there is no process to answer it."""

    def replace(self, *, looking: bool = False) -> None:
        """End the process, which is beyond use with its device, and start another; `looking`: once more for a lost device."""
