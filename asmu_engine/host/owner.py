"""What the supervisor of the audio process needs of the engine around it."""

from __future__ import annotations

from typing import Any, Protocol

from asmu_engine.host.events import Topic
from asmu_engine.protocol.errors import AsmuError


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

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event."""
