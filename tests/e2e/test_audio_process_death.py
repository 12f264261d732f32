"""The audio process dies, is frozen, or crashes in a plugin's code under a recording into a folder: it is back at once, the
recording goes on, and every frame that is missing is accounted for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acquired import BLOCK, RATE, Acquired, axis_error, pause
from plain_engine import add, alive, connect, until

pytestmark = pytest.mark.e2e

BACK_SECONDS = 2.0
"""The audio process is back within so long, as its own gap tells: on the axis, not by this test's clock."""
MOMENT_SECONDS = 0.8
"""A process that stood still for no longer than this was not silent for long enough to be given up."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Acquired]:
    with Acquired(tmp_path) as engine:
        yield engine


def clock(engine: Acquired) -> dict[str, Any]:
    facts: dict[str, Any] = engine.client.hello(name="listener")
    return facts["clock"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_recording_goes_on_in_the_next_process(engine: Acquired, how: signal.Signals) -> None:
    before, patch = clock(engine), engine.client.result("patch")
    os.kill(engine.audio(), how)
    ended = engine.client.event("engine", "audio_ended")
    restarted = engine.client.event("engine", "audio_restarted")
    assert ended["status"] == f"signal {how.value}"
    engine.more(20 * BLOCK)
    assert engine.client.result("patch") == patch
    after = clock(engine)
    folder = engine.finished()
    (gap,) = folder.of("gap")
    assert gap["cause"] == "restart"
    assert gap["position"] + gap["frames"] == restarted["position"] == ended["position"] + restarted["gap"]
    # A process that dies between a tap and its counter has delivered one block more than it has counted.
    assert gap["position"] - ended["position"] in (0, BLOCK)
    assert abs(axis_error(before, after)) <= gap["uncertainty"]


def test_three_deaths_in_a_row_are_three_gaps(engine: Acquired) -> None:
    begins, gaps = [], []
    for _ in range(3):
        engine.client.seen.clear()
        os.kill(engine.audio(), signal.SIGKILL)
        restarted = engine.client.event("engine", "audio_restarted")
        begins.append(restarted["position"])
        gaps.append(restarted["gap"])
        engine.more(20 * BLOCK)
    assert min(gaps) < BACK_SECONDS * RATE  # whatever else the machine had to do at one time or another
    folder = engine.finished()
    assert [gap["cause"] for gap in folder.of("gap")] == ["restart"] * 3
    assert [gap["position"] + gap["frames"] for gap in folder.of("gap")] == begins


def test_process_that_is_frozen_for_five_seconds_is_replaced_meanwhile(engine: Acquired) -> None:
    before, audio = clock(engine), engine.audio()
    os.kill(audio, signal.SIGSTOP)
    frozen = time.monotonic()
    lost = engine.client.event("device", "device_lost")
    back = engine.client.event("device", "device_back")
    until(lambda: time.monotonic() > frozen + 5.0, "five seconds")
    if alive(audio):
        os.kill(audio, signal.SIGCONT)
    until(lambda: not alive(audio), "the end of the frozen process")
    engine.more(20 * BLOCK)
    after = clock(engine)
    folder = engine.finished()
    (gap,) = folder.of("gap")
    assert gap["cause"] == "device_lost"
    assert gap["position"] + gap["frames"] == back["position"] == lost["position"] + back["gap"]
    assert gap["position"] - lost["position"] in (0, BLOCK)
    assert abs(axis_error(before, after)) <= gap["uncertainty"]


def frozen_for_a_moment(path: Path) -> tuple[float, dict[str, int]]:
    """For how long it stood still at the most, until it gave frames again, and what that cost."""
    path.mkdir()
    with Acquired(path, device="virtual:inputs=2,outputs=2,buffer_s=2") as engine:
        audio = engine.audio()
        before = time.monotonic()
        os.kill(audio, signal.SIGSTOP)
        pause(0.3)
        position = clock(engine)["frame_position"]
        with contextlib.suppress(ProcessLookupError):  # where that took long enough for another one to have its place
            os.kill(audio, signal.SIGCONT)
        until(lambda: clock(engine)["frame_position"] > position, "a block")
        seconds = time.monotonic() - before
        engine.more(RATE // 2)
        return seconds, engine.finished().causes()


def test_process_that_is_frozen_for_a_moment_catches_up_and_loses_nothing(tmp_path: Path) -> None:
    for attempt in range(5):
        seconds, lost = frozen_for_a_moment(tmp_path / str(attempt))
        if seconds < MOMENT_SECONDS:
            assert lost == {}
            return
    pytest.fail("it never stood still for a moment only")


FATAL = '''
import ctypes
from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.rt.acore import AEffect


class AFatal(AEffect):
    """Lets its input pass until it is fatal."""

    kind = "fatal"
    parameters = (Parameter("fatal", default=0.0),)

    def process(self, inputs, outputs):
        if self.fatal:
            ctypes.string_at(1)
        outputs[:] = inputs
'''


def test_recording_outlives_a_plugin_that_is_left_out(tmp_path: Path) -> None:
    with Acquired(tmp_path, plugin=FATAL) as engine:
        engine.client.edit(add("bad", "fatal", 1, 1), connect("ramp1", "bad"), connect("bad", "out", port=1))

        def fatal() -> bool:
            # The process may be dead before it has answered that the edit holds: then it is taken back, and given once more.
            edit = {"op": "set", "node": "bad", "parameters": {"fatal": 1.0}}
            return engine.client.ask("transaction", edits=[edit])["type"] == "reply"

        until(fatal, "the edit")
        left_out = engine.client.event("node", "left_out")
        until(lambda: engine.status()["state"] == "running", "the device")
        engine.more(RATE // 4)
        assert engine.status()["processes"]["audio"]["restarts"] >= 3
        folder = engine.finished()
        assert set(folder.causes()) == {"restart"}
        told = [entry for entry in folder.of("event") if entry["what"] == "left_out"]
        assert [entry["facts"]["node"] for entry in told] == ["bad"]
        assert (left_out["node"], left_out["crashes"]) == ("bad", 3)
