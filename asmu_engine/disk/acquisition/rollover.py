"""Where one segment ends and the next begins, exact to the frame."""

from __future__ import annotations

from typing import Final

from asmu_engine.disk.acquisition.times import Times
from asmu_engine.protocol.acquisition import AcquisitionSettings

_DAY_NS: Final = 86_400_000_000_000
_GUARD_NS: Final = 1_000_000_000
"""So near to an instant a segment counts as begun at it: the clock has been corrected since, by less than that."""


class Rollover:
    """Answers where the growing segment ends.

    By time: the k-th boundary lies ``round(k * rollover_seconds * samplerate)`` frames behind the first frame of the
    recording, whatever happened between. Aligned to the clock: at the frames that are due at whole multiples of
    `rollover_seconds` since midnight UTC, as the clock is known when they come. By size: where one frame more would be too
    much. The first of these counts.

    Parameters
    ----------
    settings
        Of the recording.
    samplerate
        Nominal, Hz.
    frame_bytes
        Size of a frame in a segment.
    times
        For alignment.
    """

    def __init__(self, settings: AcquisitionSettings, samplerate: float, frame_bytes: int, times: Times) -> None:
        self._samplerate = samplerate
        self._times = times
        self._seconds = settings.rollover_seconds
        self._aligned = settings.aligned and settings.rollover_seconds is not None
        size = settings.rollover_bytes
        self._most_frames = None if size is None else max(1, size // frame_bytes)
        self._segment = 0
        self._fixed: int | None = None
        self._instant: int | None = None

    def begin(self, segment: int, recording: int) -> None:
        """A segment begins at frame `segment` of a recording that began at frame `recording`."""
        self._segment = segment
        ends = []
        if self._most_frames is not None:
            ends.append(segment + self._most_frames)
        if self._aligned:
            self._instant = self._next_instant(self._times.utc_at(segment) + min(_GUARD_NS, self._period_ns // 2))
        elif self._seconds is not None:
            ends.append(self._next_multiple(segment, recording))
        self._fixed = min(ends, default=None)

    def end(self, position: int) -> int | None:
        """Where the growing segment ends, as far as is known now, at least at `position`; None for never."""
        if self._instant is None:
            return self._fixed
        at = self._times.position_at(self._instant)
        if self._missed(at, position):
            # The clock was put forward over the instant, or back by more than a period: the next one counts.
            self._instant = self._next_instant(self._times.utc_at(position))
            at = self._times.position_at(self._instant)
        at = max(at, position, self._segment + 1)
        return at if self._fixed is None else min(at, self._fixed)

    @property
    def _period_ns(self) -> int:
        assert self._seconds is not None
        return max(1, round(self._seconds * 1e9))

    def _missed(self, at: int, position: int) -> bool:
        assert self._seconds is not None
        period = self._seconds * self._samplerate
        late = min(period / 2, _GUARD_NS * self._samplerate / 1e9)
        return at < position - late or at > position + period + late

    def _next_instant(self, utc_ns: int) -> int:
        """The first whole multiple of the period behind a UTC; each day begins anew."""
        day = utc_ns - utc_ns % _DAY_NS
        return min(day + ((utc_ns - day) // self._period_ns + 1) * self._period_ns, day + _DAY_NS)

    def _next_multiple(self, segment: int, recording: int) -> int:
        assert self._seconds is not None
        frames = self._seconds * self._samplerate
        count = max(1, int((segment - recording) / frames))
        while recording + round(count * frames) <= segment:
            count += 1
        return recording + round(count * frames)
