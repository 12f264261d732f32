"""Do the fits of the clocks belong together, and what was the time of a frame?"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from asmu_engine.recording.ledger import Begun, Clock, Entry, Gap
from asmu_engine.recording.manifest import Manifest
from asmu_engine.recording.names import segment_utc_ns
from asmu_engine.recording.numbers import signed
from asmu_engine.recording.verdict import ClockFacts, Problem

_MOST_PPM: Final = 1000.0
"""No sound device is so far off."""
_RATE_TOLERANCE: Final = 1e-7
_SLEW: Final = 5e-4
"""The most by which a system corrects its clock without a step, s a second."""
_STEP_NS: Final = 5_000_000
"""So much UTC may move between two fits without being called a step: the two clocks are not read at one instant."""
_SIGMAS: Final = 6.0
_JITTER_NS: Final = 20_000_000
"""What a fit may be off beside its own uncertainty, which is that of a short stretch."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def check_clocks(entries: Sequence[Entry], samplerate: float, *, speed: float = 1.0) -> tuple[ClockFacts | None, list[Problem]]:
    """The clocks in sum, and what is odd about them; none of it makes a frame wrong, so all are notes.

    Parameters
    ----------
    entries
        Of the ledger.
    samplerate
        Nominal, Hz; 0 where nobody knows.
    speed
        Seconds of audio a second, for devices that run faster than life.
    """
    clocks = [entry for entry in entries if isinstance(entry, Clock)]
    if not clocks:
        return None, []
    rates = [clock.fit.ppm for clock in clocks]
    facts = ClockFacts(
        fits=len(clocks),
        ppm=clocks[-1].fit.ppm,
        ppm_uncertainty=clocks[-1].fit.ppm_uncertainty,
        ppm_least=min(rates),
        ppm_most=max(rates),
        residual_ns=max(clock.fit.residual_ns for clock in clocks),
        steps=tuple((clock.fit.position, clock.step_ns / 1e9) for clock in clocks if clock.step_ns),
        course=tuple((clock.fit.position, clock.fit.ppm, clock.fit.residual_ns) for clock in clocks),
    )
    problems = [*_single(clocks, samplerate * speed), *_in_order(entries)]
    return facts, problems


def _single(clocks: Iterable[Clock], samplerate: float) -> Iterator[Problem]:
    for clock in clocks:
        fit = clock.fit
        if not samplerate:
            continue
        ppm = (fit.samplerate / samplerate - 1) * 1e6
        if abs(ppm) > _MOST_PPM:
            yield _note(
                "clock_rate",
                fit.position,
                f"{signed(ppm, 0)} ppm at frame {fit.position}: no device is so far off its nominal samplerate",
            )
        elif abs(ppm - fit.ppm) > 1e6 * _RATE_TOLERANCE + 1e-3 * abs(ppm):
            yield _note(
                "clock_rate",
                fit.position,
                f"the fit at frame {fit.position} says {signed(fit.ppm, 3)} ppm and {signed(ppm, 3)} ppm",
            )


def _in_order(entries: Iterable[Entry]) -> Iterator[Problem]:
    former: Clock | None = None
    boot = ""
    unsure = 0
    for entry in entries:
        if isinstance(entry, Begun):
            if entry.boot != boot:
                former = None  # the monotonic clock began anew
            boot = entry.boot
        elif isinstance(entry, Gap):
            unsure += entry.uncertainty
        elif isinstance(entry, Clock):
            if former is not None:
                yield from _pair(former, entry, unsure)
            former, unsure = entry, 0


def _pair(former: Clock, clock: Clock, unsure: int) -> Iterator[Problem]:
    """Two fits, one after the other, with gaps of uncertain length between."""
    one, two = former.fit, clock.fit
    where = f"between frames {one.position} and {two.position}"
    if two.position < one.position:
        yield _note("clock_order", two.position, f"the fit at frame {two.position} follows that at frame {one.position}")
        return
    if two.monotonic_ns < one.monotonic_ns:
        back = (one.monotonic_ns - two.monotonic_ns) / 1e9
        yield _note("clock_monotonic", two.position, f"the monotonic clock went back by {back:g} s {where}")
        return
    due, uncertainty = one.monotonic_at(two.position)
    allowed = _SIGMAS * math.hypot(uncertainty, two.uncertainty_ns, unsure / one.samplerate * 1e9) + _JITTER_NS
    off = two.monotonic_ns - due
    if abs(off) > allowed + _MOST_PPM * 1e-6 * (two.monotonic_ns - one.monotonic_ns):
        yield _note(
            "clock_jump",
            two.position,
            f"what lies {where} took {signed(off / 1e9, 3)} s more than its frames do: not all losses were counted",
        )
    moved = (two.utc_ns - two.monotonic_ns) - (one.utc_ns - one.monotonic_ns) - clock.step_ns
    if abs(moved) > _STEP_NS + _SLEW * (two.monotonic_ns - one.monotonic_ns):
        yield _note("clock_step", two.position, f"UTC was set by {signed(moved / 1e9, 3)} s {where}, of which no entry tells")


def _note(code: str, position: int, text: str) -> Problem:
    return Problem("note", code, f"clocks: {text}", position=position)


class Calendar:
    """When frames were, as well as that is known: by the fits of the clocks, else by the names of the segments."""

    def __init__(self, entries: Iterable[Entry], segments: Iterable[tuple[str, int]], manifest: Manifest | None) -> None:
        self._known: list[tuple[int, int, float]] = []
        rate = 0.0 if manifest is None else manifest.samplerate
        for entry in entries:
            if isinstance(entry, Clock):
                self._known.append((entry.fit.position, entry.fit.utc_ns, entry.fit.samplerate))
        if not self._known and manifest is not None and manifest.clock is not None:
            self._known.append((manifest.clock.position, manifest.clock.utc_ns, manifest.clock.samplerate))
        if not self._known and rate:
            named = ((first, segment_utc_ns(file)) for file, first in segments)
            self._known = [(first, utc_ns, rate) for first, utc_ns in named if utc_ns is not None]
        self._known.sort()

    def utc_ns(self, position: int) -> int | None:
        """UTC of a frame position, ns since 1970; None where nothing says."""
        if not self._known:
            return None
        place = max(0, bisect_right(self._known, (position, math.inf, 0.0)) - 1)
        known, utc_ns, rate = self._known[place]
        return utc_ns + round((position - known) / rate * 1e9)

    def utc(self, position: int | None) -> str:
        """UTC of a frame position to the millisecond, ISO 8601; empty where nothing says."""
        utc_ns = None if position is None else self.utc_ns(position)
        return "" if utc_ns is None else iso_utc(utc_ns)

    def span(self, first: int, stop: int) -> str:
        """Both ends of a range of frames, in brackets; empty where nothing says."""
        begin = self.utc(first)
        return f" ({begin} to {self.utc(stop)})" if begin else ""


def iso_utc(utc_ns: int) -> str:
    """A UTC, ns since 1970, as ISO 8601 to the millisecond; empty where no calendar has it.

    >>> iso_utc(1_767_225_600_250_000_000)
    '2026-01-01T00:00:00.250Z'
    """
    try:
        moment = _EPOCH + timedelta(microseconds=utc_ns // 1000)
    except OverflowError:
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def manifest_speed(manifest: Manifest | None) -> float | None:
    """Seconds of audio a second of the recorded device; None where it does not keep time."""
    device = manifest.source.device if manifest is not None else None
    if device is None:
        return 1.0
    if device.get("paced") is False:
        return None
    speed = device.get("speed", 1.0)
    return float(speed) if isinstance(speed, int | float) and speed > 0 else 1.0
