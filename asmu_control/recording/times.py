"""When a frame of a recording was: its position on UTC, piece by piece along the fits of the clocks in the ledger."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Time: TypeAlias = "str | datetime | np.datetime64"
"""A point in time: ISO 8601 text, or a date of Python or numpy. Without an offset it is UTC, as all times here are."""

Positions = npt.NDArray[np.int64]

SECOND_NS: Final = 1_000_000_000
_ISO: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d{1,9})\d*)?"
    r"\s*(?P<offset>Z|[+-]\d\d:?\d\d)?)?"
)
_STEPS: Final = 8
"""Newton's method meets any time in half as many."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A position whose time is known: at `utc_ns`, with the frames around it at `samplerate` Hz.

    The time has the standard uncertainty `uncertainty_ns`, to which each second of distance adds `ppm_uncertainty` times
    1000 ns. `step_ns`: UTC was put forward by so much between the anchor before and this one, at frame `step_at`.
    """

    position: int
    utc_ns: int
    samplerate: float
    uncertainty_ns: float
    ppm_uncertainty: float
    step_ns: int = 0
    step_at: int | None = None


class Times:
    """Positions to UTC and back.

    Between two anchors the straight lines of both count, each the more the nearer its anchor is; outside, that of the nearest
    anchor. The uncertainty is that of the mixture: of both, and of their disagreement. At a gap whose length is uncertain the
    lines do not mix: there each counts on its side.

    Parameters
    ----------
    anchors
        At least one.
    breaks
        Gaps of uncertain length: frame position behind it, standard uncertainty in frames.
    source
        Where the anchors come from, for people.
    """

    def __init__(self, anchors: Iterable[Anchor], breaks: Iterable[tuple[int, int]], source: str) -> None:
        ordered = _ordered(anchors)
        self.source = source
        self.anchors = ordered
        self._positions = np.array([anchor.position for anchor in ordered], np.int64)
        self._rates = np.array([anchor.samplerate for anchor in ordered])
        self._uncertainties = np.array([anchor.uncertainty_ns for anchor in ordered])
        self._drifts = np.array([anchor.ppm_uncertainty * 1e3 for anchor in ordered])
        stepped = [anchor for anchor in ordered if anchor.step_ns]
        self._step_at = np.array([_step_at(anchor) for anchor in stepped], np.int64)
        self._steps = np.concatenate([[0], np.cumsum([anchor.step_ns for anchor in stepped], dtype=np.int64)]).astype(np.int64)
        # As if UTC had never been set: what remains is smooth.
        utc = np.array([anchor.utc_ns for anchor in ordered], np.int64)
        self._smooth = utc - self._step(self._positions)
        uncertain = sorted((position, frames) for position, frames in breaks if frames)
        self._breaks = np.array([position for position, _ in uncertain], np.int64)
        variances = [(frames / ordered[0].samplerate * SECOND_NS) ** 2 for _, frames in uncertain]
        self._variance = np.concatenate([[0.0], np.cumsum(variances)])

    def utc(self, positions: Positions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """UTC of frame positions, ns since 1970, and its standard uncertainty, ns."""
        smooth, uncertainty = self._at(positions)
        return smooth + self._step(positions), uncertainty

    def position(self, utc_ns: int) -> int:
        """The frame nearest to a UTC.

        Where UTC was put back a time was twice: the earlier frame. Where it was put forward some never were: the first frame
        after.
        """
        edges = [None, *self._step_at.tolist(), None]
        after = None
        for place, step in enumerate(self._steps.tolist()):
            begin, end = edges[place], edges[place + 1]
            found = self._nearest(utc_ns - step)
            if begin is not None and found < begin:
                return int(begin)
            if end is None or found < end:
                return found
            after = end
        return int(after or 0)

    def _step(self, positions: Positions) -> npt.NDArray[np.int64]:
        return self._steps[np.searchsorted(self._step_at, positions, "right")]

    def _break(self, positions: Positions) -> npt.NDArray[np.float64]:
        return self._variance[np.searchsorted(self._breaks, positions, "right")]

    def _line(self, places: npt.NDArray[np.int64], positions: Positions) -> tuple[npt.NDArray[np.float64], ...]:
        """By the lines of the anchors at `places`: ns from the first of the anchors' times, variance, variance by breaks."""
        elapsed = (positions - self._positions[places]) / self._rates[places]
        own = self._uncertainties[places] + np.abs(elapsed) * self._drifts[places]
        broken = np.abs(self._break(positions) - self._break(self._positions[places]))
        return elapsed * SECOND_NS, own**2 + broken, broken

    def _at(self, positions: Positions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        positions = np.asarray(positions, np.int64)
        before = np.searchsorted(self._positions, positions, "right") - 1
        left = np.maximum(before, 0)
        right = np.minimum(before + 1, len(self._positions) - 1)
        from_left, left_variance, left_broken = self._line(left, positions)
        from_right, right_variance, right_broken = self._line(right, positions)
        span = self._positions[right] - self._positions[left]
        weight = np.where(span > 0, (positions - self._positions[left]) / np.maximum(span, 1), 0.0)
        apart = (left_broken > 0) | (right_broken > 0)
        weight = np.where(apart & (span > 0), (right_broken < left_broken).astype(float), weight)
        # Whole nanoseconds of the epoch and a short way from there: a float holds years of ns only to 100 ns.
        disagreement = (self._smooth[right] - self._smooth[left]) + (from_right - from_left)
        time = self._smooth[left] + np.rint(from_left + weight * disagreement).astype(np.int64)
        variance = (1 - weight) * left_variance + weight * right_variance + weight * (1 - weight) * disagreement**2
        return time, np.sqrt(variance)

    def _nearest(self, smooth_ns: int) -> int:
        place = max(0, bisect_right(self._smooth.tolist(), smooth_ns) - 1) if len(self._smooth) > 1 else 0
        rate = float(self._rates[place])
        position = int(self._positions[place]) + round((smooth_ns - int(self._smooth[place])) * rate / SECOND_NS)
        best: tuple[int, int] | None = None
        for _ in range(_STEPS):
            near = np.array([position - 1, position, position + 1], np.int64)
            errors = smooth_ns - self._at(near)[0]
            for candidate, error in zip(near.tolist(), np.abs(errors).tolist(), strict=True):
                best = min(best or (error, candidate), (error, candidate))
            move = round(int(errors[1]) * rate / SECOND_NS)
            if not move:
                break
            position += move
        assert best is not None
        return best[1]


def to_utc_ns(time: Time) -> int:
    """A time as ns since 1970 UTC.

    >>> to_utc_ns("1970-01-01T00:00:01.5Z"), to_utc_ns("1970-01-01 02:00+02:00"), to_utc_ns(np.datetime64(7, "ns"))
    (1500000000, 0, 7)

    Raises
    ------
    ValueError
        It is no time.
    """
    if isinstance(time, np.datetime64):
        if np.isnat(time):
            raise ValueError("NaT is no time")
        return int(time.astype("datetime64[ns]").astype(np.int64))
    if isinstance(time, datetime):
        moment = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000 + int(
            getattr(time, "nanosecond", 0)  # a pandas Timestamp has some
        )
    found = _ISO.fullmatch(str(time).strip())
    if found is None:
        raise ValueError(f"{time!r} is no time; write it as 2026-01-31T23:59:59.25Z")
    offset = (found["offset"] or "Z").replace("Z", "+00:00")
    whole = datetime.fromisoformat(f"{found['day']}T{found['time'] or '00:00'}{offset}")
    return to_utc_ns(whole) + int((found["fraction"] or "0").ljust(9, "0"))


@overload
def as_datetime64(utc_ns: npt.NDArray[Any]) -> npt.NDArray[np.datetime64]: ...
@overload
def as_datetime64(utc_ns: int) -> np.datetime64: ...
def as_datetime64(utc_ns: npt.NDArray[Any] | int) -> npt.NDArray[np.datetime64] | np.datetime64:
    """ns since 1970, one or an array, as numpy's ``datetime64[ns]``."""
    if isinstance(utc_ns, np.ndarray):
        return utc_ns.astype("datetime64[ns]")
    return np.datetime64(int(utc_ns), "ns")


def _ordered(anchors: Iterable[Anchor]) -> Sequence[Anchor]:
    """By position; of several at one position the last counts, with the steps of all."""
    result: dict[int, Anchor] = {}
    for anchor in sorted(anchors, key=lambda anchor: anchor.position):
        former = result.get(anchor.position)
        if former is not None and former.step_ns:
            at = anchor.step_at if former.step_at is None else former.step_at
            result[anchor.position] = replace(anchor, step_ns=anchor.step_ns + former.step_ns, step_at=at)
        else:
            result[anchor.position] = anchor
    return list(result.values())


def _step_at(anchor: Anchor) -> int:
    return anchor.position if anchor.step_at is None else min(anchor.step_at, anchor.position)
