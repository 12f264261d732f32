"""What taps an engine has: kept up to date by a thread that is an ordinary client of it, for as long as engines come and go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asmu_control.relay.wire import SERVICE
from asmu_engine.protocol.errors import AsmuError

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.events import Events

_log = logging.getLogger(__name__)

_SLICE: Final = 0.1
_GONE: Final = ("engine_unknown", "engine_gone")
_AGAIN_SECONDS: Final = 0.5
"""How often an engine that does not run is looked for."""


@dataclass(frozen=True)
class Taps:
    """The taps of an engine at one moment.

    `run` tells this run of the engine from others, empty while none runs; `rings`: segment names by node; `number` counts
    the looks at the engine; `asked`: of the looks that were asked for, this one began after so many.
    """

    run: str = ""
    rings: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    asked: int = 0


class TapWatch:
    """Follows the engine of one name. `now` has the taps; it is replaced, never changed.

    Parameters
    ----------
    engine
        Name of an engine of this user on this machine. It need not run yet, and may end and come again.
    connect
        Makes a client of the engine of that name.
    offer
        What is announced to the engine's clients: endpoint and facts.
    """

    def __init__(self, engine: str, connect: Callable[[str], Client], offer: tuple[str, Mapping[str, str]]) -> None:
        self.engine = engine
        self.now = Taps()
        self._connect = connect
        self._offer = offer
        self._stopping = threading.Event()
        self._asked = 0
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="relay-taps", daemon=True)
        self._thread.start()

    def look(self) -> int:
        """Look at the patch soon, whether it changed or not: it was done once `now.asked` is not less than what this returns."""
        self._asked += 1
        return self._asked

    def close(self) -> None:
        """Leave the engine."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            asked = self._asked
            try:
                with self._connect(self.engine) as client:
                    self._follow(client)
                    self._none(asked)  # at once: to take leave of an engine that does not answer any more may take a while
                gone = True
            except AsmuError as error:
                gone = error.code in _GONE
                if error.message != self._said:  # once, not every half second
                    self._said = error.message
                    _log.warning("%s", error)
            if gone:
                self._none(asked)
            else:  # An engine that merely does not answer still writes its rings.
                self._set(self.now.run, self.now.rings, asked)
            self._stopping.wait(_AGAIN_SECONDS)

    def _follow(self, client: Client) -> None:
        client.announce(SERVICE, *self._offer)
        with client.events("patch", "engine") as events:
            run = f"{client.engine} {client.status()['pid']}"
            self._said = ""
            _log.info("connected to engine %r", self.engine)
            while not self._stopping.is_set() and self._next(client, events, run):
                pass

    def _next(self, client: Client, events: Events, run: str) -> bool:
        """Take one event, or look because somebody asked; False once the engine has ended."""
        event = events.next(_SLICE)
        if event is None:
            if not client.alive():
                return False
        elif event.topic == "snapshot":
            self._set(run, _rings(event["patch"]), self.now.asked)
        elif event.topic == "engine" and event.what == "ending":
            return False
        # Taps that were removed show by their rings.
        asked = self._asked  # before the look: who asks during it is not forgotten
        if asked > self.now.asked or (event is not None and (event.topic == "lost" or event.fields.get("rings"))):
            self._set(run, _rings(client.patch()), asked)
        return True

    def _none(self, asked: int) -> None:
        self._set("", {}, asked)

    def _set(self, run: str, rings: Mapping[str, str], asked: int) -> None:
        self.now = Taps(run, rings, self.now.number + 1, max(asked, self.now.asked))


def _rings(patch: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(node["ring"]) for name, node in patch["nodes"].items() if node.get("ring") and not node["outputs"]}
