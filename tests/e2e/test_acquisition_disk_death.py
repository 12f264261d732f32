"""The disk process is killed or frozen under a recording into a folder: no frame is lost that the ring holds, and each that it
cannot hold is accounted for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acquired import BLOCK, Acquired, pause
from plain_engine import alive, until

pytestmark = pytest.mark.e2e

SPEED = 8
REPLACED_SPEED = 2
REPLACED_RING_SECONDS = 60.0
"""Slow enough, and a ring long enough, that a busy machine starts another disk process before the ring has gone round."""
RING_SECONDS = 10.0
"""Of audio that a tap's ring holds."""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Acquired]]:
    started: list[Acquired] = []

    def make(speed: float = 1, ring_seconds: float = RING_SECONDS, **settings: Any) -> Acquired:
        device = f"virtual:inputs=2,outputs=2,speed={speed},buffer_s=60"
        engine = Acquired(tmp_path, settings=settings, device=device, ring_seconds=ring_seconds)
        started.append(engine)
        return engine

    yield make
    for engine in started:
        engine.end()


def disk(engine: Acquired) -> int:
    """Process id of the disk process."""
    return int(engine.status()["processes"]["disk"]["pid"])


def kill(engine: Acquired) -> None:
    """SIGKILL of the disk process, and another one that writes on."""
    pid = disk(engine)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the end of the disk process")
    restarted = engine.client.event("disk", "disk_restarted")
    assert restarted["jobs"] == [1]
    engine.client.seen.clear()
    engine.more(20 * BLOCK)


def whys(folder: Any) -> list[str]:
    return [line["why"] for line in folder.of("begun")]


def test_killed_twice_in_mid_recording_not_a_frame_is_lost(begin: Callable[..., Acquired]) -> None:
    engine = begin()
    kill(engine)
    kill(engine)
    folder = engine.finished()
    assert (whys(folder), folder.lost) == (["new", "disk", "disk"], [])
    assert len(folder.of("segment_whole")) == 1
    assert folder.manifest["state"] == "finished"


def test_killed_while_it_rolls_over(begin: Callable[..., Acquired]) -> None:
    engine = begin(speed=REPLACED_SPEED, ring_seconds=REPLACED_RING_SECONDS, rollover_seconds=0.1)
    kill(engine)
    folder = engine.finished()
    assert (whys(folder), folder.lost) == (["new", "disk"], [])
    rows = [line["frames"] for line in folder.of("segment_ended")]
    assert set(rows[:-1]) == {4800}


@pytest.mark.parametrize(
    ("format_name", "subtype", "raw"), [("FLAC", "PCM_24", "*.part.flac.rf64"), ("WAV", "FLOAT", "*.part.wav")]
)
def test_killed_while_a_segment_is_made_whole(begin: Callable[..., Acquired], format_name: str, subtype: str, raw: str) -> None:
    """Two growing files: one of them has ended, and is being encoded or summed while the other one grows."""
    files = {"rollover_seconds": 1.0, "format": format_name, "subtype": subtype}
    engine = begin(speed=REPLACED_SPEED, ring_seconds=REPLACED_RING_SECONDS, **files)
    ledger = engine.folder / "ledger.jsonl"

    def finishing() -> bool:
        text = ledger.read_text()
        return text.count('"segment_ended"') > text.count('"segment_whole"')

    pid = disk(engine)
    deadline = time.monotonic() + 20
    while not finishing():
        assert time.monotonic() < deadline, "no segment ended"
    os.kill(pid, signal.SIGKILL)
    engine.client.event("disk", "disk_restarted")
    engine.more(20 * BLOCK)
    folder = engine.finished()
    assert (whys(folder), folder.lost) == (["new", "disk"], [])
    assert [line["index"] for line in folder.of("segment_ended")] == sorted(
        {line["index"] for line in folder.of("segment_ended")}
    )
    assert not list(engine.folder.glob(raw))
    assert not list(engine.folder.glob("*.part.*"))


def test_frozen_for_five_seconds_it_catches_up(begin: Callable[..., Acquired]) -> None:
    engine = begin()
    pid = disk(engine)
    os.kill(pid, signal.SIGSTOP)
    pause(5.0)
    os.kill(pid, signal.SIGCONT)
    engine.more(20 * BLOCK)
    folder = engine.finished()
    assert (disk_of(folder), folder.lost) == ([pid], [])


def disk_of(folder: Any) -> list[int]:
    return [line["pid"] for line in folder.of("begun")]


def test_what_the_ring_cannot_hold_while_it_is_frozen_is_an_overrun_to_the_frame(begin: Callable[..., Acquired]) -> None:
    engine = begin(speed=SPEED)
    pid = disk(engine)
    os.kill(pid, signal.SIGSTOP)
    begun = engine.client.hello(name="listener")["clock"]["frame_position"]
    # Until the ring has gone round one and a half times.
    limit = begun + 1.5 * RING_SECONDS * 48_000
    until(lambda: engine.client.hello(name="listener")["clock"]["frame_position"] > limit, "the ring to go round")
    os.kill(pid, signal.SIGCONT)
    engine.more(20 * BLOCK)
    folder = engine.finished()
    # One for the time in which it was frozen, and maybe more where it is slow to catch up.
    gaps = folder.of("gap")
    assert {(gap["cause"], gap["uncertainty"]) for gap in gaps} == {("overrun", 0)}
    lost = sum(gap["frames"] for gap in gaps)
    assert lost > 0.4 * RING_SECONDS * 48_000
    # That the rows around them are those of their positions `finished` has checked.
    assert sum(end - first for first, end in folder.delivered) + lost == folder.end - folder.first
