"""The fit of the frame axis to monotonic clock, UTC and device clock, from samples of all of them."""

from __future__ import annotations

import random

import pytest

from asmu_engine.clocks.estimator import ClockEstimator
from asmu_engine.clocks.offset import Step
from asmu_engine.protocol.clock import ClockFit

RATE = 48_000.0
BLOCK = 256
AHEAD = 1_767_225_600 * 10**9
ADC = 12_345.678
"""What the device's clock is ahead, s."""


class World:
    """A device that runs `ppm` too fast and calls up to `late_ns` late, in samples ten a second."""

    def __init__(self, ppm: float = 37.0, late_ns: float = 0.0, samplerate: float = RATE) -> None:
        self.estimator = ClockEstimator(samplerate)
        self.rate = samplerate * (1 + ppm * 1e-6)
        self.late_ns = late_ns
        self.begun_ns = 5 * 10**9
        self.ahead_ns = AHEAD
        self.device_ahead: float | None = ADC
        self.chance = random.Random(11)
        self.steps: list[Step] = []

    def due(self, position: int) -> int:
        return self.begun_ns + int(position / self.rate * 1e9)

    def run(self, begin: float, end: float) -> ClockFit | None:
        fit = None
        for tenth in range(round(begin * 10), round(end * 10)):
            position = int(tenth / 10 * self.rate) // BLOCK * BLOCK
            ns = self.due(position) + int(self.chance.uniform(0.0, self.late_ns))
            device_s = 0.0 if self.device_ahead is None else self.due(position) * 1e-9 + self.device_ahead
            step = self.estimator.add(position, ns, ns + self.ahead_ns, device_s)
            if step is not None:
                self.steps.append(step)
            if tenth % 10 == 9:
                fit = self.estimator.fit()
        return fit


def test_nothing_is_said_before_enough_is_known() -> None:
    world = World()
    assert world.estimator.fit() is None
    assert world.run(0, 3) is None
    assert world.run(3, 4) is not None


@pytest.mark.parametrize("ppm", [-300.0, 0.0, 37.0])
@pytest.mark.parametrize("late_ns", [0.0, 200_000.0])
def test_a_minute_gives_the_rate_to_one_part_per_million(ppm: float, late_ns: float) -> None:
    world = World(ppm, late_ns)
    fit = world.run(0, 60)
    assert fit is not None
    assert fit.ppm == pytest.approx(ppm, abs=min(1.0, 4 * fit.ppm_uncertainty + 1e-6))
    assert fit.samplerate == pytest.approx(world.rate, rel=1e-6)
    assert 57 < fit.seconds < 60
    assert fit.ppm_uncertainty < 0.5
    assert fit.position <= 60 * world.rate
    assert abs(fit.monotonic_ns - world.due(fit.position)) <= 4 * fit.uncertainty_ns
    assert fit.utc_ns == fit.monotonic_ns + AHEAD


def test_any_frame_has_a_time_that_is_as_right_as_it_is_said_to_be() -> None:
    world = World(late_ns=100_000.0)
    fit = world.run(0, 60)
    assert fit is not None
    for seconds in (0, 30, 60, 3600):
        position = round(seconds * world.rate)
        utc, uncertainty = fit.utc_at(position)
        assert abs(utc - AHEAD - world.due(position)) < 4 * uncertainty
        assert abs(fit.position_at(utc) - position) <= 1
    assert fit.utc_at(round(3600 * world.rate))[1] > fit.utc_at(fit.position)[1]


def test_a_step_of_utc_moves_utc_and_nothing_else() -> None:
    world = World()
    before = world.run(0, 30)
    world.ahead_ns += 1_500_000_000
    fit = world.run(30, 35)
    assert before is not None
    assert fit is not None
    (step,) = world.steps
    assert (step.ns, step.suspended) == (1_500_000_000, False)
    assert step.position == int(30 * world.rate) // BLOCK * BLOCK
    assert fit.ppm == pytest.approx(37.0, abs=1e-3)
    assert fit.monotonic_ns == pytest.approx(before.monotonic_at(fit.position)[0], abs=2)
    assert fit.utc_ns == fit.monotonic_ns + AHEAD + 1_500_000_000
    at = world.estimator.fit(step.position)
    assert at is not None
    assert at.position == step.position
    assert at.utc_ns == pytest.approx(world.due(step.position) + AHEAD + 1_500_000_000, abs=2)


def test_the_device_clock_is_fitted_too() -> None:
    fit = World().run(0, 30)
    assert fit is not None
    assert fit.device_s == pytest.approx(fit.monotonic_ns * 1e-9 + ADC, abs=1e-6)
    assert fit.device_ppm == pytest.approx(37.0, abs=0.1)


def test_a_device_without_a_clock_changes_nothing() -> None:
    world = World()
    world.device_ahead = None
    fit = world.run(0, 60)
    assert fit is not None
    assert (fit.device_s, fit.device_ppm) == (None, None)
    assert fit.ppm == pytest.approx(37.0, abs=1e-3)


def test_a_device_clock_that_is_wrong_for_a_while_is_passed_over() -> None:
    world = World()
    world.run(0, 30)
    world.device_ahead = None
    world.run(30, 32)
    world.device_ahead = ADC - 1000.0
    world.run(32, 34)
    world.device_ahead = float("inf")
    world.run(34, 35)
    world.device_ahead = ADC
    fit = world.run(35, 60)
    assert fit is not None
    assert fit.ppm == pytest.approx(37.0, abs=1e-3)
    assert fit.device_ppm == pytest.approx(37.0, abs=0.1)
    assert fit.device_s == pytest.approx(fit.monotonic_ns * 1e-9 + ADC, abs=1e-6)


def test_a_device_clock_that_jumps_about_is_not_believed() -> None:
    world = World()
    fit = None
    for second in range(60):
        world.device_ahead = world.chance.uniform(-1000.0, 1000.0)
        fit = world.run(second, second + 1)
    assert fit is not None
    assert (fit.device_s, fit.device_ppm) == (None, None)
    assert fit.ppm == pytest.approx(37.0, abs=1e-3)


def test_a_device_clock_that_ceased_says_nothing_of_later_frames() -> None:
    world = World()
    world.run(0, 30)
    world.device_ahead = None
    fit = world.run(30, 80)
    assert fit is not None
    assert fit.device_s == pytest.approx(fit.monotonic_ns * 1e-9 + ADC, abs=1e-3)
    fit = world.run(80, 100)
    assert fit is not None
    assert fit.device_s is None


def test_a_new_stream_of_the_same_device_knows_the_rate_at_once() -> None:
    world = World(late_ns=50_000.0)
    world.run(0, 60)
    world.estimator.restart(same_device=True)
    assert world.estimator.fit() is None
    world.begun_ns += 3 * 10**9
    fit = world.run(70, 72)
    assert fit is not None
    assert fit.ppm == pytest.approx(37.0, abs=1.5)
    assert abs(fit.monotonic_ns - world.due(fit.position)) < 100_000
    assert world.steps == []


def test_another_device_is_begun_with_anew() -> None:
    world = World()
    world.run(0, 60)
    world.estimator.restart(same_device=False)
    world.rate = RATE * (1 - 80e-6)
    assert world.run(70, 72) is None
    fit = world.run(72, 90)
    assert fit is not None
    assert fit.ppm == pytest.approx(-80.0, abs=1e-2)


def test_a_stall_after_which_the_axis_is_right_again_leaves_the_fit_as_it_was() -> None:
    world = World()
    world.run(0, 30)
    fit = world.run(35, 60)
    assert fit is not None
    assert fit.ppm == pytest.approx(37.0, abs=1e-3)
    assert world.estimator.jumps() == []


def test_frames_that_nobody_counted_are_told_once() -> None:
    world = World()
    world.run(0, 30)
    world.begun_ns += 20_000_000
    world.run(30, 40)
    ((_, late),) = world.estimator.jumps()
    assert late == pytest.approx(20_000_000, abs=10)
    assert world.estimator.jumps() == []


def test_a_device_many_times_as_fast_as_life() -> None:
    fit = World(samplerate=64 * RATE).run(0, 10)
    assert fit is not None
    assert fit.ppm == pytest.approx(37.0, abs=1e-3)
    assert fit.seconds == pytest.approx(8, abs=0.1)


def test_weeks_later_the_fit_is_as_good() -> None:
    world = World(late_ns=20_000.0)
    world.run(0, 5)
    begin = 21 * 86_400
    assert world.run(begin, begin + 400) is not None
    fit = world.estimator.fit()
    assert fit is not None
    assert fit.position > 2**36
    assert fit.ppm == pytest.approx(37.0, abs=0.01)
    assert abs(fit.monotonic_ns - world.due(fit.position)) < 20_000
