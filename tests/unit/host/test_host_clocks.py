"""The host's account of the clocks: what it learns from the counters page and from events, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asmu_engine.host.clocks import FIT_SECONDS, LOOK_SECONDS, Clocks
from asmu_engine.host.loop import Loop
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.topics import check_event
from asmu_engine.shm.status import StatusPage, create_status

RATE = 48_000.0
BLOCK = 480
AHEAD = 1_767_225_600 * 10**9
DEVICE = {"kind": "virtual", "host_api": "virtual", "name": "virtual", "paced": True, "speed": 1.0}


class Timers(Loop):
    """A loop that runs as fast as it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[float, Callable[[], None]] = {}

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls[seconds] = call


class Rig:
    """An engine's page, written block by block, and the events of which the clocks learn."""

    def __init__(self, page: StatusPage) -> None:
        self.loop = Timers()
        self.page = page
        self.events: list[dict[str, Any]] = []
        self.fits: list[tuple[ClockFit, int]] = []
        self.clocks = Clocks(self.loop, page, RATE, BLOCK, self.publish)
        self.clocks.on_fit = lambda fit, step_ns: self.fits.append((fit, step_ns))
        self.now_ns = 9 * 10**9
        self.position = 0
        self.ahead_ns = AHEAD
        self.ppm = 37.0

    def publish(self, topic: str, fields: dict[str, Any]) -> None:
        check_event({"v": 1, "topic": topic, "number": 1, **fields})
        self.events.append(fields)

    def started(self, **device: Any) -> None:
        self.clocks.happened("device", {"event": "started", "position": self.position, "device": {**DEVICE, **device}})

    def ended(self, state: str = "stopped") -> None:
        self.clocks.happened("engine", {"event": "state", "state": state, "reason": "", "position": self.position})

    def run(self, seconds: float, *, late_ns: int = 0) -> None:
        """Blocks at the device's pace, looked at as the loop would."""
        for tenth in range(round(seconds * 10)):
            for _ in range(10):
                due = self.now_ns + late_ns
                self.page.stamp(self.position, due, due + self.ahead_ns, due * 1e-9)
                self.position += BLOCK
                self.now_ns += round(BLOCK / RATE / (1 + self.ppm * 1e-6) * 1e9)
            self.loop.calls[LOOK_SECONDS]()
            if tenth % 10 == 9:
                self.loop.calls[FIT_SECONDS]()


@pytest.fixture
def rig() -> Iterator[Rig]:
    segment = create_status("clocks")
    page = StatusPage.attach("clocks")
    rig = Rig(page)
    yield rig
    rig.loop.close()
    page.close()
    segment.unlink()
    segment.close()


def test_a_stream_is_fitted_once_a_second_from_its_first_seconds_on(rig: Rig) -> None:
    rig.run(2)
    assert (rig.clocks.fit, rig.fits) == (None, [])
    rig.started()
    rig.run(20)
    assert 15 <= len(rig.fits) <= 18
    assert rig.clocks.fit is rig.fits[-1][0]
    assert {step_ns for _, step_ns in rig.fits} == {0}
    assert rig.clocks.fit.ppm == pytest.approx(37.0, abs=0.1)
    assert rig.clocks.fit.utc_ns - rig.clocks.fit.monotonic_ns == AHEAD
    assert rig.events == []


def test_a_device_that_keeps_no_time_has_no_fit(rig: Rig) -> None:
    rig.started()
    rig.run(10)
    rig.ended()
    assert rig.clocks.fit is not None, "of a stream that has ended the last one stays"
    rig.started(kind="offline", paced=False)
    rig.run(10)
    assert rig.clocks.fit is None


def test_utc_that_is_set_is_told_with_its_position_and_noted_at_once(rig: Rig) -> None:
    rig.started()
    rig.run(10)
    begin = rig.position
    rig.ahead_ns -= 1_500_000_000
    noted = len(rig.fits)
    rig.run(0.2)
    (event,) = rig.events
    assert event == {"event": "clock_step", "position": begin + 9 * BLOCK, "seconds": -1.5, "suspended": False}
    ((fit, step_ns),) = rig.fits[noted:]
    assert step_ns == -1_500_000_000
    assert fit.position == event["position"]
    assert fit.utc_ns - fit.monotonic_ns == AHEAD - 1_500_000_000
    rig.run(5)
    assert len(rig.events) == 1
    assert {step_ns for _, step_ns in rig.fits[noted + 1 :]} == {0}


def test_a_machine_that_slept_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = 0
    monkeypatch.setattr("asmu_engine.host.clocks.slept", lambda: asleep)
    rig.started()
    rig.run(10)
    asleep = 3600 * 10**9
    rig.ahead_ns += asleep
    rig.run(1)
    (event,) = rig.events
    assert (event["seconds"], event["suspended"]) == (3600.0, True)


@pytest.mark.parametrize("how", ["audio_restarted", "device_back"])
def test_a_stream_that_begins_again_elsewhere_on_the_axis_keeps_its_rate(rig: Rig, how: str) -> None:
    rig.started()
    rig.run(30)
    if how == "device_back":
        rig.ended("lost")
        rig.position += 1
        rig.run(1)
        assert rig.clocks.fit is not None
    rig.position += 100_000
    rig.now_ns += 1_000_000_000  # not what the frames would take
    topic = "engine" if how == "audio_restarted" else "device"
    stale = rig.fits[-1][0]
    rig.loop.calls[LOOK_SECONDS]()
    rig.clocks.happened(topic, {"event": how, "position": rig.position, "gap": 100_000})
    rig.loop.calls[LOOK_SECONDS]()  # the page still shows the last block of the stream before
    rig.run(3)
    fit = rig.clocks.fit
    assert fit is not None
    assert fit is not stale
    assert fit.position > rig.position - 2 * RATE
    assert fit.ppm == pytest.approx(37.0, abs=1.0)
    when = rig.now_ns - (rig.position - fit.position) / RATE * 1e9 / (1 + 37e-6)
    assert abs(fit.monotonic_ns - when) < 10_000
    assert rig.events == []


def test_frames_that_a_sound_device_lost_without_a_word_are_told_as_unsure(rig: Rig) -> None:
    rig.started(kind="portaudio", host_api="ALSA", name="Interface")
    rig.run(20)
    rig.run(6, late_ns=100_000_000)
    (event,) = rig.events
    assert (event["event"], event["flags"], event["lost"]) == ("xrun", [], 0)
    assert event["uncertainty"] == pytest.approx(4800, abs=2)
    assert 20 * RATE - BLOCK <= event["position"] <= 21.1 * RATE


@pytest.mark.parametrize(("kind", "late_ns"), [("virtual", 100_000_000), ("portaudio", 40_000_000)])
def test_others_count_what_they_lose_and_call_back_as_they_like(rig: Rig, kind: str, late_ns: int) -> None:
    rig.started(kind=kind)
    rig.run(20)
    rig.run(6, late_ns=late_ns)
    assert rig.events == []


def test_before_the_first_block_nothing_is_taken_for_a_time(rig: Rig) -> None:
    rig.started()
    for _ in range(5):
        rig.loop.calls[LOOK_SECONDS]()
    rig.run(10)
    assert rig.events == []
    assert rig.clocks.fit is not None
    assert rig.clocks.fit.ppm == pytest.approx(37.0, abs=0.1)


def test_utc_that_was_set_while_a_stream_was_away_is_told_with_the_next_fit(rig: Rig) -> None:
    rig.started()
    rig.run(10)
    rig.ended("lost")
    rig.ahead_ns += 2_500_000_000
    rig.started()
    rig.run(0.5)
    assert [event["event"] for event in rig.events] == ["clock_step"]
    rig.run(10)
    assert [step_ns for _, step_ns in rig.fits if step_ns] == [2_500_000_000]
