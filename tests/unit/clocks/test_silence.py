"""How long something was not heard of. Time is the test's."""

from __future__ import annotations

import pytest

from asmu_engine.clocks import silence as silence_module
from asmu_engine.clocks.silence import LOOK_SECONDS, Silence


class Clock:
    """Stands in for the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(silence_module, "time", clock)
    return clock


def after(clock: Clock, silence: Silence, seconds: float, sign: int, every: float = 0.125) -> float:
    """What it says after so long, asked at these intervals."""
    said = 0.0
    for _ in range(round(seconds / every)):
        clock.now += every
        said = silence.seconds(sign)
    return said


def test_it_grows_until_the_sign_changes(clock: Clock) -> None:
    silence = Silence(7)
    assert after(clock, silence, 2.0, 7) == 2.0
    assert after(clock, silence, 0.125, 8) == 0.0
    assert after(clock, silence, 1.0, 8) == 1.0


def test_what_begins_may_take_its_time(clock: Clock) -> None:
    silence = Silence(0, grace=2.0)
    assert after(clock, silence, 2.0, 0) == 0.0
    assert after(clock, silence, 0.5, 0) == 0.5


def test_who_stood_still_himself_knows_little(clock: Clock) -> None:
    """The whole machine paused, and he may be the first to go on."""
    silence = Silence(0)
    after(clock, silence, 0.25, 0)
    clock.now += 30.0
    assert silence.seconds(0) == 0.25 + LOOK_SECONDS
    assert after(clock, silence, 0.5, 0) == 0.75 + LOOK_SECONDS
    clock.now += 30.0
    assert silence.seconds(1) == 0.0
    assert after(clock, silence, 0.25, 1) == 0.25


def test_it_grows_for_one_who_looks_rarely(clock: Clock) -> None:
    assert after(clock, Silence(0), 30.0, 0, every=10.0) == 3 * LOOK_SECONDS
