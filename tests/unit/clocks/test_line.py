"""A straight line through points of which some are wrong."""

from __future__ import annotations

import random

import pytest

from asmu_engine.clocks.line import Point, Prior, fit_line


def points(count: int, slope: float, scatter: float = 0.0, seed: int = 1) -> list[Point]:
    chance = random.Random(seed)
    return [Point(float(x), 5.0 + slope * x + chance.gauss(0.0, scatter)) for x in range(count)]


@pytest.mark.parametrize("count", [2, 3, 7, 8, 100])
def test_points_on_a_line_give_that_line(count: int) -> None:
    line = fit_line(points(count, 0.25), resolution=1e-6)
    assert line.slope == pytest.approx(0.25, abs=1e-12)
    assert line.at(1000.0) == pytest.approx(255.0, abs=1e-9)
    assert line.residual < 1e-9
    assert line.uncertainty_at(line.mean_x) == pytest.approx(1e-6 / count**0.5, rel=2.0)


def test_uncertainties_are_those_of_least_squares() -> None:
    x = range(50)
    spread = sum((one - 24.5) ** 2 for one in x)
    errors = []
    for seed in range(200):
        line = fit_line(points(50, 0.25, scatter=1.0, seed=seed), resolution=1e-6)
        errors.append((line.slope - 0.25) / line.slope_uncertainty)
        assert line.slope_uncertainty == pytest.approx(spread**-0.5, rel=0.8)
        assert line.uncertainty_at(line.mean_x) == line.uncertainty
        far = (line.uncertainty**2 + (100 * line.slope_uncertainty) ** 2) ** 0.5
        assert line.uncertainty_at(line.mean_x + 100) == pytest.approx(far)
    assert 0.85 < (sum(error * error for error in errors) / len(errors)) ** 0.5 < 1.15


def test_a_seventh_of_the_points_may_be_anywhere() -> None:
    true = points(70, 0.25, scatter=0.01)
    wrong = [Point(x, y + 1e6 * (1 + x)) if index % 7 == 3 else Point(x, y) for index, (x, y) in enumerate(true)]
    line = fit_line(wrong, resolution=1e-6)
    assert line.slope == pytest.approx(0.25, abs=5 * line.slope_uncertainty)
    assert line.slope_uncertainty < 2e-4
    assert line.residual < 0.03


def test_what_is_known_of_the_slope_counts_as_far_as_it_is_surer() -> None:
    prior = Prior(slope=0.5, uncertainty=1e-3, scatter=1.0)
    alone = fit_line([Point(10.0, 3.0)], resolution=1e-6, prior=prior)
    assert (alone.slope, alone.at(12.0), alone.slope_uncertainty, alone.uncertainty) == (0.5, 4.0, 1e-3, 1.0)
    few = fit_line(points(4, 0.25), resolution=1e-6, prior=prior)
    assert few.slope == pytest.approx(0.5, abs=1e-3), "four points that scatter by 1 say nothing beside it"
    many = fit_line(points(10_000, 0.25, scatter=1.0), resolution=1e-6, prior=prior)
    assert many.slope == pytest.approx(0.25, abs=1e-4), "ten thousand do"


def test_residuals_that_resemble_their_neighbours_make_it_less_sure() -> None:
    chance = random.Random(3)
    wander, walking = 0.0, []
    for x in range(300):
        wander = 0.9 * wander + chance.gauss(0.0, 1.0)
        walking.append(Point(float(x), wander))
    shuffled = [point.y for point in walking]
    chance.shuffle(shuffled)
    sure = fit_line([Point(float(x), y) for x, y in enumerate(shuffled)], resolution=1e-6)
    assert fit_line(walking, resolution=1e-6).slope_uncertainty > 2.5 * sure.slope_uncertainty
