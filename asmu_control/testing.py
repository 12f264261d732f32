"""For tests of scripts: an engine in memory, without processes, sockets and devices, that can be told to fail.

>>> import asmu_control as asmu
>>> link = asmu.testing.FakeLink()
>>> with asmu.client.Client(link) as client:
...     _ = client.edit([{"op": "add", "node": "one", "kind": "constant", "outputs": 1, "parameters": {"value": 0.5}}])
...     client.patch()["revision"]
1
>>> [request["type"] for request in link.sent]
['hello', 'transaction', 'patch', 'goodbye']
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from asmu_control.exchange import request_classes
from asmu_control.fakeclient import FakeClient
from asmu_control.fakedevice import FakeDevice
from asmu_control.link import LocalLink, Message
from asmu_engine.config import EngineConfig
from asmu_engine.protocol import messages
from asmu_engine.protocol.codec import unpack
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.request import Role
from asmu_engine.protocol.topics import EVENTS
from asmu_engine.protocol.version import BEAT_SECONDS, SILENT_SECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FakeLink"]

_REMEMBERED: Final = 64
_NUMBERS: Final = itertools.count(1)


class FakeLink(LocalLink):
    """A whole engine in this process, for one client: ``Client(FakeLink())``, ``Interface(engine=Client(FakeLink()))``.

    Requests are validated and done as by a real one: patch, cores, taps, recordings and players are the real ones. There is
    no device: after ``start`` the test processes blocks with `run`.

    Parameters
    ----------
    name
        Of the engine; its rings, if the patch has any, are named after it.
    samplerate, blocksize
        Hz, and frames a block.
    plugins
        Modules or ``.py`` files with further cores.
    role
        The most that the client may do.

    Attributes
    ----------
    sent
        Every request that reached the engine, as it stood on the wire, oldest first; one that came twice twice.
    """

    def __init__(
        self,
        name: str = "",
        samplerate: float = 48_000,
        blocksize: int = 256,
        *,
        plugins: Sequence[str] = (),
        role: Role = "admin",
    ) -> None:
        name = name or f"fake-{next(_NUMBERS)}"
        super().__init__(
            EngineConfig(name=name, device="offline", samplerate=samplerate, blocksize=blocksize, plugins=tuple(plugins))
        )
        self.sent: list[Message] = []
        self.connections = 1
        self._samplerate, self._blocksize = float(samplerate), blocksize
        self._device = FakeDevice(name)
        self._client = FakeClient(role)
        self._refusals: dict[str, deque[AsmuError]] = {}
        self._losses = 0
        self._answers: OrderedDict[bytes, Message] = OrderedDict()
        self._using = threading.RLock()
        self._verbs: dict[type[messages.Request], Callable[[Any], Message]] = {
            messages.Hello: self._hello,
            messages.Goodbye: self._goodbye,
            messages.Status: self._status,
            messages.GetPatch: self._patch,
            messages.Snapshot: self._snapshot,
            messages.Lease: self._lease,
            messages.Release: self._client.release,
            messages.Announce: self._announce,
            messages.Start: self._start,
            messages.Stop: self._stop,
            messages.Step: self._step,
        }

    # -- what a test does ---------------------------------------------------------------------------------------------

    def asked(self, kind: str) -> list[Message]:
        """The requests of one type, without the fields that all have, and without the keys of transactions."""
        return [
            {name: value for name, value in request.items() if name not in ("v", "id", "type", "key")}
            for request in self.sent
            if request.get("type") == kind
        ]

    def run(self, blocks: int = 1, indata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Process blocks, in any thread; returns the outputs, float32, shape (frames, channels in use).

        Parameters
        ----------
        blocks
            How many.
        indata
            Input, shape (frames, channels), of at least ``blocks * blocksize`` frames; None: silence.
        """
        import numpy as np

        with self._using:
            outputs = self._ask("patch")["connections"]
            used = max((port + 1 for _, _, target, port in outputs if target == "out"), default=0)
            outdata = np.zeros((blocks * self._blocksize, used), np.float32)
            for begin in range(0, len(outdata), self._blocksize):
                part = slice(begin, begin + self._blocksize)
                self.step(None if indata is None else indata[part], outdata[part], self._blocksize)
            return outdata

    def publish(self, topic: str, **fields: Any) -> None:
        """Have something happen: an event of this topic with these fields, such as ``event="xrun", lost=3``."""
        if topic not in EVENTS:
            raise ValueError(f"there is no topic {topic!r}; topics: {', '.join(EVENTS)}")
        self.pass_on()
        with self._passing:
            self._publish(topic, dict(fields))

    def refuse(self, kind: str, error: AsmuError, times: int = 1) -> None:
        """Refuse the next `times` requests of that type, such as ``"transaction"``, with `error`; they have no effect."""
        known = request_classes()
        if kind not in known:
            raise ValueError(f"there is no request {kind!r}; requests: {', '.join(sorted(known))}")
        self._refusals.setdefault(kind, deque()).extend([error] * times)

    def lose_answer(self, times: int = 1) -> None:
        """Lose the next `times` answers on their way: the requests are done, but the client does not hear of it.

        It asks again after half its time-out, 5 s at most; a test is faster with ``Client(link, timeout=0.1)``.
        """
        self._losses += times

    def lose_connection(self, *, left: bool = False) -> None:
        """Break the connection for so long that the engine notices, and let the client connect again: its leases have ended.

        Parameters
        ----------
        left
            It took so long that the engine has let the client go, and removed what it owned and did not keep.
        """
        with self._using:
            self._inbox.clear()
            self._client.lose()
            self._tell_of_client("away")
            if left:
                self._answers.clear()
                self._leave()
            self.connections += 1

    def gone(self) -> None:
        """End the engine without a word, as if it had been killed."""
        self._open = False

    # -- the link -----------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Do one request; `receive` has its answer then, unless it is to be lost."""
        if not self._open:
            return
        with self._using:
            self.sent.append(unpack(data))
            waiting = len(self._inbox)
            known = self._answers.get(data)
            if known is None:
                super().send(data)
                if messages.request_id(self.sent[-1]):
                    self._answers[data] = self._inbox[-1]
                    while len(self._answers) > _REMEMBERED:
                        self._answers.popitem(last=False)
            else:
                self._inbox.append(known)
            if self._losses:
                self._losses -= 1
                while len(self._inbox) > waiting:
                    self._inbox.pop()

    def _do(self, message: Message) -> Message:
        request = messages.parse_request(message)
        kind = str(message["type"])
        if self._client.away:
            self._client.away = False
            self._tell_of_client("back")
        if not isinstance(request, messages.Hello):
            self._client.check(request, kind)
        refusals = self._refusals.get(kind)
        if refusals:
            raise refusals.popleft()
        verb = self._verbs.get(type(request))
        result = super()._do(message) if verb is None else verb(request)
        if isinstance(request, messages.Transaction):
            self._client.note(request)
        return result

    # -- requests -----------------------------------------------------------------------------------------------------

    def _hello(self, request: messages.Hello) -> Message:
        client = self._client
        self._tell_of_client(client.hello(request))
        return {
            **self._ask("hello", name=request.name),
            "state": self._device.state,
            "reason": "",
            "device": self._device.facts,
            "client": client.id,
            "role": client.role,
            "token": client.token,
            "grace": request.grace,
            "beat_seconds": BEAT_SECONDS,
            "silent_seconds": SILENT_SECONDS,
            "clock": {"frame_position": self._position(), "monotonic_ns": 0, "utc_ns": 0},
            "numbers": self.numbers(),
            "endpoints": {"events_port": None, "services": list(client.services)},
        }

    def _goodbye(self, request: messages.Goodbye) -> Message:
        self._leave()
        return {}

    def _status(self, request: messages.Status) -> Message:
        status = self._ask("status")
        return {
            **status,
            **self._client.status(status, self._ask("patch")["nodes"]),
            "state": self._device.state,
            "reason": "",
            "device": self._device.facts,
        }

    def _snapshot(self, request: messages.Snapshot) -> Message:
        status, patch = self._status(messages.Status(id=0)), self._patch(messages.GetPatch(id=0))
        return {**self.snapshot(), "status": status, "patch": patch}

    def _patch(self, request: messages.GetPatch) -> Message:
        patch, owned = self._ask("patch"), set(self._client.owned)
        nodes = {name: {**node, "owner": self._client.id if name in owned else ""} for name, node in patch["nodes"].items()}
        return {**patch, "nodes": nodes}

    def _lease(self, request: messages.Lease) -> Message:
        return self._client.lease(request, self._ask("patch")["nodes"])

    def _announce(self, request: messages.Announce) -> Message:
        self.publish("client", event="announced", **self._client.announce(request))
        return {}

    def _start(self, request: messages.Start) -> Message:
        facts = self._device.start(request.inputs, request.outputs)
        if request.reset or request.drop:
            self._ask("reset", drop=request.drop)
        stream = {"device": facts, "samplerate": self._samplerate, "blocksize": self._blocksize, "position": self._position()}
        asked = request.model_dump(include={"drop", "end_block", "reset"})
        self.publish("device", event="started", **stream, **asked)
        self._tell_state()
        return stream

    def _stop(self, request: messages.Stop) -> Message:
        if self._device.stop():
            self._tell_state()
        return {"position": self._position()}

    def _step(self, request: messages.Step) -> Message:
        self.run(request.blocks)
        return {"blocks": request.blocks, "position": self._position()}

    def _tell_state(self) -> None:
        self.publish("engine", event="state", state=self._device.state, reason="", position=self._position())

    def _leave(self) -> None:
        present = self._ask("patch")["nodes"]
        edits = [{"op": "remove", "node": node} for node in self._client.leave() if node in present]
        if edits:
            self._ask("transaction", edits=edits)
        self._tell_of_client("left")

    def _tell_of_client(self, event: str) -> None:
        self.publish("client", event=event, **self._client.facts())

    def _position(self) -> int:
        return int(self._ask("status")["frame_position"])
