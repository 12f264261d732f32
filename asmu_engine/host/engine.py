"""The engine as its clients see it: what each request does."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.config import EngineConfig
from asmu_engine.host.acquisitions import Acquisitions
from asmu_engine.host.audio import Audio
from asmu_engine.host.child import Answer
from asmu_engine.host.client_handlers import ClientHandlers
from asmu_engine.host.clients import ENGINE, Client, Clients
from asmu_engine.host.clocks import Clocks
from asmu_engine.host.crashes import blame
from asmu_engine.host.device_handlers import DeviceHandlers
from asmu_engine.host.disk_handlers import DiskHandlers
from asmu_engine.host.events import Events
from asmu_engine.host.handling import Handlers
from asmu_engine.host.heritage import Heritage
from asmu_engine.host.history import History
from asmu_engine.host.history_handlers import HistoryHandlers
from asmu_engine.host.jobs import Jobs
from asmu_engine.host.journal import Journal
from asmu_engine.host.key_handlers import KeyHandlers
from asmu_engine.host.lane import Lane
from asmu_engine.host.leases import Leases
from asmu_engine.host.loop import Loop
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.host.patch_handlers import PatchHandlers
from asmu_engine.host.presence import CHECK_SECONDS, Presence
from asmu_engine.host.rings import Rings
from asmu_engine.host.said import Said
from asmu_engine.host.schedule_handlers import ScheduleHandlers
from asmu_engine.host.source import source_of
from asmu_engine.host.state import State
from asmu_engine.host.transactions import Transactions
from asmu_engine.protocol import messages
from asmu_engine.protocol.catalogue import Kind
from asmu_engine.protocol.errors import AsmuError, EngineError
from asmu_engine.protocol.keys import KeyRing
from asmu_engine.protocol.topic import Topic
from asmu_engine.shm.status import StatusPage

_log = logging.getLogger(__name__)

AUDIO_END_SECONDS: Final = 2.0
DISK_END_SECONDS: Final = 10.0
FOLDER_END_SECONDS: Final = 600.0
LAST_RESORT_SECONDS: Final = 2.0
"""Grace beyond both, should the end itself fail: a host never stays because it cannot end."""
_TO_THE_END: Final = (messages.Shutdown, messages.Status, messages.Ping, messages.Goodbye)
"""What is still answered while the engine ends."""


class Engine:
    """Patch, processes, clients and jobs of one engine, and the requests on them.

    Parameters
    ----------
    on_ready
        Called once, with None when the audio process is up, or with the error for which there is no engine.
    on_ended
        Called once when everything that `end` ends has ended.
    state, position
        What a dead engine of this name has left, with which this one goes on, and the frame position that it had come to.
    """

    def __init__(
        self,
        loop: Loop,
        config: EngineConfig,
        *,
        private: bool,
        on_ready: Callable[[AsmuError | None], None],
        on_ended: Callable[[], None],
        state: State | None = None,
        position: int = 0,
    ) -> None:
        self.config = config
        self.private = private
        self.axis = secrets.token_hex(8)
        self.clients = Clients()
        self.events = Events()
        self._loop = loop
        self._on_ready: Callable[[AsmuError | None], None] | None = on_ready
        self._on_ended = on_ended
        self.page = StatusPage.attach(config.name)
        self.patch = Patch((), config.blocksize)
        self._lane = Lane()
        self._lane.pause()
        self._rings = Rings(config.name, config.samplerate, config.ring_seconds)
        self.leases = Leases(self.patch)
        self.owners = Owners(self.patch, self.leases, self.clients.get)
        self._journal = Journal(config.journal, config, self._journal_failed) if config.journal else None
        self.history = History(self.patch, self._journal)
        self.jobs = Jobs(loop, self.events)
        self.acquisitions = Acquisitions(loop, self.jobs, self.source, lambda: self.clocks.fit, config.samplerate)
        self.clocks = Clocks(loop, self.page, config.samplerate, config.blocksize, self.publish)
        self.clocks.on_fit = self.acquisitions.fitted
        self.said = Said(self.patch)
        for observer in (self.clocks.happened, self.acquisitions.happened, self.said.happened):
            self.events.observe(observer)
        self.audio = Audio(loop, config, self.page, self)
        self.audio.run.pulse.fit = lambda: self.clocks.fit
        self._transactions = Transactions(
            loop=loop,
            patch=self.patch,
            rings=self._rings,
            lane=self._lane,
            audio=self.audio,
            events=self.events,
            owners=self.owners,
            history=self.history,
            on_drop=self.jobs.ring_dropped,
        )
        self.presence = Presence(
            clients=self.clients,
            patch=self.patch,
            owners=self.owners,
            leases=self.leases,
            jobs=self.jobs,
            events=self.events,
            submit=self._transactions.submit,
            withdraw=self._transactions.withdraw,
        )
        self.keys = KeyRing()
        self._ending: list[Answer] | None = None
        self._client_handlers = ClientHandlers(self)
        self._device_handlers = DeviceHandlers(config, self.patch, self.leases, self._transactions, self._lane, self.audio)
        self._patch_handlers = PatchHandlers(self.patch, self._lane, self.owners)
        self._handlers: Handlers = {
            **self._client_handlers.handlers,
            **self._device_handlers.handlers,
            **self._patch_handlers.handlers,
            **ScheduleHandlers(self._transactions).handlers,
            **HistoryHandlers(self.history, self._transactions).handlers,
            **DiskHandlers(self.patch, self.leases, self._lane, self.jobs, self.acquisitions, config.recordings).handlers,
            **KeyHandlers(self.keys).handlers,
        }
        self.heritage = Heritage(loop, self, state, position)
        loop.every(CHECK_SECONDS, self._look_after_clients)

    def launch(self) -> None:
        """Start the audio process."""
        self.audio.launch()

    def autostart(self) -> None:
        """Let the device run without being asked; a failure is logged and shows in the state."""

        def started(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if error is not None:
                _log.error("the device could not be started: %s", error)

        self._device_handlers.start(messages.Start(id=0), Client("host"), started)

    def handle(self, request: messages.Request, client: Client, size: int, answer: Answer) -> None:
        """Do one request; see `server.Handler`."""
        if self._ending is not None and not isinstance(request, _TO_THE_END):
            raise EngineError(f"engine {self.config.name!r} is ending", code="engine_gone", where=self.config.name)
        if not isinstance(request, messages.Hello):
            self.presence.back(client)
        if self._journal is not None:
            answer = self._journal.watch(request, lambda: self.page.counter("frame_position"), answer)
        if isinstance(request, messages.Transaction):
            self._transactions.submit(request, client, size, answer)
        else:
            self._handlers[type(request)](request, client, answer)

    def _look_after_clients(self) -> None:
        if self._ending is None:
            self.presence.check()

    def in_turn(self, work: Callable[[], None], answer: Answer) -> None:
        """Do something between the transactions that came before it and those that come after; `answer` gets what it raises."""
        self._lane.in_turn(work, answer)

    def look(self, work: Callable[[], None], answer: Answer) -> None:
        """The same for what changes nothing."""
        self._lane.look(work, answer)

    def by_itself(self, work: Callable[[Callable[[], None]], None]) -> None:
        """Do something likewise, while the audio process has nothing for frames to come; see `Transactions.by_itself`."""
        self._transactions.by_itself(work)

    def status(self) -> dict[str, Any]:
        """Everything but the patch, as `status` answers it."""
        return self._client_handlers.status()

    def submit(self, request: messages.Transaction, answer: Answer) -> None:
        """A transaction of the engine's own."""
        self._transactions.submit(request, ENGINE, 0, answer)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Make a call once, after at least so many seconds."""
        self._loop.later(seconds, call)

    def patch_facts(self) -> dict[str, Any]:
        """The patch as `patch` answers it."""
        return self._patch_handlers.facts()

    @property
    def ending(self) -> bool:
        """True from when the end was asked for."""
        return self._ending is not None

    def scheduled_facts(self) -> list[dict[str, Any]]:
        """What waits for its frame position, as `scheduled` answers it."""
        return self._transactions.schedule.facts()

    def end(self, answer: Answer | None = None) -> None:
        """End everything in order: device, recordings, processes. `answer` comes when all have ended."""
        waiting = [answer] if answer else []
        if self._ending is not None:
            self._ending += waiting
            return
        self._ending = waiting
        self._on_ready = None
        self.publish("engine", {"event": "ending"})
        self.audio.close(self._end_disk, AUDIO_END_SECONDS)
        disk_seconds = FOLDER_END_SECONDS if self.jobs.acquiring else DISK_END_SECONDS
        self._loop.later(AUDIO_END_SECONDS + disk_seconds + LAST_RESORT_SECONDS, self._on_ended)

    def _end_disk(self) -> None:
        self._lane.resume()  # what still waits is refused now
        self.jobs.close(self._ended, DISK_END_SECONDS, FOLDER_END_SECONDS)

    def _ended(self) -> None:
        for answer in self._ending or ():
            answer({}, None)
        self._on_ended()

    def close(self, *, in_order: bool = True) -> None:
        """Finish the journal, and detach from the counters page; `in_order`: there is nothing to ``--resume``."""
        self.heritage.close(remove=in_order)
        if self._journal is not None:
            self._journal.close(self.page.counter("frame_position"))
        self.page.close()

    # -- what the audio process's supervisor calls ----------------------------------------------------------------

    def audio_ready(self, catalogue: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take the catalogue; the edits that rebuild the patch."""
        self._patch_handlers.catalogue = catalogue
        self.said.forget()
        self.patch.kinds = {kind["name"]: Kind.from_wire(kind) for kind in catalogue}
        return self.patch.replay()

    def audio_up(self) -> None:
        """Edits may go on."""
        if self._on_ready is not None:
            on_ready, self._on_ready = self._on_ready, None
            self.heritage.up(on_ready)
        self._lane.resume()

    def audio_down(self) -> None:
        """Edits wait for the next process."""
        self._lane.pause()

    def audio_failed(self, error: AsmuError) -> None:
        """No other process will come: whoever waits is refused, recordings are closed."""
        if self._on_ready is not None:
            on_ready, self._on_ready = self._on_ready, None
            on_ready(error)
        self._lane.resume()
        self.jobs.stop_recordings(str(error), ("record", "acquire"))

    def device_running(self, device: dict[str, Any] | None) -> None:
        """Which channels may be connected now."""
        self.patch.open_channels(*((device.get("inputs"), device.get("outputs")) if device else (None, None)))

    def device_lost(self, reason: str) -> None:
        """Recordings of one file are whole up to here; those into folders wait for the device."""
        self.jobs.stop_recordings(f"the device was lost: {reason}")

    def device_awaited(self) -> bool:
        """Who records into a folder has its device back as soon as it is there."""
        return self.config.reopen or self.jobs.acquiring

    def core_to_blame(self, marks: set[int], position: int) -> None:
        """A core that crashes again and again is left out of the patch that the next process gets."""
        blame(self.patch, marks, lambda fields: self.publish("node", fields), position)

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event."""
        if self._journal is not None:
            self._journal.note(topic, fields)
        self.events.publish(topic, fields)

    def _journal_failed(self, fields: dict[str, Any]) -> None:
        """From any thread: lines of the journal are being lost."""
        _log.error("the journal is not whole: %(reason)s", fields)
        self._loop.post(lambda: self.events.publish("engine", {"event": "journal_failed", **fields}))

    def source(self, node: str) -> dict[str, Any]:
        """Where the frames of a tap come from, as a manifest tells it."""
        return source_of(self.config, axis=self.axis, device=self.audio.run.device, patch=self.patch_facts(), node=node)
