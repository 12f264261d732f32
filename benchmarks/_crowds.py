"""Engines that any number of clients join: of this machine, of this machine with a node each, and of another one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import zmq

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.launch import PrivateEngine, private_name
from asmu_engine.config import make_config
from asmu_engine.protocol.keys import ClientKey, KeyRing
from benchmarks._engine import CHANNELS, DEVICE, FRAMES, SAMPLERATE, chain, running_chain

_KEYS = "ASMU_KEYS_DIR"


class Crowd:
    """An engine with the chain, and what joins it.

    Parameters
    ----------
    client
        One that is there from the beginning.
    join
        Makes another, of this number.
    """

    def __init__(self, client: Client, join: Callable[[int], Client]) -> None:
        self.client, self._join = client, join
        self.host: int = client.request({"type": "status"})["processes"]["host"]["pid"]

    def join(self, number: int) -> Client:
        """Another client, which gets all events."""
        client = self._join(number)
        client.event(timeout=0.0)  # subscribes
        return client


@contextmanager
def local() -> Iterator[Crowd]:
    """Clients of this machine."""
    with running_chain() as interface:
        engine = interface.client.engine
        yield Crowd(interface.client, lambda number: asmu.connect(engine, name=f"client{number}"))


@contextmanager
def local_with_nodes() -> Iterator[Crowd]:
    """The same, each with a node of its own."""
    with local() as crowd:

        def join(number: int) -> Client:
            client, name = crowd.join(number), f"own{number}"
            edits: list[dict[str, Any]] = [{"op": "add", "node": name, "kind": "gain", "inputs": CHANNELS, "outputs": CHANNELS}]
            edits += [{"op": "connect", "source": "in", "output": n, "target": name, "input": n} for n in range(CHANNELS)]
            client.edit(edits)
            return client

        yield Crowd(crowd.client, join)


@contextmanager
def remote() -> Iterator[Crowd]:
    """Clients that come over the network with CURVE, each with a key of its own, which are all forgotten again."""
    with tempfile.TemporaryDirectory() as folder, _keys_in(folder):
        ring = KeyRing()
        server = ring.server_key(zmq.curve_keypair)
        listen = "tcp://127.0.0.1:*"
        config = make_config(name=private_name(), device=DEVICE, samplerate=SAMPLERATE, blocksize=FRAMES, listen=listen)
        engine = PrivateEngine(config)

        def join(number: int) -> Client:
            public, secret = (key.decode() for key in zmq.curve_keypair())
            name = f"client{number}"
            ring.allow(name, public, "operator")
            return asmu.connect(engine.info.listen, ClientKey(name, public, secret, server.public), name=name)

        try:
            with asmu.connect(engine.info) as client:
                client.edit(chain())
                client.start(drop=0)
                yield Crowd(client, join)
        finally:
            engine.close()


@contextmanager
def _keys_in(folder: str) -> Iterator[None]:
    """The user's own keys are left alone."""
    before = os.environ.get(_KEYS)
    os.environ[_KEYS] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[_KEYS]
        else:
            os.environ[_KEYS] = before


CROWDS: dict[str, Callable[[], AbstractContextManager[Crowd]]] = {
    "of this machine": local,
    "of this machine, a node of 64 channels each": local_with_nodes,
    "of another machine": remote,
}
