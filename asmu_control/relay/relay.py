"""The relay itself: one loop that carries what is wanted from the rings to the network."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asmu_control.relay.packing import FORMATS, check_format
from asmu_control.relay.publisher import QUEUE_MESSAGES, Publisher, Subscription
from asmu_control.relay.source import Source
from asmu_control.relay.taps import Taps, TapWatch
from asmu_control.relay.wire import BEAT_SECONDS, MAX_BLOCK, RELAY_VERSION, SERVICE, Header, topic_of
from asmu_engine.protocol.errors import ConfigError, RingError
from asmu_engine.protocol.keys import KeyRing

if TYPE_CHECKING:
    from asmu_control.client import Client

__all__ = ["FORMATS", "Relay"]

BLOCK: Final = 1024
"""Frames a message, where nothing else is said."""

_log = logging.getLogger(__name__)

_IDLE_SECONDS: Final = 0.1
_IN_A_ROW: Final = 8  # messages of one tap, before the others have their turn
_KEYS_SECONDS: Final = 0.5
_UNKNOWN_SECONDS: Final = 0.5
"""A tap that is asked for may be about to be made: it is refused so long afterwards, once the engine was looked at."""
_REFUSE_SECONDS: Final = 4.0
"""An engine that cannot be looked at for so long does not keep who asks waiting until they give up."""
_ANY: Final = ("0.0.0.0", "::")


class Relay:
    """Publishes taps of an engine on this machine to subscribers on others. A tap that nobody subscribed to costs nothing.

    Parameters
    ----------
    engine
        Name of the engine, an ordinary client of which the relay is; it need not run yet, and may end and come again.
    listen
        ``tcp://ADDRESS:PORT``; see `Publisher`.
    taps
        Names of the taps that may be subscribed to; empty: all.
    form
        ``"float32"``, ``"int16"``, ``"int24"`` or ``"flac"``; see `asmu_control.relay.packing`.
    block
        Frames a message, 1 to 65536: more are fewer messages, and a later arrival.
    queue
        Messages that wait for one slow subscriber until it loses some.
    ring
        The keys with which subscribers come in. Default: this user's.

    Raises
    ------
    ConfigError
        ``bad_config``: a setting that is none.
    EngineError
        ``engine_failed``: the port is taken.

    Attributes
    ----------
    endpoint
        Where it listens.
    """

    def __init__(
        self,
        engine: str,
        listen: str,
        *,
        taps: Collection[str] = (),
        form: str = "float32",
        block: int = BLOCK,
        queue: int = QUEUE_MESSAGES,
        ring: KeyRing | None = None,
    ) -> None:
        self._form = check_format(form)
        for name, value, most in (("block", block, MAX_BLOCK), ("queue", queue, 1_000_000)):
            if not 1 <= value <= most:
                raise ConfigError(f"{name} {value}: use 1 to {most}", code="bad_config", where=name)
        self._allowed = frozenset(taps)
        self._block = block
        self._engine = engine
        self._stopping = threading.Event()
        self._sources: dict[str, Source] = {}
        self._unknown: dict[str, tuple[float, int]] = {}  # since when, and the look that was asked for
        self._taps = Taps()
        self._beat_due = self._keys_due = 0.0
        self._publisher = Publisher(listen, KeyRing() if ring is None else ring, queue)
        self.endpoint = self._publisher.endpoint
        facts = {
            "format": self._form,
            "block": str(block),
            "taps": ",".join(sorted(self._allowed)) or "all",
            "version": str(RELAY_VERSION),
        }
        self._watch = TapWatch(engine, _connect, (_offered(self.endpoint), facts))

    @property
    def server(self) -> str:
        """The public key by which subscribers know it, that of this user's engines."""
        return self._publisher.server

    def run(self) -> None:
        """Relay until `stop`."""
        while not self._stopping.is_set():
            self.turn()

    def stop(self) -> None:
        """End `run` soon; from any thread or signal handler."""
        self._stopping.set()

    def close(self) -> None:
        """Leave the engine and the network. Subscribers wait for a while whether another relay takes its place."""
        self._watch.close()
        for source in self._sources.values():
            source.close()
        self._sources.clear()
        self._publisher.close()

    def turn(self) -> None:
        """Wait for a moment at most, then do what is due."""
        pause = min((source.pause() for source in self._sources.values()), default=_IDLE_SECONDS)
        for subscription in self._publisher.wait(pause):
            self._subscribed(subscription)
        taps = self._watch.now
        if taps is not self._taps:
            self._follow(taps)
        for node, source in list(self._sources.items()):
            for _ in range(_IN_A_ROW):
                message = source.take()
                if message is None:
                    break
                self._publisher.send(*message)
            if source.ended:
                self._finish(node)
                self._watch.look()
        now = time.monotonic()
        self._refuse_unknown(now)
        if now >= self._beat_due:
            self._beat_due = now + BEAT_SECONDS
            self._beat()
        if now >= self._keys_due:
            self._keys_due = now + _KEYS_SECONDS
            if self._publisher.expel():
                self._drop_unwanted()

    def _subscribed(self, subscription: Subscription) -> None:
        topic = subscription.topic
        if not subscription.wanted:
            self._drop_unwanted()
            return
        found = [node for node in self._taps.rings if self._may(node) and topic_of(node).startswith(topic)]
        for node in found:
            self._introduce(node)
        if not found and topic.endswith(b"\0"):
            node = topic[:-1].decode("utf-8", "replace")
            self._unknown.pop(node, None)  # a refusal reaches all who ask: the newest of them must be answered truly
            self._look_for(node)

    def _follow(self, taps: Taps) -> None:
        """The patch has changed, or the engine ended or came."""
        self._taps = taps
        for node, source in list(self._sources.items()):
            if taps.run != source.engine or taps.rings.get(node) != source.ring:
                self._finish(node)
        for node in taps.rings:
            if node not in self._sources and self._may(node) and self._publisher.wanted(topic_of(node)):
                self._introduce(node)

    def _introduce(self, node: str) -> None:
        """Tell the subscribers of a tap what it is, and read it from now on."""
        source = self._sources.get(node)
        if source is None:
            ring = self._taps.rings[node]
            try:
                source = Source(node, ring, engine=self._taps.run, form=self._form, block=self._block)
            except RingError as error:
                _log.debug("%s", error)
                self._look_for(node)
                return
            self._sources[node] = source
        self._unknown.pop(node, None)
        self._publisher.send(source.sign())

    def _look_for(self, node: str) -> None:
        """Look whether there is such a tap after all, perhaps it has just been made; else say that there is none."""
        self._unknown.setdefault(node, (time.monotonic(), self._watch.look()))

    def _finish(self, node: str) -> None:
        """Send what is left of a ring that has ended, and say so."""
        source = self._sources.pop(node)
        while (message := source.take(rest=True)) is not None:
            self._publisher.send(*message)
        self._publisher.send(source.sign(closed=True))
        source.close()

    def _beat(self) -> None:
        for node, source in list(self._sources.items()):
            if source.removed:
                self._finish(node)
                self._watch.look()
            else:
                self._publisher.send(source.sign())

    def _drop_unwanted(self) -> None:
        for node in [node for node in self._sources if not self._publisher.wanted(topic_of(node))]:
            self._sources.pop(node).close()

    def _refuse_unknown(self, now: float) -> None:
        for node, (since, look) in list(self._unknown.items()):
            looked = self._taps.asked >= look
            if now - since < (_UNKNOWN_SECONDS if looked else _REFUSE_SECONDS):
                continue
            del self._unknown[node]
            if not self._taps.run:
                why = f"engine {self._engine!r} does not run; its relay waits for it"
            elif not self._may(node):
                why = f"tap {node!r} is not among those that the relay of engine {self._engine!r} publishes"
            else:
                known = ", ".join(sorted(filter(self._may, self._taps.rings))) or "none"
                why = f"engine {self._engine!r} has no tap {node!r}; taps: {known}"
            error = RingError(why, code="ring_unknown", where=node, retry=True)
            self._publisher.send(Header.model_construct(node=node, error=error.to_wire()))

    def _may(self, node: str) -> bool:
        return not self._allowed or node in self._allowed


def _connect(engine: str) -> Client:
    from asmu_control.connecting import connect

    return connect(engine, name=SERVICE, role="operator")


def _offered(endpoint: str) -> str:
    """The endpoint as others find it: a star for the address of this machine."""
    parts = urlsplit(endpoint)
    return f"tcp://*:{parts.port}" if parts.hostname in _ANY else endpoint
