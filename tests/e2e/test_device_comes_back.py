"""A device that is lost under a recording into a folder, and comes back: it is opened again, and every frame is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acquired import BLOCK, RATE, Acquired, axis_error, pause
from folder_account import count
from plain_engine import PlainEngine, add, connect, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Acquired]:
    with Acquired(tmp_path) as engine:
        yield engine


def away(engine: PlainEngine, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The device is gone for so long; the events of that."""
    engine.client.seen.clear()
    engine.client.result("fault", fault="gone")
    lost = engine.client.event("device", "device_lost")
    status = engine.client.result("status")
    assert (status["state"], status["device"]) == ("lost", None)
    pause(seconds)
    engine.client.result("fault", fault="back")
    return lost, engine.client.event("device", "device_back")


def test_device_that_is_back_is_opened_again_and_the_recording_goes_on(engine: Acquired) -> None:
    audio, before = engine.audio(), clock(engine)
    lost, back = away(engine, 0.7)
    assert back["position"] == lost["position"] + back["gap"]
    assert (back["device"]["inputs"], back["device"]["outputs"]) == ([2], [2, 1])
    assert engine.audio() == audio
    engine.more(20 * BLOCK)
    after, status = clock(engine), engine.status()
    assert (status["state"], status["device"]) == ("running", back["device"])

    folder = engine.finished()
    (gap,) = folder.of("gap")
    assert (gap["position"], gap["frames"], gap["cause"]) == (lost["position"], back["gap"], "device_lost")
    assert folder.causes() == {"device_lost": back["gap"]}
    assert gap["filled"]
    # The axis ran on meanwhile: as far as it would have, to what the ledger says of that.
    assert BLOCK <= gap["uncertainty"] <= BLOCK + 2 + back["gap"] * 1e-4 * 1.1
    assert abs(axis_error(before, after)) <= gap["uncertainty"]
    # Both sides are told of in the ledger, by the events' own positions.
    told = {entry["what"]: entry["position"] for entry in folder.of("event")}
    assert (told["device_lost"], told["device_back"]) == (lost["position"], back["position"])


def test_again_and_again_with_frames_that_the_device_loses_in_between(engine: Acquired) -> None:
    injected = gaps = 0
    for frames in (1, 255, 256, 5000):
        engine.client.result("fault", fault="lose", frames=frames)
        injected += frames
        # A device that goes in the very block in which it is to lose something loses nothing.
        until(lambda wanted=injected: engine.status()["counters"]["lost_frames"] == wanted, "the loss")
        engine.more(4 * BLOCK)
        gaps += away(engine, 0.1)[1]["gap"]
        engine.more(4 * BLOCK)
    assert engine.status()["counters"]["lost_frames"] == injected
    folder = engine.finished()
    assert folder.causes() == {"device": injected, "device_lost": gaps}
    assert sum(xrun["frames"] for xrun in folder.of("xrun")) == injected
    assert all(gap["uncertainty"] == 0 for gap in folder.of("gap") if gap["cause"] == "device")


def test_gap_that_is_too_long_to_fill_begins_another_segment(tmp_path: Path) -> None:
    with Acquired(tmp_path, settings={"fill_seconds": 0.2}) as engine:
        _, back = away(engine, 0.5)
        engine.more(4 * BLOCK)
        folder = engine.finished()
    (gap,) = folder.of("gap")
    assert not gap["filled"]
    assert [segment["first"] for segment in folder.of("segment_begun")] == [folder.first, back["position"]]


def test_recording_of_one_file_still_ends_with_its_device(engine: Acquired, tmp_path: Path) -> None:
    file = tmp_path / "take.wav"
    engine.client.edit(add("tap2", "tap", 1), connect("ramp1", "tap2"))
    number = engine.client.result("record", node="tap2", path=str(file))["job"]
    away(engine, 0.1)
    until(lambda: engine.client.result("job", job=number)["state"] == "finished", "the end of the recording")
    assert file.exists()
    engine.more(BLOCK)
    assert engine.finished().causes().keys() == {"device_lost"}


def test_stop_and_start_by_request_are_obeyed_while_the_device_is_gone(engine: Acquired) -> None:
    engine.client.result("fault", fault="gone")
    lost = engine.client.event("device", "device_lost")
    engine.client.result("stop")
    engine.client.result("fault", fault="back")
    pause(0.7)
    assert engine.status()["state"] == "stopped"
    started = until(lambda: start(engine), "the start")
    assert started["position"] > lost["position"] + RATE // 2
    engine.more(BLOCK)
    assert engine.status()["state"] == "running"
    assert engine.finished().causes() == {"device_lost": started["position"] - lost["position"]}


def test_device_is_left_alone_once_nobody_records(engine: Acquired) -> None:
    engine.client.result("fault", fault="gone")
    engine.client.event("device", "device_lost")
    folder = engine.finished()
    assert folder.causes() == {}
    assert count(folder.delivered) == folder.end - folder.first
    engine.client.result("fault", fault="back")
    pause(1.2)
    assert engine.status()["state"] == "lost"
    until(lambda: start(engine), "the start")


def test_engine_that_is_told_to_reopens_without_a_recording() -> None:
    with PlainEngine("lab", reopen=True, device="virtual:speed=4") as engine:
        engine.client.listen()
        engine.client.result("start")
        before = until(lambda: newer(engine, 0), "a block")
        _, back = away(engine, 0.2)
        assert back["gap"] >= 0.2 * 4 * RATE
        after = until(lambda: newer(engine, back["position"]), "a block")
        assert abs(axis_error(before, after, speed=4.0)) <= BLOCK + 2 + back["gap"] * 1e-4


def clock(engine: PlainEngine) -> dict[str, Any]:
    """When a frame was due, as the engine tells whoever says hello."""
    facts: dict[str, Any] = engine.client.hello(name="listener")
    return facts["clock"]


def newer(engine: PlainEngine, position: int) -> dict[str, Any] | None:
    found = clock(engine)
    return found if found["frame_position"] > position else None


def start(engine: PlainEngine) -> dict[str, Any] | None:
    answer = engine.client.ask("start")
    return answer["result"] if answer["type"] == "reply" else None
