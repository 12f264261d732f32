"""Keeps what an engine leaves for ``--resume`` up to date on the disk, in a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from asmu_engine.host.loop import Loop
from asmu_engine.host.state import SavedAxis, State, remove_state, write_axis, write_state

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.2
"""Longest time for which a change waits to be written, where the disk is not busy with the one before."""

AXIS_SECONDS: Final = 5.0
IDLE_SHARE: Final = 10
"""A state that took long to write, since it is large, is not written again for so many times as long."""

CLOSE_SECONDS: Final = 5.0
HELD_SECONDS: Final = 5.0
"""Longest time for which an answer waits for the disk: one that hangs is no reason to leave a client without."""


class _Held:
    """An answer that waits until the state is kept; given once."""

    def __init__(self, loop: Loop, answer: Callable[[], None]) -> None:
        self._answer: Callable[[], None] | None = answer
        self._timer = loop.later(HELD_SECONDS, self.give)

    def give(self) -> None:
        answer, self._answer = self._answer, None
        self._timer.cancel()
        if answer is not None:
            answer()


class StateKeeper:
    """Of one engine; `begin` when it is up.

    Parameters
    ----------
    version
        Changes whenever the state does; asked several times a second.
    state, axis
        What is to be kept, as it is now; called in the loop.
    on_failed
        Called in the loop, with why, when it cannot be kept any more.
    """

    def __init__(
        self,
        loop: Loop,
        name: str,
        *,
        version: Callable[[], object],
        state: Callable[[], State],
        axis: Callable[[], SavedAxis],
        on_failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._name = name
        self._version = version
        self._state = state
        self._axis = axis
        self._on_failed = on_failed
        self._kept: object = None
        self._axis_due = 0.0
        self._not_before = 0.0
        self._failed = False
        self._closed = False
        self._busy = threading.Event()
        self._held: list[_Held] = []  # until what is written next is on the disk
        self._being_kept: list[_Held] = []  # until what is being written is
        self._work: queue.SimpleQueue[tuple[State | None, SavedAxis] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Keep the state from now on."""
        self._thread = threading.Thread(target=self._write_on, name="state", daemon=True)
        self._thread.start()
        self._look()
        self._loop.every(LOOK_SECONDS, self._look)

    def when_kept(self, then: Callable[[], None]) -> None:
        """Call `then` in the loop when the state as it is now is on the disk, or when it turns out that it cannot be kept.

        That is written as soon as the disk is free; before `begin`, when that has come. Nobody but `then` waits.
        """
        if self._closed:
            then()
            return
        self._held.append(_Held(self._loop, then))
        self._look()

    def close(self, *, remove: bool) -> None:
        """Keep no more; `remove`: there is nothing to go on with. What is being written now is waited for, a little."""
        self._closed = True
        if self._thread is not None:
            self._work.put(None)
            self._thread.join(CLOSE_SECONDS)
        if remove:
            remove_state(self._name)

    def _look(self) -> None:
        now = time.monotonic()
        if self._thread is None or self._closed or self._busy.is_set():
            return
        version = self._version()
        if version == self._kept:
            self._give(self._held)
        changed = version != self._kept and (bool(self._held) or now >= self._not_before)
        if not changed and now < self._axis_due:
            return
        self._axis_due = now + AXIS_SECONDS
        if changed:
            self._kept = version
        self._being_kept, self._held = self._held, []
        self._busy.set()
        self._work.put((self._state() if changed else None, self._axis()))

    def _give(self, held: list[_Held]) -> None:
        for one in held:
            self._loop.post(one.give)  # by themselves: one may fail, or ask for more
        held.clear()

    def _write_on(self) -> None:
        while (work := self._work.get()) is not None:
            began = time.monotonic()
            state, axis = work
            error: OSError | None = None
            try:
                if state is not None:
                    write_state(self._name, state)
                write_axis(self._name, axis)
            except OSError as caught:
                error = caught
            now = time.monotonic()
            until = now + IDLE_SHARE * (now - began)
            self._loop.post(partial(self._written, error, until, whole=state is not None))

    def _written(self, error: OSError | None, not_before: float, *, whole: bool) -> None:
        self._busy.clear()
        self._not_before = not_before
        if error is not None:
            self._refused(error)
        elif whole:  # that only the axis could be written again says nothing of the rest
            self._failed = False
        self._give(self._being_kept)
        if self._held:
            self._look()

    def _refused(self, error: OSError) -> None:
        self._kept = None  # once more, when its time has come
        self._not_before = max(self._not_before, time.monotonic() + AXIS_SECONDS)
        if not self._failed:
            self._failed = True
            _log.error("what --resume would go on with cannot be kept: %s", error)
            self._on_failed(str(error.strerror or error))
