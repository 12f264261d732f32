"""Messages to the host, sent by a thread of their own: a host that does not read must not hold up a recording."""

from __future__ import annotations

import queue
import threading
from typing import Any, Final

from asmu_engine.protocol.pipe import MessagePipe

_BACKLOG: Final = 64
_LAST_WORDS_S: Final = 5.0


class Outbox:
    """Sends in the order of `send`, which never waits. Progress is left out while many messages are still to go."""

    def __init__(self, pipe: MessagePipe) -> None:
        self._pipe = pipe
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def send(self, message: dict[str, Any]) -> None:
        """Send when the pipe takes it."""
        progress = message.get("event") == "job" and message.get("state") == "running"
        if not progress or self._queue.qsize() < _BACKLOG:
            self._queue.put(message)

    def close(self) -> bool:
        """Send what is left, for at most 5 s; False where the host does not take it."""
        self._queue.put(None)
        self._thread.join(_LAST_WORDS_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Once the host is gone messages are dropped, but taken: the queue must not grow while files are finished.
        while (message := self._queue.get()) is not None:
            self._pipe.send(message)
