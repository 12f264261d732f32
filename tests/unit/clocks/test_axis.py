"""How the frame axis lies on one clock."""

from __future__ import annotations

import random

import pytest

from asmu_engine.clocks.axis import AxisFit

RATE = 48_000.0
BLOCK = 256
SLOPE = 1 / (1 + 37e-6) - 1


class Device:
    """Blocks of a device whose clock runs `ppm` too fast, and what comes in between."""

    def __init__(self, ppm: float, late_ns: float = 0.0) -> None:
        self.rate = RATE * (1 + ppm * 1e-6)
        self.late_ns = late_ns
        self.begun_ns = 7 * 10**9
        self.chance = random.Random(5)

    def run(self, fit: AxisFit, begin: float, end: float, *, uncounted: int = 0, spike: float = 0.0) -> None:
        """Ten samples a second from `begin` to `end` seconds; `uncounted` frames were lost, a share `spike` is 1 s off."""
        for tenth in range(round(begin * 10), round(end * 10)):
            position = int(tenth / 10 * self.rate) // BLOCK * BLOCK
            ns = self.begun_ns + int((position + uncounted) / self.rate * 1e9 + abs(self.chance.gauss(0.0, self.late_ns)))
            if self.chance.random() < spike:
                ns += 10**9 if self.chance.random() < 0.5 else -(10**9)
            fit.add(position, ns)
            if tenth % 10 == 9:
                fit.update()


def slope(fit: AxisFit) -> float:
    assert fit.line is not None
    return fit.line.slope


@pytest.mark.parametrize("ppm", [-150.0, 0.0, 37.0])
def test_an_exact_clock_is_known_after_three_seconds(ppm: float) -> None:
    fit = AxisFit(RATE, lowest=True)
    Device(ppm).run(fit, 0, 3)
    assert fit.line is None
    Device(ppm).run(fit, 3, 5)
    assert slope(fit) == pytest.approx(1 / (1 + ppm * 1e-6) - 1, abs=1e-9)
    assert fit.jumps == []


def test_lateness_of_some_samples_does_not_count() -> None:
    fit = AxisFit(RATE, lowest=True)
    Device(37.0, late_ns=300_000.0).run(fit, 0, 60)
    line = fit.line
    assert line is not None
    assert slope(fit) == pytest.approx(SLOPE, abs=4 * line.slope_uncertainty)
    assert line.slope_uncertainty < 1e-6
    assert line.residual < 100_000, "of ten samples the earliest is on time"
    assert 57e9 < fit.span_ns < 60e9


def test_only_the_last_minutes_count() -> None:
    fit = AxisFit(RATE, lowest=True)
    for second in range(1000):
        fit.add(second * 48_000, second * 1_000_000_000)
    for second in range(1000, 1400):  # the device warms up
        fit.add(second * 48_000, 10**12 + round((second - 1000) * 1_000_000_000 * (1 - 1e-7)))
    fit.update()
    assert fit.span_ns == pytest.approx(299e9)
    assert slope(fit) == pytest.approx(-1e-7, abs=1e-11)


def test_frames_that_were_lost_and_not_counted_begin_a_new_line_of_the_same_rate() -> None:
    fit = AxisFit(RATE, lowest=True)
    device = Device(37.0, late_ns=50_000.0)
    device.run(fit, 0, 60)
    device.run(fit, 60, 66, uncounted=4800)
    assert len(fit.jumps) == 1
    position, late = fit.jumps[0]
    assert 60 * RATE - BLOCK <= position <= 61.1 * RATE
    assert late == pytest.approx(100_000_000, rel=0.01)
    line = fit.line
    assert line is not None
    assert line.slope == pytest.approx(SLOPE, abs=1.5e-6)
    x = (device.rate * 66 - fit.origin[0]) * fit.frame_ns
    due = device.begun_ns + (device.rate * 66 + 4800) / device.rate * 1e9
    assert fit.origin[1] + x + line.at(x) == pytest.approx(due, abs=200_000)


def test_single_seconds_that_are_off_are_passed_over() -> None:
    fit = AxisFit(RATE, lowest=True)
    device = Device(37.0)
    for second in range(60):
        device.run(fit, second, second + 1, uncounted=2400 if second % 7 == 5 else 0)
    assert fit.jumps == []
    assert slope(fit) == pytest.approx(SLOPE, abs=1e-8)


def test_samples_in_the_middle_count_where_errors_have_either_sign() -> None:
    fit = AxisFit(RATE, lowest=False)
    Device(37.0, late_ns=1000.0).run(fit, 0, 60, spike=0.2)
    assert fit.jumps == []
    assert slope(fit) == pytest.approx(SLOPE, abs=1e-7)


def test_after_a_restart_the_rate_is_known_at_once_and_the_time_is_new() -> None:
    fit = AxisFit(RATE, lowest=True)
    Device(37.0).run(fit, 0, 60)
    fit.restart()
    assert fit.line is None
    later = Device(37.0)
    later.begun_ns += 5 * 10**9
    later.run(fit, 100, 102)
    line = fit.line
    assert line is not None
    assert line.slope == pytest.approx(SLOPE, abs=1e-9)
    assert line.slope_uncertainty == pytest.approx(0.5e-6, rel=0.01), "it may have changed meanwhile"
    assert fit.origin[1] + line.at(0.0) == pytest.approx(12 * 10**9 + 100e9, abs=1e9)
