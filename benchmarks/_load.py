"""Clients that put load on an engine: workers send transactions, watchers read all events.

They use plain pyzmq and msgpack, as cheaply as they can: on a machine with few cores it is the engine that is to be measured,
not its clients. Each process takes its orders from stdin, a line each, and answers with a line of JSON.

    python -m benchmarks._load worker ENGINE NAME     `SECONDS RATE EDITS`: so many transactions a second of so many edits
    python -m benchmarks._load watcher ENGINE COUNT   `begin`: count from now; `end`: what came, when nothing more comes
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from typing import Any

import msgpack
import zmq

from asmu_engine.protocol.runtime import EngineInfo, find_engine

PATIENCE_MS = 30_000
QUIET_MS = 500
QUEUE_MESSAGES = 100_000


class PlainClient:
    """A client with a request socket, which has said hello, and the events socket that it may have."""

    def __init__(self, context: zmq.Context[Any], info: EngineInfo, name: str, *, subscribed: bool) -> None:
        self.requests: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self.requests.connect(info.requests)
        self.events: zmq.Socket[bytes] | None = None
        if subscribed:
            self.events = context.socket(zmq.SUB)
            self.events.rcvhwm = QUEUE_MESSAGES
            self.events.connect(info.events)
            self.events.subscribe(b"")
        self._id = 0
        self.ask("hello", name=name, pid=os.getpid(), beat=True)

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """One request; its answer, or SystemExit with the reason for which it was refused."""
        self._id += 1
        self.requests.send(msgpack.packb({"v": 1, "id": self._id, "type": kind, **fields}))
        while self.requests.poll(PATIENCE_MS):
            answer: dict[str, Any] = msgpack.unpackb(self.requests.recv())
            if answer["id"] == self._id:
                if answer["type"] != "reply":
                    raise SystemExit(f"{kind} was refused: {answer['message']}")
                return dict(answer["result"])
        raise SystemExit(f"no answer to {kind}")

    def leave(self) -> None:
        """Say goodbye, whatever comes back: the engine may have forgotten a client that was stopped."""
        self.requests.send(msgpack.packb({"v": 1, "id": self._id + 1, "type": "goodbye"}))
        self.requests.poll(1000)


class Count:
    """What one subscriber got: messages by topic, and the first and last of each."""

    def __init__(self) -> None:
        self._messages: dict[bytes, int] = {}
        self._first: dict[bytes, bytes] = {}
        self._last: dict[bytes, bytes] = {}

    def take(self, socket: zmq.Socket[bytes]) -> None:
        """Read all that has come."""
        try:
            while True:
                topic, data = socket.recv_multipart(zmq.NOBLOCK)
                self._messages[topic] = self._messages.get(topic, 0) + 1
                self._first.setdefault(topic, data)
                self._last[topic] = data
        except zmq.Again:
            pass

    def facts(self) -> dict[str, int]:
        """`events` that came, `missing` ones between the first and the last of their topic, by their numbers."""
        spans = (1 + _number(self._last[topic]) - _number(first) for topic, first in self._first.items())
        came = sum(self._messages.values())
        return {"events": came, "missing": sum(spans) - came}


def _number(data: bytes) -> int:
    return int(msgpack.unpackb(data)["number"])


def work(engine: str, name: str) -> None:
    """Serve orders until stdin ends."""
    client = PlainClient(zmq.Context(), find_engine(engine), name, subscribed=False)
    chance = random.Random(name)
    _say({})
    for line in sys.stdin:
        seconds, rate, edits = map(float, line.split())
        _say(_run(client, chance, seconds, rate, int(edits)))
    client.leave()


def _run(client: PlainClient, chance: random.Random, seconds: float, rate: float, edits: int) -> dict[str, Any]:
    """Transactions at their times, without a pause where late; each waits for its answer."""
    taken: list[float] = []
    period = 0.0 if math.isinf(rate) else 1 / rate
    began = time.perf_counter() + period * chance.random()  # workers do not march in step
    while (now := time.perf_counter() - began) < seconds:
        if (due := len(taken) * period) > now:
            time.sleep(due - now)
        batch = [{"op": "set", "node": f"gain{n % 4}", "parameters": {"gain": chance.uniform(0.1, 1.0)}} for n in range(edits)]
        sent = time.perf_counter()
        client.ask("transaction", edits=batch)
        taken.append(1e3 * (time.perf_counter() - sent))
    return {"seconds": time.perf_counter() - began, "milliseconds": [round(value, 4) for value in taken]}


def watch(engine: str, number: int) -> None:
    """Read the events of so many clients until stdin ends."""
    context, info = zmq.Context(), find_engine(engine)
    context.set(zmq.MAX_SOCKETS, 4 * number + 64)
    clients = [PlainClient(context, info, f"watcher{os.getpid()}-{n}", subscribed=True) for n in range(number)]
    poller = zmq.Poller()
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    for client in clients:
        poller.register(client.requests, zmq.POLLIN)
        assert client.events is not None
        poller.register(client.events, zmq.POLLIN)
    counts = [Count() for _ in clients]
    _say({})
    ending = False
    while True:
        ready = dict(poller.poll(QUIET_MS if ending else None))
        if sys.stdin.fileno() in ready:
            order = sys.stdin.readline().strip()
            if not order:
                break
            ending = order == "end"
            if not ending:
                counts = [Count() for _ in clients]
                _say({})
        for client, count in zip(clients, counts, strict=True):
            if client.events is not None and client.events in ready:
                count.take(client.events)
            if client.requests in ready:
                client.requests.recv()  # a beat
        if ending and not any(client.events in ready for client in clients):
            _say({"clients": [count.facts() for count in counts]})
            ending = False
    for client in clients:
        client.leave()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


class Hand:
    """One such process, seen from the benchmark: ready when this returns."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._load", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.answer()

    def order(self, line: str) -> None:
        """Tell it what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for its next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a client of the benchmark has ended")
        return dict(json.loads(line))

    def close(self) -> None:
        """Have it end; by force where it does not."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work(*sys.argv[2:4])
    else:
        watch(sys.argv[2], int(sys.argv[3]))
