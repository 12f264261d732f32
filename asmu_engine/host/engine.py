"""The engine as its clients see it: what each request does."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import asmu_engine
from asmu_engine.config import EngineConfig
from asmu_engine.host.audio import Audio
from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client, Clients
from asmu_engine.host.events import Events, Topic
from asmu_engine.host.jobs import Jobs
from asmu_engine.host.lane import Lane
from asmu_engine.host.loop import Loop
from asmu_engine.host.patch import Patch
from asmu_engine.host.processes import child_facts, resident_bytes
from asmu_engine.host.rings import Rings
from asmu_engine.host.transactions import Transactions
from asmu_engine.protocol import messages
from asmu_engine.protocol.catalogue import Kind
from asmu_engine.protocol.errors import AsmuError, DeviceError, EngineError, PatchError, ProtocolError
from asmu_engine.protocol.version import PROTOCOL_VERSION
from asmu_engine.shm.status import StatusPage

_log = logging.getLogger(__name__)

AUDIO_END_SECONDS: Final = 2.0
DISK_END_SECONDS: Final = 10.0
LAST_RESORT_SECONDS: Final = 2.0
"""Grace beyond both, should the end itself fail: a host never stays because it cannot end."""
CLIENT_CHECK_SECONDS: Final = 1.0


class Engine:
    """Patch, processes, clients and jobs of one engine, and the requests on them.

    Parameters
    ----------
    on_ready
        Called once, with None when the audio process is up, or with the error for which there is no engine.
    on_ended
        Called once when everything that `end` ends has ended.
    """

    def __init__(
        self,
        loop: Loop,
        config: EngineConfig,
        *,
        private: bool,
        on_ready: Callable[[AsmuError | None], None],
        on_ended: Callable[[], None],
    ) -> None:
        self.config = config
        self.private = private
        self.clients = Clients()
        self.events = Events()
        self._loop = loop
        self._on_ready: Callable[[AsmuError | None], None] | None = on_ready
        self._on_ended = on_ended
        self._begun = time.monotonic()
        self._page = StatusPage.attach(config.name)
        self._patch = Patch((), config.blocksize)
        self._catalogue: list[dict[str, Any]] = []
        self._lane = Lane()
        self._lane.pause()
        self._rings = Rings(config.name, config.samplerate, config.ring_seconds)
        self._jobs = Jobs(loop, self.events)
        self.audio = Audio(loop, config, self._page, self)
        self._transactions = Transactions(
            patch=self._patch,
            rings=self._rings,
            lane=self._lane,
            events=self.events,
            ask_audio=self.audio.ask,
            on_drop=self._jobs.ring_dropped,
        )
        self._ending: list[Answer] | None = None
        self._said: dict[str, dict[str, int]] = {}
        self._handlers: dict[type[messages.Request], Callable[..., None]] = {
            messages.Hello: self._hello,
            messages.Ping: lambda request, client, answer: answer({}, None),
            messages.Start: self._start,
            messages.Stop: self._stop,
            messages.Step: self._step,
            messages.Status: self._status,
            messages.GetPatch: self._get_patch,
            messages.GetCatalogue: lambda request, client, answer: answer({"kinds": self._catalogue}, None),
            messages.Profile: self._profile,
            messages.Fault: self._fault,
            messages.Record: self._record,
            messages.Play: self._play,
            messages.Seek: lambda request, client, answer: self._jobs.seek(request.job, request.position, answer),
            messages.Reset: self._reset,
            messages.JobStatus: lambda request, client, answer: self._jobs.status(request.job, answer),
            messages.JobStop: lambda request, client, answer: self._jobs.stop(request.job, answer),
            messages.Shutdown: lambda request, client, answer: self.end(answer),
        }
        loop.every(CLIENT_CHECK_SECONDS, self._check_clients)

    def launch(self) -> None:
        """Start the audio process."""
        self.audio.launch()

    def autostart(self) -> None:
        """Let the device run without being asked; a failure is logged and shows in the state."""

        def started(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if error is not None:
                _log.error("the device could not be started: %s", error)

        self._start(messages.Start(id=0), Client("host"), started)

    def handle(self, request: messages.Request, client: Client, size: int, answer: Answer) -> None:
        """Do one request; see `server.Handler`."""
        if self._ending is not None and not isinstance(request, (messages.Shutdown, messages.Status, messages.Ping)):
            raise EngineError(f"engine {self.config.name!r} is ending", code="engine_gone", where=self.config.name)
        if isinstance(request, messages.Transaction):
            self._transactions.submit(request, client.label, size, answer)
        else:
            self._handlers[type(request)](request, client, answer)

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
        self._loop.later(AUDIO_END_SECONDS + DISK_END_SECONDS + LAST_RESORT_SECONDS, self._on_ended)

    def _end_disk(self) -> None:
        self._lane.resume()  # what still waits is refused now
        self._jobs.close(self._ended, DISK_END_SECONDS)

    def _ended(self) -> None:
        for answer in self._ending or ():
            answer({}, None)
        self._on_ended()

    def close(self) -> None:
        """Detach from the counters page."""
        self._page.close()

    # -- what the audio process's supervisor calls ----------------------------------------------------------------

    def audio_ready(self, catalogue: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take the catalogue; the edits that rebuild the patch."""
        self._catalogue = catalogue
        self._said.clear()  # what a core of the process before had said
        self._patch.kinds = {kind["name"]: Kind.from_wire(kind) for kind in catalogue}
        return self._patch.replay()

    def audio_up(self) -> None:
        """Edits may go on."""
        if self._on_ready is not None:
            on_ready, self._on_ready = self._on_ready, None
            on_ready(None)
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
        self._jobs.stop_recordings(str(error))

    def device_running(self, device: dict[str, Any] | None) -> None:
        """Which channels may be connected now."""
        self._patch.open_channels(*((device.get("inputs"), device.get("outputs")) if device else (None, None)))

    def device_lost(self, reason: str) -> None:
        """Recordings are whole up to here."""
        self._jobs.stop_recordings(f"the device was lost: {reason}")

    def publish(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event; what cores say of themselves is kept for those who ask later."""
        if fields.get("event") == "node":
            self._said.setdefault(str(fields["node"]), {})[str(fields["what"])] = int(fields["position"])
        self.events.publish(topic, fields)

    # -- requests -------------------------------------------------------------------------------------------------

    def _hello(self, request: messages.Hello, client: Client, answer: Answer) -> None:
        client.name, client.pid = request.name, request.pid
        self.publish("client", {"event": "joined", **client.facts()})
        facts = self._facts()
        answer({**facts, "client": client.id}, None)

    def _facts(self) -> dict[str, Any]:
        return {
            "name": self.config.name,
            "version": asmu_engine.__version__,
            "protocol": PROTOCOL_VERSION,
            "samplerate": self.config.samplerate,
            "blocksize": self.config.blocksize,
            "state": self.audio.state,
            "device": self.audio.device,
            "revision": self._patch.revision,
            "frame_position": self._page.counter("frame_position"),
        }

    def _status(self, request: messages.Status, client: Client, answer: Answer) -> None:
        answer(
            {
                **self._facts(),
                "pid": os.getpid(),
                "private": self.private,
                "counters": self._page.snapshot(),
                "realtime": self.audio.realtime,
                "processes": {
                    "host": {"pid": os.getpid(), "rss": resident_bytes(os.getpid())},
                    "audio": child_facts(self.audio.child, self.audio.restarts),
                    "disk": child_facts(self._jobs.child, self._jobs.restarts),
                },
                "clients": [present.facts() for present in self.clients.present()],
                "jobs": self._jobs.facts(),
                "said": {node: said for node, said in self._said.items() if node in self._patch.nodes},
                "uptime": time.monotonic() - self._begun,
            },
            None,
        )

    def _in_turn(self, work: Callable[[], None], answer: Answer) -> None:
        """Do something when all transactions before it hold, before any after it."""

        def start(done: Callable[[], None]) -> None:
            try:
                work()
            except AsmuError as error:
                answer(None, error)
            finally:
                done()

        self._lane.submit(start, alone=lambda: True)

    def _get_patch(self, request: messages.GetPatch, client: Client, answer: Answer) -> None:
        self._in_turn(lambda: answer(self._patch.wire(), None), answer)

    def _start(self, request: messages.Start, client: Client, answer: Answer) -> None:
        inputs = self.config.inputs if request.inputs is None else request.inputs
        outputs = self.config.outputs if request.outputs is None else request.outputs
        message = {
            "inputs": inputs,
            "outputs": outputs,
            "end_block": request.end_block,
            "drop": request.drop,
            "reset": request.reset,
        }

        def started(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if result is None:
                answer(None, error)
                return
            device = result.get("device") or {}
            try:
                self._check_channels(device.get("inputs"), device.get("outputs"))
            except DeviceError as refusal:
                missing = refusal  # the name that `except` binds is gone when the lambda runs
                self.audio.stop_device(lambda result, error: answer(None, missing))
            else:
                answer(result, None)

        def work() -> None:
            self._check_channels(inputs, outputs)
            self.audio.start_device(message, started)

        self._in_turn(work, answer)

    def _check_channels(self, inputs: list[int] | None, outputs: list[int] | None) -> None:
        for side, used, there in zip(("input", "output"), self._patch.used_channels(), (inputs, outputs), strict=True):
            missing = [] if there is None else sorted(set(used) - set(there))
            if missing:
                raise DeviceError(
                    f"the patch uses {side} channels {_list(missing)}, the device would run with {_list(there or [])}; "
                    "start with these channels too, take another device, or disconnect them",
                    code="device_channels",
                    where=str(self.config.device),
                )

    def _stop(self, request: messages.Stop, client: Client, answer: Answer) -> None:
        self.audio.stop_device(answer)

    def _step(self, request: messages.Step, client: Client, answer: Answer) -> None:
        self._in_turn(lambda: self.audio.ask({"do": "step", "blocks": request.blocks}, answer, None), answer)

    def _reset(self, request: messages.Reset, client: Client, answer: Answer) -> None:
        self._in_turn(lambda: self.audio.ask({"do": "reset", "drop": request.drop}, answer), answer)

    def _profile(self, request: messages.Profile, client: Client, answer: Answer) -> None:
        self.audio.ask({"do": "profile", "enabled": request.enabled}, answer)

    def _fault(self, request: messages.Fault, client: Client, answer: Answer) -> None:
        self.audio.ask({"do": "fault", "fault": request.fault, "blocks": request.blocks, "frames": request.frames}, answer)

    def _record(self, request: messages.Record, client: Client, answer: Answer) -> None:
        command = {"path": request.path, "format": request.format, "subtype": request.subtype, "tags": request.tags}
        self._begin_job(request, client, answer, kind="record", ring="tap", command=command)

    def _play(self, request: messages.Play, client: Client, answer: Answer) -> None:
        command = {"path": request.path, "loop": request.loop, "start": request.start}
        self._begin_job(request, client, answer, kind="play", ring="feed", command=command)

    def _begin_job(
        self,
        request: messages.Record | messages.Play,
        client: Client,
        answer: Answer,
        *,
        kind: Literal["record", "play"],
        ring: Literal["tap", "feed"],
        command: dict[str, Any],
    ) -> None:
        if not Path(request.path).is_absolute() or "\0" in request.path:
            raise ProtocolError(
                f"path {request.path!r} is not absolute; the engine does not know the client's working directory",
                code="bad_message",
                where="path",
            )

        def work() -> None:
            node = self._patch.nodes.get(request.node)
            if node is None:
                raise PatchError(f"there is no node {request.node!r} in the patch", code="unknown_node", where=request.node)
            if node.kind.ring != ring:
                raise PatchError(
                    f"{request.node} is a {node.kind.name}; to {kind} takes a {ring}", code="unknown_node", where=request.node
                )
            self._jobs.begin(kind, answer, node=node.name, ring=node.ring, client=client.label, command=command)

        self._in_turn(work, answer)

    def _check_clients(self) -> None:
        for client in self.clients.forget_dead():
            self.publish("client", {"event": "left", **client.facts()})


def _list(channels: list[int]) -> str:
    return ", ".join(str(channel) for channel in channels) or "none"
