"""What became of the changes of one ``with interface.edit() as edit:``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

from asmu_engine.protocol.errors import AsmuError, EngineError, PatchError, from_wire

if TYPE_CHECKING:
    from asmu_control.patch import Patch
    from asmu_control.session import Session

State = Literal["open", "edited", "waiting", "cancelled", "dropped"]

_SHORTEST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05


class Transaction:
    """The changes of one ``with interface.edit() as edit:``, during it and afterwards.

    Attributes
    ----------
    state
        ``"open"`` in the body; then ``"edited"`` once they are in effect, ``"waiting"`` for their frame position,
        ``"cancelled"``, or ``"dropped"``: what they take was no longer there. What the engine does by itself is seen here
        after `wait` or `check`.
    at
        Frame position from which they hold, or will; None where there is no engine yet, which begins with them.
    late
        Frames by which that is later than asked for; 0 for those without a frame position.
    revision
        Revision of the engine's patch after them, or the present one while they wait; None where there is no engine yet.
    scheduled
        Number under which the engine lists them while they wait; None where they took effect at once.
    keep
        Whether they are done also when this script has left, and what they add stays.
    """

    def __init__(self, patch: Patch, session: Session) -> None:
        self.state: State = "open"
        self.at: int | None = None
        self.late = 0
        self.revision: int | None = None
        self.scheduled: int | None = None
        self.keep = False
        self._patch = patch
        self._session = session
        self._error: AsmuError | None = None

    def check(self) -> bool:
        """Ask the engine; True once the changes are in effect.

        Raises
        ------
        PatchError
            Why they were dropped, when their time had come; ``scheduled_unknown`` where they were cancelled.
        """
        self._patch.check_outside("look after changes")
        self._ask()
        if self._error is not None:
            raise self._error
        return self.state == "edited"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the changes are in effect; False if they are not after `timeout` seconds (None: as long as it takes).

        Where the patch is stepped by hand there is nothing to wait for, and the answer comes at once.

        Raises
        ------
        PatchError
            See `check`.
        EngineError
            ``engine_state`` within the body, whose changes begin with its end.
        """
        if self.state == "open":
            raise EngineError("the changes of edit() begin with the end of its body; wait after it", code="engine_state")
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _SHORTEST_PAUSE
        while not self.check():
            now = time.monotonic()
            if self._session.local is not None or (deadline is not None and now >= deadline):
                return False
            time.sleep(pause if deadline is None else min(pause, deadline - now))
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True

    def cancel(self) -> bool:
        """Take changes that wait back, here and in the engine; False where they are in effect, or were taken back before."""
        self._patch.check_outside("cancel changes")
        if self.state != "waiting":
            return False
        if self._session.opened:
            try:
                self._session.request({"type": "cancel", "scheduled": self.scheduled})
            except PatchError as error:
                if error.code != "scheduled_unknown":
                    raise
                self._ask()
                return False
        self._end("cancelled")
        return True

    def __repr__(self) -> str:
        when = "" if self.at is None else f" at frame {self.at}"
        return f"<Transaction: {self.state}{when}>"

    # -- for the patch ----------------------------------------------------------------------------------------------

    def _answered(self, answer: dict[str, Any]) -> None:
        """What the engine answered to it; nothing, where there is none."""
        self.at, self.revision, self.late = answer.get("at"), answer.get("revision"), int(answer.get("late") or 0)
        self.scheduled = answer.get("scheduled")
        self.state = "edited" if self.scheduled is None else "waiting"

    def _ask(self) -> None:
        if self.state != "waiting":
            return
        if not self._session.opened and not self.keep:
            self._end("cancelled")
            return
        outcome = self._session.request({"type": "scheduled", "scheduled": self.scheduled}).get("outcome")
        if outcome is None:
            return
        if outcome["state"] == "edited":
            self.at, self.late, self.revision = int(outcome["at"]), int(outcome["late"]), int(outcome["revision"])
        self._end(outcome["state"], outcome)

    def _end(self, state: State, told: dict[str, Any] | None = None) -> None:
        if self.state != "waiting":
            return  # another thread was faster
        self.state = state
        if state == "cancelled":
            self._error = PatchError(
                f"the changes for frame {self.at} were cancelled", code="scheduled_unknown", where=str(self.scheduled)
            )
        elif state == "dropped":
            self._error = from_wire({"family": "patch", **(told or {})})
        self._patch._ended(self)
