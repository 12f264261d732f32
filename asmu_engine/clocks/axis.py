"""How the frame axis lies on one clock: the newest minutes of it, in bins of a second."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final, NamedTuple

from asmu_engine.clocks.line import Line, Point, Prior, fit_line

_BINS: Final = 300
"""Five minutes: long enough for a hundredth of a part per million, short enough to follow a clock that warms up."""
_LEAST_BINS: Final = 3
_JUMP_BINS: Final = 3
"""Bins in a row that are off by the same mean that the axis jumped against the clock."""
_SURE_BINS: Final = 10
"""A line through fewer does not know its own uncertainty well enough to tell others that they are off."""
_LOST_BINS: Final = 10
"""After so many in a row that are off in whatever way the line is worth nothing."""
_SIGMAS: Final = 6.0
_LEAST_JUMP_NS: Final = 100_000.0
_RESOLUTION_NS: Final = 1.0
_AGING: Final = 0.5e-6
"""By how much a device's rate may have changed from one stretch of the axis to the next: some kelvins of a crystal."""


class Jump(NamedTuple):
    """From about `position` on frames are later than was expected by `ns`."""

    position: int
    ns: float


class AxisFit:
    """Told of frame positions and times, it draws a line through them.

    Of the times in each second of frames one counts. Where lateness is the only error (`lowest`), that is the one that is
    earliest against the nominal rate; else it is the one in the middle. Single bins that are off are passed over. When the axis
    jumps for good, which is a loss that nobody counted, the line begins anew behind it, with what it knew of the rate.

    Parameters
    ----------
    samplerate
        Nominal, frames a second of the clock.
    lowest
        Whether times are late, but never early.

    Attributes
    ----------
    line
        In nanoseconds beyond the nominal rate over nominal nanoseconds since `origin`; None before enough is known.
    origin
        A frame position and its time, ns.
    span_ns
        Length of the stretch that the line was drawn through, ns.
    jumps
        Where the axis jumped against the clock since it was restarted; whoever reads them may take them out.
    """

    line: Line | None
    jumps: list[Jump]
    _bin: int | None

    def __init__(self, samplerate: float, *, lowest: bool) -> None:
        self._frame_ns = 1e9 / samplerate
        self._bin_frames = max(1, round(samplerate))
        self._lowest = lowest
        self._least_jump = max(_LEAST_JUMP_NS, 2 * self._frame_ns)
        self._prior: Prior | None = None
        self.origin = (0, 0)
        self._begin()

    def add(self, position: int, ns: int) -> None:
        """A frame position, beyond all before it, and its time."""
        if self._bin is None:
            self.origin = (position, ns)
        x = (position - self.origin[0]) * self._frame_ns
        number = position // self._bin_frames
        if self._bin is not None and number != self._bin:
            self._close_bin()
        self._bin = number
        self._in_bin.append(Point(x, ns - self.origin[1] - x))

    def restart(self) -> None:
        """Another stretch of the same device's axis begins: what was learnt of the rate is kept, where the line lies is not."""
        self._remember()
        self._begin()

    def update(self) -> None:
        """Draw the line anew; costs a millisecond."""
        points = list(self._points)
        if len(points) < (1 if self._prior else _LEAST_BINS):
            return
        self.line = fit_line(points, _RESOLUTION_NS, self._prior)
        self.span_ns = points[-1].x - points[0].x

    @property
    def newest(self) -> float:
        """Nominal nanoseconds since `origin` of the newest bin that is complete."""
        return self._points[-1].x if self._points else 0.0

    @property
    def frame_ns(self) -> float:
        """Nominal nanoseconds of a frame."""
        return self._frame_ns

    def _begin(self) -> None:
        self._points: deque[Point] = deque(maxlen=_BINS)
        self._suspects: list[tuple[Point, float]] = []
        self._bin = None
        self._in_bin: list[Point] = []
        self.line = None
        self.span_ns = 0.0
        self.jumps = []

    def _close_bin(self) -> None:
        points, self._in_bin = self._in_bin, []
        if self._lowest:
            point = min(points, key=lambda one: one.y)
        else:
            middle = median(one.y for one in points)
            point = min(points, key=lambda one: abs(one.y - middle))
        if self.line is None or len(self._points) < _SURE_BINS:
            self._points.append(point)
            return
        off = point.y - self.line.at(point.x)
        if abs(off) <= self._tolerance(self.line, point.x):
            self._suspects.clear()
            self._points.append(point)
            return
        self._suspects.append((point, off))
        if _alike([off for _, off in self._suspects[-_JUMP_BINS:]]) or len(self._suspects) >= _LOST_BINS:
            self._jump()

    def _tolerance(self, line: Line, x: float) -> float:
        return self._least_jump + _SIGMAS * (line.residual + line.uncertainty_at(x))

    def _jump(self) -> None:
        """The line begins anew with the bins behind the jump; positions go on to count from the same origin."""
        self._remember()
        points = [point for point, _ in self._suspects[-_JUMP_BINS:]]
        first, off = self._suspects[-len(points)]
        self.jumps.append(Jump(self.origin[0] + round(first.x / self._frame_ns), off))
        self._points.clear()
        self._points.extend(points)
        self._suspects.clear()
        self.line = None
        self.update()

    def _remember(self) -> None:
        line = self.line
        if line is not None and (self._prior or len(self._points) >= _SURE_BINS):
            uncertainty = (line.slope_uncertainty**2 + _AGING**2) ** 0.5
            self._prior = Prior(line.slope, uncertainty, max(line.residual, _RESOLUTION_NS))


def _alike(offs: list[float]) -> bool:
    """Whether deviations are those of one jump: enough of them, on one side, and less apart than they are off."""
    return len(offs) >= _JUMP_BINS and min(offs) * max(offs) > 0 and max(offs) - min(offs) < min(map(abs, offs)) / 2
