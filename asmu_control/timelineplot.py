"""A picture of a verdict: segments and what is missing over time, and how the device's clock ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.verdict import Verdict

_INK: Final = "#1b3a4b"
_QUIET: Final = "#9fb3bf"
_SEGMENT: Final = {"whole": "#7fb069", "ended": "#f2c14e", "growing": "#f2c14e", "dropped": "#d9d9d9"}
_CAUSE: Final = {
    "device": "#c8553d", "stopped": "#8d99ae", "device_lost": "#9b2226", "restart": "#ee9b00", "host": "#6a4c93",
    "overrun": "#ca6702", "disk": "#bb3e03", "absent": "#adb5bd", "crash": "#ae2012", "unknown": "#000000",
}  # fmt: skip
_MISSING: Final = "#ff006e"
_LEAST_RANGE: Final = 2.0
"""Of the clock's curves, ppm and µs."""
_SHORTEST: Final = 1 / 1500
"""Of the picture's width: so wide is drawn what is shorter, so that a single lost frame in a week is seen."""


def draw_timeline(verdict: Verdict, path: Path) -> None:
    """Write the picture of a verdict, as PNG, PDF or SVG by its name.

    Above, the segments, what was lost by cause, and in pink what nothing accounts for; below, the rate of the device's clock and
    what its fits left over, where the recording has any.

    Raises
    ------
    DiskError
        ``file_unwritable``: it cannot be written there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clock = verdict.clock
    figure = Figure(figsize=(11, 6 if clock else 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3 if clock else 1, 1, sharex=True, squeeze=False)[:, 0]
    _timeline(axes[0], verdict)
    if clock is not None:
        hours = [_x(verdict, position) for position, _, _ in clock.course]
        _curve(axes[1], hours, [ppm for _, ppm, _ in clock.course], "clock, ppm")
        _curve(axes[2], hours, [residual / 1000 for _, _, residual in clock.course], "residual, µs")
        for position, seconds in clock.steps:
            for each in axes[1:]:
                each.axvline(_x(verdict, position), color=_MISSING, linewidth=1)
            where = (_x(verdict, position), 0.9)
            axes[1].annotate(
                f"UTC {seconds:+.3g} s", where, (3, 0), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=7
            )
    begin = f" from {verdict.begin_utc}" if verdict.begin_utc else ""
    axes[-1].set_xlabel(f"{_unit(verdict)}{begin}")
    title = f"{Path(verdict.path).name}: {verdict.outcome}, {verdict.delivered} of {verdict.frames} frames delivered"
    figure.suptitle(title, color=_INK)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise DiskError(f"cannot write {path}: {error.strerror}", code="file_unwritable", where=str(path)) from error


def _timeline(axes: Any, verdict: Verdict) -> None:
    least = (_x(verdict, verdict.position or 0) or 1.0) * _SHORTEST
    named: set[str] = set()

    def bar(row: int, position: int, frames: int, colour: str, name: str) -> None:
        begin, end = _x(verdict, position), _x(verdict, position + frames)
        label = "" if name in named else name
        named.add(name)
        axes.broken_barh([(begin, max(end - begin, least))], (row - 0.4, 0.8), color=colour, label=label, linewidth=0)

    for segment in verdict.segments:
        bar(0, segment.first, segment.frames, _SEGMENT[segment.state], f"{segment.state} segment")
    for segment in verdict.segments[1:]:
        axes.plot([_x(verdict, segment.first)] * 2, (-0.4, 0.4), color="white", linewidth=0.5)
    for loss in verdict.losses:
        bar(1, loss.position, loss.frames, _CAUSE.get(loss.cause, _INK), loss.cause)
    for problem in verdict.problems:
        if problem.severity == "damaged" and problem.position is not None and problem.frames:
            bar(2, problem.position, problem.frames, _MISSING, "damaged")
    axes.set_yticks((0, 1, 2), ("segments", "lost", "damaged"))
    axes.set_ylim(2.6, -0.6)
    axes.set_xlim(0, (_x(verdict, verdict.position or 0) or 1.0) * 1.002)
    axes.tick_params(colors=_INK)
    if named:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, frameon=False)


def _curve(axes: Any, x: list[float], y: list[float], label: str) -> None:
    axes.plot(x, y, color=_INK, linewidth=1, marker="." if len(x) < 50 else None)
    axes.set_ylabel(label, color=_INK)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    if y and max(y) - min(y) < _LEAST_RANGE:
        # A clock that runs evenly is to look even.
        middle = (max(y) + min(y)) / 2
        axes.set_ylim(middle - _LEAST_RANGE / 2, middle + _LEAST_RANGE / 2)
    axes.grid(color=_QUIET, linewidth=0.3)
    axes.tick_params(colors=_INK)


def _x(verdict: Verdict, position: int) -> float:
    """Where a frame position is in the picture."""
    return (position - (verdict.first or 0)) / _per_unit(verdict)


def _per_unit(verdict: Verdict) -> float:
    return (verdict.samplerate or 1.0) * {"hours": 3600.0, "seconds": 1.0, "frames": 1.0}[_unit(verdict)]


def _unit(verdict: Verdict) -> str:
    if not verdict.samplerate:
        return "frames"
    return "hours" if verdict.frames > 3600 * verdict.samplerate else "seconds"
