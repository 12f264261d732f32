"""Which frames are meant: by frame position, by time, or by a duration."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np

from asmu_control.recording.times import SECOND_NS, Time, as_datetime64, to_utc_ns
from asmu_control.recording.view import View

Duration: TypeAlias = "timedelta | np.timedelta64"
Place: TypeAlias = "int | Time | Duration | None"
"""A place in a recording: a frame position; a time (ISO 8601 text or a date of Python or numpy, UTC where it has no offset);
or a duration, from the first frame of the recording for a start, from the start for a stop, in frames of the nominal
samplerate. None: the very first, or behind the very last frame."""


def bounds(view: View, start: Place, stop: Place) -> tuple[int, int]:
    """Frame positions of a span; it may pass the end of what is known, which `check` refuses.

    Raises
    ------
    ValueError
        Something is no place.
    """
    timeline = view.timeline
    first = timeline.first if start is None else _position(view, start, timeline.first)
    last = timeline.stop if stop is None else _position(view, stop, first)
    return first, last


def check(view: View, start: int, stop: int) -> None:
    """ValueError where a span is turned round, or lies outside the recording; says where that is."""
    if stop < start:
        raise ValueError(f"the span ends (frame {stop}) before it starts (frame {start})")
    timeline = view.timeline
    if start < timeline.first or stop > timeline.stop:
        known, _ = view.times.utc(np.array([timeline.first, timeline.stop, start, stop], np.int64))
        begin, end, from_, to = np.datetime_as_string(as_datetime64(known), "ms")
        raise ValueError(
            f"frames {start} to {stop} ({from_}Z to {to}Z) are not all within the recording, which has {timeline.first} to "
            f"{timeline.stop} ({begin}Z to {end}Z)"
        )


def frames_in(seconds: float, samplerate: float) -> int:
    """The nearest whole number of frames of the nominal samplerate."""
    return round(seconds * samplerate)


def _position(view: View, place: Place, origin: int) -> int:
    if isinstance(place, bool | float | np.floating):
        raise ValueError(f"{place!r} is neither a frame position nor a time; for seconds use at_seconds({place!r})")
    if isinstance(place, np.timedelta64):
        seconds = int(place.astype("timedelta64[ns]").astype(np.int64)) / SECOND_NS
        return origin + frames_in(seconds, view.manifest.samplerate)
    if isinstance(place, int | np.integer):
        return int(place)
    if isinstance(place, timedelta):
        return origin + frames_in(place.total_seconds(), view.manifest.samplerate)
    if isinstance(place, str | datetime | np.datetime64):
        return view.times.position(to_utc_ns(place))
    raise ValueError(f"{place!r} is neither a frame position nor a time")
