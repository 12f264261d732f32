"""Recordings into folders outlive what has begun them, if they are to; and the host, which looks after them, may stand still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from plain_engine import PlainEngine, add, connect, until

from asmu_engine.recording.ledger import Ended, Entry, Event, Gap, Xrun, read_ledger
from asmu_engine.recording.manifest import read_manifest

pytestmark = pytest.mark.e2e

PERIOD = 480
SINE = (
    add("sine", "sine", 0, 1, frequency=[48_000 / PERIOD]),
    add("tap", "tap", 1),
    connect("sine", "tap"),
)
SCRIPT = """
import sys, time
sys.path.insert(0, {folder!r})
from plain_engine import *
import zmq
client = PlainClient(zmq.Context(), published("lab"))
client.hello(name="script")
client.edit(*{edits!r})
client.result("acquire", node="tap", folder={path!r}, keep={keep!r}, settings={{"rollover_seconds": 0.2}})
print("begun", flush=True)
time.sleep(60)
"""


def ledger(folder: Path) -> list[Entry]:
    return list(read_ledger(folder / "ledger.jsonl"))


def samples(folder: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """All segments in a row: they follow one another without a gap."""
    manifest = read_manifest(folder)
    position = manifest.first
    parts = []
    for segment in manifest.segments:
        assert (segment.first, segment.state) == (position, "whole")
        data, _ = soundfile.read(folder / segment.file, dtype="float32")
        assert len(data) == segment.frames
        parts.append(data)
        position += segment.frames
    assert position == manifest.position
    return np.concatenate(parts)


def bytes_of_samples(folder: Path) -> int:
    """How large the segments are so far, as anybody sees it who looks at the disk."""
    return sum(file.stat().st_size for file in folder.glob("*.wav*"))


def script(folder: Path, *, keep: bool) -> subprocess.Popen[bytes]:
    """A client in a process of its own, which has begun a recording when this returns."""
    code = SCRIPT.format(folder=str(Path(__file__).parent), edits=SINE, path=str(folder), keep=keep)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_kept_recording_goes_on_when_every_client_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    with PlainEngine(private=False) as engine:
        engine.client.result("start")
        process = script(folder, keep=True)
        engine.client.hello(grace=0)
        engine.client.close()  # of the others none is left then
        engine.clients.clear()
        kill(process)
        engine.client = engine.connect()
        until(lambda: all(c["name"] == "plain" for c in engine.client.result("status")["clients"]), "the end of the script")
        (job,) = engine.client.result("status")["jobs"]
        there = engine.client.result("job", job=job["job"])["frames"]
        until(lambda: engine.client.result("job", job=job["job"])["frames"] > there + 14_400, "frames without any client")
        assert engine.client.result("patch")["nodes"].keys() == {"sine", "tap"}
        ended = engine.client.result("job_stop", job=job["job"])
        engine.client.result("shutdown")
    assert (ended["state"], ended["lost_frames"]) == ("finished", 0)
    data = samples(folder)
    assert len(data) == ended["frames"]
    np.testing.assert_allclose(data[PERIOD:], data[:-PERIOD], rtol=0, atol=1e-12)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_any_other_ends_with_its_client_and_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    with PlainEngine(private=False) as engine:
        engine.client.result("start")
        kill(script(folder, keep=False))
        until(lambda: engine.client.result("status")["jobs"][0]["state"] == "finished", "its end")
        (job,) = engine.client.result("status")["jobs"]
        assert job["reason"] == "its client script left"
        engine.client.result("shutdown")
    assert read_manifest(folder).state == "finished"
    assert isinstance(ledger(folder)[-1], Ended)
    assert len(samples(folder)) == job["frames"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="SIGSTOP")
def test_a_host_that_stands_still_for_five_seconds_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    with PlainEngine() as engine:
        client = engine.client
        client.edit(*SINE)
        client.result("start")
        job = client.result("acquire", node="tap", folder=str(folder))["job"]
        until(lambda: bytes_of_samples(folder), "the first samples")
        os.kill(engine.process.pid, signal.SIGSTOP)
        try:
            before = bytes_of_samples(folder)
            until(lambda: bytes_of_samples(folder) >= before + 5 * 48_000 * 4, "five seconds, written meanwhile", 30)
        finally:
            os.kill(engine.process.pid, signal.SIGCONT)
        ended = client.result("job_stop", job=job)
    assert ended["frames"] >= 5 * 48_000
    assert (ended["lost_frames"], ended["xruns"]) == (0, 0)
    data = samples(folder)
    assert len(data) == ended["frames"]
    np.testing.assert_allclose(data[PERIOD:], data[:-PERIOD], rtol=0, atol=1e-12)


def test_what_happens_stands_in_the_ledger_once_with_its_frames(tmp_path: Path) -> None:
    """Losses, edits, a stop and a start, each noted in both of two recordings, and in none that began later."""
    with PlainEngine(device="virtual:inputs=1,outputs=1,speed=20,buffer_s=60", ring_seconds=120.0) as engine:
        client = engine.client
        client.edit(*SINE)
        client.result("start")
        acquired = [client.result("acquire", node="tap", folder=str(tmp_path / name))["job"] for name in "ab"]
        for frames in (100, 37):
            client.result("fault", fault="lose", frames=frames)
            until(lambda: engine.client.result("status")["counters"]["lost_frames"] in (100, 137), "the loss")
        until(lambda: engine.client.result("status")["counters"]["lost_frames"] == 137, "the losses")
        client.result("stop")
        client.result("start", reset=False)
        client.edit({"op": "set", "node": "sine", "parameters": {"frequency": [200.0]}})
        until(lambda: any(isinstance(e, Event) and e.what == "edited" for e in ledger(tmp_path / "a")), "the edit")
        acquired.append(client.result("acquire", node="tap", folder=str(tmp_path / "c"))["job"])
        for job in acquired:
            client.result("job_stop", job=job)
    for name in "ab":
        entries = ledger(tmp_path / name)
        xruns = [entry for entry in entries if isinstance(entry, Xrun)]
        assert [(xrun.frames, xrun.uncertainty) for xrun in xruns] == [(100, 0), (37, 0)]
        gaps = [entry for entry in entries if isinstance(entry, Gap) and entry.cause == "device"]
        assert [(gap.position + gap.frames, gap.frames) for gap in gaps] == [(xrun.position, xrun.frames) for xrun in xruns]
        told = [entry.what for entry in entries if isinstance(entry, Event)]
        assert [what for what in told if what != "edited"] == ["state", "state", "started"] or "started" in told
        assert told.count("edited") == 1
    assert not [entry for entry in ledger(tmp_path / "c") if isinstance(entry, Xrun | Gap)]
