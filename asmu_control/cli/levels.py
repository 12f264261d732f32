"""Levels of a tap, from its ring, and how they look in a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.protocol.errors import AsmuError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.text import Text

    from asmu_control.existingtap import TapReader

_AGAIN_SECONDS: Final = 1.0
_FLOOR_DB: Final = -60.0
"""Lower end of the bars, dB re full scale."""
_BAR: Final = 6
_CELL: Final = 18
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_CLIPPED: Final = 1.0 - 2**-15
"""Peaks from here on have no room left in 16 bits."""


class Levels:
    """Peaks of every channel since they were last asked for. Where there is no ring to read, such as far away, there are none.

    Parameters
    ----------
    open_reader
        Makes a reader of the tap that begins with what comes next; asked again, a second later, where that did not work.
    """

    def __init__(self, open_reader: Callable[[], TapReader]) -> None:
        self._open = open_reader
        self._reader: TapReader | None = None
        self._next_try = 0.0

    def take(self) -> NDArray[np.float32] | None:
        """The largest magnitude of each channel since the last call, full scale 1.0, shape (channels,); None without any."""
        import numpy as np

        reader = self._reader or self._attach()
        if reader is None:
            return None
        peaks: NDArray[np.float32] | None = None
        left = reader.capacity
        try:
            while left > 0 and (block := reader.read_chunk(left, copy=False)) is not None:
                largest = np.maximum(block.data.max(axis=0), -block.data.min(axis=0))
                left -= len(block)
                # What was overwritten while it was looked at is from later: still a level of this tap.
                peaks = largest if peaks is None else np.maximum(peaks, largest)
            if peaks is None and reader.closed:
                self.close()
        except AsmuError:
            self.close()
        return peaks

    def close(self) -> None:
        """Let go of the ring; harmless when done before."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _attach(self) -> TapReader | None:
        if time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + _AGAIN_SECONDS
            try:
                self._reader = self._open()
            except AsmuError:
                return None
        return self._reader


def meters(peaks: Sequence[float] | NDArray[Any], numbers: Sequence[int], width: int, lines: int) -> list[Text]:
    """Levels as at most `lines` lines of `width` columns: bars with figures, or one character a channel where that is too much.

    >>> [line.plain for line in meters([1.0, 0.1, 0.0], [1, 2, 7], 60, 2)]
    ['  1 ██████    0.0   2 ████    -20.0   7            -∞ ']
    """
    from rich.text import Text

    decibels = [_decibels(float(peak)) for peak in peaks]
    in_row = max(1, width // _CELL)
    rows = -(-len(decibels) // in_row)
    if rows <= lines:
        found = []
        for begin in range(0, len(decibels), in_row):
            row = Text(no_wrap=True, overflow="crop")
            for number, peak, level in list(zip(numbers, peaks, decibels, strict=True))[begin : begin + in_row]:
                row.append(f"{number:3} ").append(_bar(level), _style(peak)).append(f" {_figure(level)} ")
            found.append(row)
        return found
    in_row = max(1, (width - 4) // 9) * 8
    found = []
    for begin in range(0, len(decibels), in_row)[: max(1, lines - 1)]:
        row = Text(f"{numbers[begin]:4}", no_wrap=True, overflow="crop")
        for place in range(begin, min(begin + in_row, len(decibels))):
            row.append("" if place % 8 else " ").append(_EIGHTHS[round(_share(decibels[place]) * 8)], _style(peaks[place]))
        found.append(row)
    loudest = max(range(len(decibels)), key=decibels.__getitem__)
    text = f" loudest: channel {numbers[loudest]}, {_figure(decibels[loudest]).strip()} dBFS"
    return [*found, Text(text, no_wrap=True, overflow="crop")]


def _decibels(peak: float) -> float:
    import math

    return 20.0 * math.log10(peak) if peak > 0 else -math.inf


def _share(level: float) -> float:
    return min(max(1.0 - level / _FLOOR_DB, 0.0), 1.0)


def _bar(level: float) -> str:
    return ("█" * round(_share(level) * _BAR)).ljust(_BAR)


def _figure(level: float) -> str:
    return f"{level:6.1f}" if level > -999 else "    -∞"


def _style(peak: float) -> str:
    return "red" if peak >= _CLIPPED else "green"
