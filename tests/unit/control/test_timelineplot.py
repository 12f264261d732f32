"""The picture of a verdict: what is drawn where, and that a single lost frame is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib.figure
import pytest

from asmu_control.timelineplot import draw_timeline
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.verdict import ClockFacts, Loss, Problem, SegmentFacts, Verdict

HOUR = 48_000 * 3600

VERDICT = Verdict(
    path="/data/take",
    outcome="losses",
    state="finished",
    reason="",
    samplerate=48_000.0,
    channels=2,
    first=2**33,
    position=2**33 + 10 * HOUR,
    frames=10 * HOUR,
    delivered=9 * HOUR - 1,
    lost={"host": HOUR, "device": 1},
    uncertainty=0,
    xruns=0,
    uncounted=0,
    dropped=0,
    missing=0,
    segments=(
        SegmentFacts(1, "a.wav", 2**33, 4 * HOUR, 4 * HOUR, "whole"),
        SegmentFacts(2, "b.wav", 2**33 + 5 * HOUR, 5 * HOUR, 5 * HOUR, "whole"),
    ),
    losses=(Loss(2**33 + 4 * HOUR, HOUR, "host"), Loss(2**33 + 7 * HOUR, 1, "device", filled=True)),
    problems=(),
    begin_utc="2026-01-01T00:00:00.000Z",
    end_utc="2026-01-01T10:00:00.000Z",
    clock=None,
    bytes=0,
    hashed=True,
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Draws, and gives the axes."""

    def draw(verdict: Verdict) -> list[Any]:
        kept: list[Any] = []
        save = matplotlib.figure.Figure.savefig

        def keep(figure: Any, path: Any, **options: Any) -> None:
            kept.append(figure)
            save(figure, path, **options)

        monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
        draw_timeline(verdict, tmp_path / "plot.png")
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
        return list(kept[0].axes)

    return draw


def bars(axes: Any, row: int) -> dict[str, list[tuple[float, float]]]:
    """By what they stand for, where the bars of a row begin, and how long they are."""
    found: dict[str, list[tuple[float, float]]] = {}
    for bar in axes.collections:
        box = bar.get_paths()[0].get_extents()
        if round((box.y0 + box.y1) / 2) == row:
            found.setdefault(bar.get_label(), []).append((round(box.x0, 6), round(box.width, 6)))
    return found


def test_segments_and_losses_stand_at_their_hours(drawn) -> None:
    (axes,) = drawn(VERDICT)
    assert axes.get_xlabel() == "hours from 2026-01-01T00:00:00.000Z"
    assert list(bars(axes, 0).values()) == [[(0.0, 4.0)], [(5.0, 5.0)]]
    lost = bars(axes, 1)
    assert lost["host"] == [(4.0, 1.0)]
    assert lost["device"] == [(7.0, pytest.approx(10 / 1500, abs=1e-6))]  # one frame, as wide as can be seen


def test_damage_and_clocks_are_drawn_too(drawn) -> None:
    damaged = Problem("damaged", "file_missing", "gone", position=2**33 + 2 * HOUR, frames=HOUR)
    clock = ClockFacts(
        2, 37.0, 0.1, 36.0, 37.0, 900.0, ((2**33 + HOUR, 2.5),), ((2**33, 36.0, 900.0), (2**33 + HOUR, 37.0, 800.0))
    )
    above, rate, residual = drawn(replace(VERDICT, problems=(damaged,), clock=clock))
    assert list(bars(above, 2).values()) == [[(2.0, 1.0)]]
    assert [list(line) for line in rate.lines[0].get_xydata()] == [[0.0, 36.0], [1.0, 37.0]]
    assert [list(line) for line in residual.lines[0].get_xydata()] == [[0.0, 0.9], [1.0, 0.8]]
    assert rate.texts[0].get_text() == "UTC +2.5 s"


def test_nothing_recorded_and_nothing_known_can_be_drawn(drawn) -> None:
    nothing = replace(VERDICT, samplerate=0.0, first=None, position=None, frames=0, segments=(), losses=(), begin_utc="")
    (axes,) = drawn(nothing)
    assert axes.get_xlabel() == "frames"


def test_a_folder_that_is_not_there(tmp_path) -> None:
    with pytest.raises(DiskError, match="cannot write"):
        draw_timeline(VERDICT, tmp_path / "none" / "plot.png")
