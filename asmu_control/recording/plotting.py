"""A picture of a recording of any length, in which no peak hides between two pixels, and no gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from asmu_control.recording.reading import Block, Reading

POINTS: Final = 2000
_GAPS_SHOWN: Final = 500
_GAP_COLOR: Final = "#c8553d"


def envelope(blocks: Iterator[Block], first: int, last: int, points: int) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    """Least and greatest sample of each of `points` slices of frames `first` to `last`, NaN where all are missing.

    Returns
    -------
    tuple
        The frame position at which each slice begins, and both: shape (points, channels).
    """
    edges = np.linspace(first, last, points + 1).astype(np.int64)
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None
    for block in blocks:
        if low is None or high is None:
            low, high = (np.full((points, block.data.shape[1]), np.nan, block.data.dtype) for _ in range(2))
        begin = int(np.searchsorted(edges, block.position, "right")) - 1
        end = int(np.searchsorted(edges, block.position + len(block), "left"))
        local = np.maximum(edges[begin:end] - block.position, 0)
        low[begin:end] = np.fmin(low[begin:end], np.fmin.reduceat(block.data, local))
        high[begin:end] = np.fmax(high[begin:end], np.fmax.reduceat(block.data, local))
    assert low is not None
    assert high is not None
    return edges[:-1], low, high


def draw(
    recording: Reading, axes: Axes | None, names: list[str], blocks: Iterator[Block], first: int, last: int, ylabel: str
) -> Axes:
    """Draw frames `first` to `last` over their UTC, a colour for each channel; what is missing is shaded."""
    if axes is None:
        from matplotlib import pyplot

        axes = pyplot.subplots(figsize=(10, 4), layout="constrained")[1]
    assert axes is not None
    if last - first > 2 * POINTS:
        positions, low, high = envelope(blocks, first, last, POINTS)
        times = recording.times_of(positions)[0]
        for column, name in enumerate(names):
            axes.fill_between(times, low[:, column], high[:, column], step="post", alpha=0.8, linewidth=0.5, label=name)
    elif last > first:
        data = np.concatenate([block.data for block in blocks])
        axes.plot(recording.times(first, last), data, linewidth=0.8, label=names)
    inside = [gap for gap in recording.gaps if gap.position < last and gap.stop > first]
    for place, gap in enumerate(sorted(inside, key=lambda gap: -gap.frames)[:_GAPS_SHOWN]):
        begin, end = recording.times_of([max(gap.position, first), min(gap.stop, last)])[0]
        axes.axvspan(begin, end, color=_GAP_COLOR, alpha=0.3, linewidth=1, label=None if place else "missing")
    axes.set_xlabel("UTC")
    axes.set_ylabel(ylabel)
    if (len(names) > 1 and last > first) or inside:
        axes.legend(loc="upper right")
    return axes
