"""What the callback writes into the status page for each block: counters, clock, histograms."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from asmu_engine.shm.status import CLOCK, HISTOGRAM, LATENESS, StatusPage, bin_of

Books = Callable[[int, int, int, int, int, float], None]

_BITS: Final = 7
_LEAST, _BEYOND = 1024, 4096 << _BITS
"""Durations in this range, the usual ones, share a bin where they agree above these bits."""
_BINS: Final = bytes(bin_of(number << _BITS) for number in range(_BEYOND >> _BITS))
"""A table takes a tenth of what `bin_of` does in a callback that comes with cold caches."""


def block_books(page: StatusPage, period_ns: int) -> Books:
    """The function that books a block; the callback ends with it.

    A closure over plain local names: a callback that has slept finds cold caches, and what it costs there is how much different
    code and data it touches (12 µs as a method that calls others and looks up constants of modules, 8 µs so; warm 1.0 and 0.9).

    Parameters
    ----------
    page
        Where to.
    period_ns
        A block that is done later than that after it was due has missed its deadline.

    Returns
    -------
    Callable
        Takes when the callback began and when it was due, monotonic ns (0 where the device does not know that), what UTC is
        ahead of that clock, ns, the block's position, its frames, and the device's clock at its first frame, seconds.
    """
    words, reals = page.words, page.reals
    blocks, position_word = page.word("blocks"), page.word("frame_position")
    last, longest, last_block = page.word("callback_last_ns"), page.word("callback_max_ns"), page.word("last_block_ns")
    latest, misses = page.word("late_max_ns"), page.word("deadline_misses")
    times, lateness = HISTOGRAM, LATENESS
    guard, stamp_position, stamp_monotonic, stamp_utc, stamp_device = range(CLOCK, CLOCK + 5)
    now, bins, bits, least, beyond, exact = monotonic_ns, _BINS, _BITS, _LEAST, _BEYOND, bin_of

    def book(began: int, due: int, utc: int, position: int, frames: int, device_time: float) -> None:
        words[blocks] += 1
        words[position_word] = position + frames
        words[last_block] = began
        late = index = 0
        if not due:
            due = began
        elif due < began:
            late = began - due
            index = bins[late >> bits] if least <= late < beyond else exact(late)
            if late > words[latest]:  # noqa: PLR1730 - a comparison is less code than a call of max
                words[latest] = late
        words[lateness + index] += 1
        # As `StatusPage.stamp`.
        words[guard] |= 1
        words[stamp_position] = position
        words[stamp_monotonic] = due
        words[stamp_utc] = due + utc
        reals[stamp_device] = device_time
        words[guard] += 1
        took = now() - began
        words[last] = took
        if took > words[longest]:  # noqa: PLR1730
            words[longest] = took
        words[times + (bins[took >> bits] if least <= took < beyond else exact(took))] += 1
        if late + took > period_ns:
            words[misses] += 1

    return book
