"""Processors whose core runs once and then has finished, until it is started again: bursts, vectors, envelopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from asmu_control.processor import Processor

POLL_SECONDS: Final = 0.01


class OneShot(Processor):
    """What such processors share: knowing whether the run is over.

    The core says `begins` with the first frame of a run and ``finished`` with the first after it; the engine keeps the frame
    position of each, and shows them in its status under ``said``. A run that was asked for when the engine stood at
    position P is over once its start lies at P or later, and its end is not before its start: so neither an old end nor
    news that are late can be mistaken for it.
    """

    begins: ClassVar[str] = "started"
    _since = 0
    _over = False
    _fresh = False

    def _begin(self, edit: Callable[[], None]) -> None:
        """Do an edit with which the core begins a new run."""
        since = self._position()
        edit()
        self._since, self._over, self._fresh = since, False, False

    def _wait_over(self, block: bool, timeout: float) -> bool:
        deadline = time.monotonic() + (timeout if block else 0.0)
        while not self._look():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _look(self) -> bool:
        """Whether the newest run is over; what was last known once the engine is gone."""
        session = self._interface._session
        if session.opened:
            self._fresh = False
            said: dict[str, Any] = session.request({"type": "status"}).get("said", {}).get(self.name, {})
            started = said.get(self.begins, -1)
            self._over = bool(started >= self._since and said.get("finished", -1) >= started)
        return self._over

    def _position(self) -> int:
        session = self._interface._session
        return int(session.stats().get("frame_position", 0)) if session.opened else 0

    def _opened(self) -> None:
        # A core that the engine has just been given has no run behind it, and may have begun its first.
        self._since, self._over, self._fresh = 0, False, True

    def _before_start(self, reset: bool) -> None:
        if reset and not self._fresh:
            self._since, self._over = self._position(), False
        self._fresh = False

    def _closing(self) -> None:
        self._look()
