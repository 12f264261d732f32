"""Moments at which the callback does not run, for threads that share the interpreter with it.

Only one thread of a process runs Python at a time. A thread that wakes while the callback runs gets the interpreter as soon as
numpy lets go of it, and the callback then waits to have it back: 50 to 200 µs, half of a block of 32 frames at 96 kHz. One that
wakes half-way between two callbacks is done before the next.
"""

from __future__ import annotations


def calm_moment(began_ns: int, took_ns: int, period_ns: int, after_ns: int) -> int:
    """The first moment from `after_ns` on that lies half-way between the end of a callback and the begin of the next.

    Parameters
    ----------
    began_ns, took_ns
        Begin of any earlier callback, and how long it took.
    period_ns
        From one callback to the next, more than 0.

    Returns
    -------
    int
        On the same clock, ns: less than a period after `after_ns`.

    >>> calm_moment(1000, 20, 100, 1300)
    1360
    """
    middle = began_ns + (min(took_ns, period_ns) + period_ns) // 2
    return middle - (middle - after_ns) // period_ns * period_ns
