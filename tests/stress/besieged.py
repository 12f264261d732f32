"""Those who send what nobody should send, one who must not notice, and what the engine takes of the machine meanwhile."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import msgpack
import psutil
import zmq
from hostile import Hostile
from plain_engine import PlainClient, PlainEngine, add, connect, until

MEBIBYTE = 2**20
OWN = {"keepsine", "keepgain", "keeptap"}


class Attacker:
    """A connection of its own; an operator, so that nothing of what it sends may stop the device or the engine."""

    def __init__(self, engine: PlainEngine, seed: int, folder: str) -> None:
        self.sent = self.damaged = self.again = self.answered = 0
        self._last = 0
        self.codes: Counter[str] = Counter()
        self.suspects: list[str] = []
        self._hostile = Hostile(seed, folder)
        self._socket: zmq.Socket[bytes] = engine.context.socket(zmq.DEALER)
        self._socket.connect(engine.info["requests"])
        self._recent: list[list[bytes]] = []

    def send(self, count: int) -> None:
        """So many messages, without waiting; before them a hello, with which the ids begin anew, and behind them a ping."""
        hello = {"v": 1, "id": 0, "type": "hello", "name": "attacker", "role": "operator", "pid": os.getpid()}
        self._send([msgpack.packb(hello)])
        self._send([msgpack.packb({"v": 1, "id": 1, "type": "release"})])
        self._recent.clear()
        for number in range(2, 2 + count):
            message = self._hostile.message(number)
            self._recent.append(message.frames)
            self.damaged += 1
            self.again += message.again
            self._send(message.frames)
        self._last = 2 + count
        self._send([msgpack.packb({"v": 1, "id": self._last, "type": "ping"})])

    def read(self) -> bool:
        """Read what has come; True when every message has its answer, so the last one too."""
        try:
            while True:
                self._take(self._socket.recv_multipart(zmq.NOBLOCK)[-1])
        except zmq.Again:
            # One that comes again while the first is being worked out shares its answer.
            return not self._last and self.answered >= self.sent - self.again

    def close(self) -> None:
        self._socket.close(0)

    def _send(self, frames: list[bytes]) -> None:
        self._socket.send_multipart(frames)
        self.sent += 1

    def _take(self, data: bytes) -> None:
        answer = msgpack.unpackb(data)
        assert answer["v"] == 1
        if answer["type"] == "beat":
            return
        self.answered += 1
        if answer["type"] == "reply":
            if answer["id"] == self._last:
                self._last = 0
            self.codes["reply"] += 1
            return
        assert answer["type"] == "error"
        assert 0 < len(answer["message"]) < 1100
        self.codes[answer["code"]] += 1
        if answer["code"] == "engine_failed" and len(self.suspects) < 5:
            number = answer["id"] - 2
            message = self._recent[number][-1] if 0 <= number < len(self._recent) else b""
            self.suspects.append(f"{answer['message']}: {message[:300].hex()}")


class Bystander:
    """A client with a patch of its own, which it has leased: it must notice nothing."""

    def __init__(self, engine: PlainEngine) -> None:
        self.client: PlainClient = engine.client
        self.slowest = 0.0
        self.client.edit(
            add("keepsine", "sine", 0, 1, frequency=440.0),
            add("keepgain", "gain", 1, 1),
            add("keeptap", "tap", 1),
            connect("keepsine", "keepgain"),
            connect("keepgain", "keeptap"),
            connect("keepgain", "out"),
        )
        self.client.result("lease", nodes=sorted(OWN), outputs=[1])
        self.client.result("start")
        self._job = self.client.result("record", node="keeptap", path="take.wav")["job"]
        self._patch = self._own_patch()
        self._pids = engine.pids()[:2]
        self._blocks = 0

    def ping(self) -> None:
        began = time.monotonic()
        self.client.result("ping")
        self.slowest = max(self.slowest, time.monotonic() - began)

    def edit(self) -> None:
        """Changes what is its own, and hears that it is done."""
        self.client.edit({"op": "set", "node": "keepsine", "parameters": {"frequency": 440.0}})

    def check(self) -> None:
        """Same processes, same patch, and blocks that go on."""
        status = self.client.result("status")
        assert status["state"] == "running"
        assert [status["processes"][name]["pid"] for name in ("host", "audio")] == self._pids
        assert status["processes"]["audio"]["restarts"] == 0
        assert status["counters"]["core_exceptions"] == 0
        assert self._own_patch() == self._patch
        until(lambda: self.client.result("status")["counters"]["blocks"] > self._blocks, "the next block")
        self._blocks = self.client.result("status")["counters"]["blocks"]

    def gaps(self) -> list[list[Any]]:
        """End the recording of its tap; what the file lacks, but for what the device itself lost on a busy machine."""
        result = self.client.result("job_stop", job=self._job)
        assert result["frames"] > 0
        return [gap for gap in result["gaps"] if gap[2] != "device"]

    def tidy(self) -> None:
        """Remove what the attackers have built."""
        until(self._tidied, "a patch without the attackers' nodes")

    def _tidied(self) -> bool:
        waiting = self.client.result("scheduled")
        numbers = [entry["scheduled"] for entry in waiting[next(iter(waiting))]]
        for number in numbers:
            self.client.ask("cancel", scheduled=number)
        others = sorted(set(self.client.result("patch")["nodes"]) - OWN)
        if others:
            self.client.ask("transaction", edits=[{"op": "remove", "node": node} for node in others])
        return not others and not numbers

    def _own_patch(self) -> tuple[Any, Any]:
        patch = self.client.result("patch")
        nodes = {name: {key: patch["nodes"][name][key] for key in ("kind", "inputs", "outputs", "parameters")} for name in OWN}
        return nodes, [wire for wire in patch["connections"] if wire[0] in OWN or wire[2] in OWN]


class Sizes:
    """Memory, files and threads of the engine's processes."""

    def __init__(self, pids: list[int]) -> None:
        self.processes = [psutil.Process(pid) for pid in pids]

    def memory(self) -> float:
        """MiB of the host."""
        return self.processes[0].memory_info().rss / MEBIBYTE

    def things(self) -> list[tuple[int, int]]:
        return [(process.num_fds(), process.num_threads()) for process in self.processes]
