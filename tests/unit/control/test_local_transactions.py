"""The engine inside this process takes the same requests on transactions as one of its own process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from asmu_control.client import Client
from asmu_control.link import LocalLink
from asmu_engine.config import EngineConfig
from asmu_engine.protocol.errors import PatchError, ProtocolError

ADD = [
    {"op": "add", "node": "c", "kind": "constant", "inputs": 0, "outputs": 1, "parameters": {"value": 1.0}},
    {"op": "connect", "source": "c", "output": 0, "target": "out", "input": 0},
]


@pytest.fixture
def link() -> Iterator[LocalLink]:
    link = LocalLink(EngineConfig(name="local", device="virtual", samplerate=48_000, blocksize=64))
    yield link
    link.close()


@pytest.fixture
def client(link: LocalLink) -> Client:
    client = Client(link)
    client.edit(ADD)
    return client


def change(value: float) -> list[dict[str, Any]]:
    return [{"op": "set", "node": "c", "parameters": {"value": value}}]


def step(link: LocalLink, frames: int = 64) -> np.ndarray:
    out = np.empty((frames, 1), np.float32)
    link.step(None, out, frames)
    return out[:, 0]


def test_scheduled_listed_and_cancelled(link: LocalLink, client: Client) -> None:
    assert client.edit(change(2.0), at=10) == {"revision": 1, "at": 10, "scheduled": 1}
    client.edit(change(3.0), at=10)
    client.edit(change(4.0), at=5)
    assert [entry["scheduled"] for entry in client.scheduled()] == [3, 1, 2]
    assert client.cancel(2)["at"] == 10
    n = np.arange(64)
    assert np.array_equal(step(link), np.select([n < 5, n < 10], [1, 4], 2))
    assert client.request({"type": "scheduled", "scheduled": 1})["outcome"] == {
        "state": "edited",
        "revision": 3,
        "at": 10,
        "late": 0,
    }
    with pytest.raises(PatchError, match="took effect at frame 10"):
        client.cancel(1)


def test_key_and_revision(client: Client) -> None:
    first = client.edit(change(2.0), key="k")
    assert client.edit(change(2.0), key="k") == first
    with pytest.raises(ProtocolError) as refusal:
        client.edit(change(3.0), key="k")
    assert refusal.value.code == "key_reused"
    with pytest.raises(PatchError) as changed:
        client.edit(change(3.0), if_revision=1)
    assert changed.value.code == "revision_changed"
    with pytest.raises(PatchError):
        client.edit([{"op": "remove", "node": "nobody"}], key="n")
    assert client.edit(change(3.0), if_revision=2, key="n")["revision"] == 3


def test_history_undo_and_values(link: LocalLink, client: Client) -> None:
    client.edit(change(2.0))
    client.edit(change(3.0))
    assert client.request({"type": "undo", "revision": 3})["revision"] == 4
    assert set(step(link)) == {2.0}
    assert client.request({"type": "value", "node": "c", "parameter": "value"})["value"] in (2.0, [2.0])
    entries = client.request({"type": "history", "since": 1})["entries"]
    assert [entry["revision"] for entry in entries] == [2, 3, 4]


def test_one_that_cannot_be_done_when_its_frame_comes_is_dropped(link: LocalLink, client: Client) -> None:
    client.edit(change(2.0), at=30)
    client.edit([{"op": "remove", "node": "c"}], at=20)
    assert step(link).tolist() == [1.0] * 20 + [0.0] * 44
    outcome = client.request({"type": "scheduled", "scheduled": 1})["outcome"]
    assert (outcome["state"], outcome["code"]) == ("dropped", "unknown_node")
    with pytest.raises(PatchError):
        client.edit(change(2.0), at=1000)
