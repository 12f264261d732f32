"""What the supervision of the audio process and of its device needs of the engine around it."""

from __future__ import annotations

from typing import Any, Protocol

from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.topic import Topic


class Owner(Protocol):
    """Told of what becomes of the audio process and its device."""

    def audio_ready(self, catalogue: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A fresh process is configured; returns the edits that rebuild the patch."""

    def audio_up(self) -> None:
        """The patch is in place: edits may go on."""

    def audio_down(self) -> None:
        """The process is gone: edits must wait."""

    def audio_failed(self, error: AsmuError) -> None:
        """There will be no other process."""

    def device_running(self, device: dict[str, Any] | None) -> None:
        """The device runs (with these facts), or no more (None)."""

    def device_lost(self, reason: str) -> None:
        """The device went away under a running stream."""

    def device_awaited(self) -> bool:
        """Whether a device that went away is to be opened again as soon as it is there."""

    def core_to_blame(self, marks: set[int], position: int) -> None:
        """The process died at a frame position while the code of these cores ran; see `asmu_engine.host.crashes`."""

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event."""


class Ahead(Protocol):
    """What brings transactions to the audio process before their frame; see `asmu_engine.host.arming`."""

    def before_start(self, horizon: float) -> dict[str, Any]:
        """What goes with the request that starts the device: transactions up to a frame position."""

    def after_start(self, result: dict[str, Any] | None) -> None:
        """The answer to that request; what it says of transactions is taken out of it."""

    def taken(self, number: int, at: int) -> None:
        """A transaction took effect at a frame position."""

    def stopped(self) -> None:
        """The device stands still."""

    def down(self, position: int) -> None:
        """The process died at a frame position."""

    def look(self) -> None:
        """There may be something to do."""
