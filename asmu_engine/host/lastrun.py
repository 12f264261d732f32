"""How the device was started and why it ceased: what it takes to continue its run in another process or after a loss."""

from __future__ import annotations

from typing import Any


class LastRun:
    """The newest run of one device.

    `cause`: why the axis jumps where the run is continued, a cause of the ledger; empty while nothing has happened. `device`:
    the facts of the device that ceased, or ran last. `inherited`: another host had it, and it has not run since.
    """

    def __init__(self, blocksize: int) -> None:
        self.cause = ""
        self.device: dict[str, Any] = {}
        self.inherited = False
        self._blocksize = blocksize
        self._message: dict[str, Any] = {}
        self._known: dict[str, Any] = {}
        self._end: int | None = None
        self._ceased_at = 0

    def begins(self, message: dict[str, Any], result: dict[str, Any]) -> None:
        """A request of a client has started the device, with this answer of the audio process."""
        self._message = dict(message)
        blocks = message["end_block"]
        self._end = None if blocks is None else int(result["position"]) + (message["drop"] + blocks) * self._blocksize

    def saved(self) -> dict[str, Any]:
        """What another host needs to continue it."""
        return {"message": self._message, "known": self._known, "end": self._end, "device": self.device}

    def restores(self, saved: dict[str, Any], position: int) -> None:
        """Another host had it, before it died when the axis stood at a frame position."""
        self._message, self._known = dict(saved["message"]), dict(saved["known"])
        self._end, self.device = saved["end"], dict(saved["device"])
        self._ceased_at = position
        self.inherited = True

    def runs(self, result: dict[str, Any]) -> None:
        """It runs; what the process says of how its device is found again is taken out of its answer."""
        self.inherited = False
        self._known = result.pop("known", None) or {}
        self.device = dict(result.get("device") or {})

    def ceases(self, position: int, cause: str) -> None:
        """It has given nothing from a frame position on."""
        self._ceased_at = position
        self.cause = cause

    def rest(self, position: int) -> dict[str, Any] | None:
        """The request for what is left of it at a frame position; None where it would be over."""
        message = {**self._message, "reset": False, "drop": 0}
        if self._end is not None:
            left = (self._end - position) // self._blocksize
            if left < 1:
                return None
            message |= {"end_block": left, "fixed_end": True}
        return {**message, "known": self._known} if self._known else message

    def gap(self, result: dict[str, Any]) -> dict[str, int]:
        """Where it goes on, and how many frames it did not give, for an event."""
        begin = int(result["position"])
        return {"position": begin, "gap": max(0, begin - self._ceased_at)}
