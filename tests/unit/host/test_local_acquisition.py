"""A recording into a folder by an engine in the caller's process, which is stepped by hand: offline rendering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asmu_engine.config import EngineConfig
from asmu_engine.local_host import LocalHost
from asmu_engine.protocol.errors import DiskError, PatchError, ProtocolError
from asmu_engine.recording.ledger import Gap, Xrun, read_ledger
from asmu_engine.recording.manifest import read_manifest
from asmu_engine.rt.xruns import INPUT_OVERFLOW

BLOCK = 64


@pytest.fixture
def host() -> Iterator[LocalHost]:
    """Input channel 1 in a tap."""
    host = LocalHost(EngineConfig(name="local", samplerate=8000, blocksize=BLOCK, ring_seconds=1))
    edits = [
        {"op": "add", "node": "tap", "kind": "tap", "inputs": 1, "outputs": 0, "parameters": {}},
        {"op": "connect", "source": "in", "output": 0, "target": "tap", "input": 0},
    ]
    ask(host, "transaction", edits=edits)
    yield host
    host.close()


def ask(host: LocalHost, kind: str, **fields: Any) -> dict[str, Any]:
    return host.request({"v": 1, "id": 1, "type": kind, **fields})


def test_what_is_stepped_is_in_the_folder_to_the_frame(host: LocalHost, tmp_path: Path) -> None:
    folder = tmp_path / "rendered"
    data = np.arange(1, 40 * BLOCK + 1, dtype=np.float32)[:, None]
    settings = {"rollover_seconds": 0.1}
    job = ask(host, "acquire", node="tap", folder=str(folder), settings=settings, channels=[{"name": "left"}])
    assert (job["kind"], job["path"], job["node"]) == ("acquire", str(folder), "tap")
    for block in range(0, len(data), BLOCK):
        host.step(data[block : block + BLOCK], None, BLOCK)
    ended = ask(host, "job_stop", job=job["job"])
    assert (ended["state"], ended["frames"], ended["lost_frames"]) == ("finished", len(data), 0)
    manifest = read_manifest(folder)
    assert [segment.frames for segment in manifest.segments] == [800, 800, 800, 160]
    assert manifest.source.engine["name"] == "local"
    assert [channel.name for channel in manifest.channels] == ["left"]
    parts = [soundfile.read(folder / segment.file, dtype="float32", always_2d=True)[0] for segment in manifest.segments]
    np.testing.assert_array_equal(np.concatenate(parts), data)
    assert [event["event"] for event in host.events if event["topic"] == "disk"][-1] == "job"


def test_what_the_caller_says_went_wrong_stands_in_the_ledger(host: LocalHost, tmp_path: Path) -> None:
    job = ask(host, "acquire", node="tap", folder=str(tmp_path / "a"))
    host.step(None, None, BLOCK)
    host.step(None, None, BLOCK, flags=INPUT_OVERFLOW)
    ask(host, "job_stop", job=job["job"])
    entries = list(read_ledger(tmp_path / "a" / "ledger.jsonl"))
    assert [(e.position, e.flags, e.frames) for e in entries if isinstance(e, Xrun)] == [(BLOCK, ("input_overflow",), 0)]
    assert not [entry for entry in entries if isinstance(entry, Gap)]
    host.step(None, None, BLOCK, flags=INPUT_OVERFLOW)  # of one that has ended nobody is told


def test_what_cannot_be_is_refused_as_by_a_host(host: LocalHost, tmp_path: Path) -> None:
    with pytest.raises(PatchError):
        ask(host, "acquire", node="in", folder=str(tmp_path / "a"))
    with pytest.raises(ProtocolError):
        ask(host, "acquire", node="tap", folder=str(tmp_path / "a"), channels=[{}, {}])
    with pytest.raises(DiskError) as caught:
        ask(host, "acquire", node="tap", folder=str(tmp_path / "a"), resume=True)
    assert caught.value.code == "file_unreadable"
    assert not (tmp_path / "a").exists()
