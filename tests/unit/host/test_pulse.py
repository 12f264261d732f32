"""When the host takes a device that does not call for lost. Time is the test's."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asmu_engine.clocks import silence
from asmu_engine.host.pulse import Pulse
from asmu_engine.shm.status import StatusPage

RATE = 48000.0


class Clock:
    """Stands in for the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Page:
    """Counters, all of which are `blocks`."""

    blocks = 7

    def counter(self, name: str) -> int:
        return self.blocks


class Run:
    """A device of these facts that has just been started; `early` blocks came before anybody knew that it was."""

    def __init__(self, clock: Clock, blocksize: int = 512, early: int = 0, **facts: Any) -> None:
        self.clock = clock
        self.page = Page()
        self.pulse = Pulse(cast(StatusPage, self.page), RATE, blocksize)
        self.pulse.starts()
        self.page.blocks += early
        self.pulse.begin({"paced": True, "speed": 1.0, "input_latency": 0.0, "output_latency": 0.0, **facts})

    def lost_after(self) -> float:
        """Seconds of silence after which it is lost, to an eighth; infinity where it is not within a minute."""
        begun = self.clock.now
        while self.clock.now < begun + 60.0:
            if self.pulse.silence():
                return self.clock.now - begun
            self.clock.now += 0.125
        return float("inf")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(silence, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({}, 1.0),
        ({"blocksize": 12_000}, 2.0),
        ({"blocksize": 12_000, "speed": 2.0}, 1.0),
        ({"input_latency": 0.5, "output_latency": 0.25}, 1.5),
        ({"input_latency": 0.5, "output_latency": 1.5}, 2.5),
        ({"paced": False}, float("inf")),
    ],
)
def test_a_second_or_eight_blocks_and_as_long_as_its_buffers_last(clock: Clock, facts: dict[str, Any], seconds: float) -> None:
    run = Run(clock, **facts)
    run.page.blocks += 1
    run.pulse.silence()
    assert run.lost_after() == seconds + 0.125  # it is longer than that


def test_what_has_not_called_yet_may_take_two_seconds_more(clock: Clock) -> None:
    assert Run(clock).lost_after() == 3.125


def test_a_block_before_the_start_was_answered_is_a_beginning(clock: Clock) -> None:
    assert Run(clock, early=1).lost_after() == 1.125
