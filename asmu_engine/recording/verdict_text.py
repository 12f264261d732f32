"""A verdict in words: first what it is, then what there is, then what is missing, then what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from asmu_engine.recording.numbers import signed
from asmu_engine.recording.verdict import Loss, Outcome, Verdict

_SHOWN: Final = 20
"""So many gaps and problems are named; `Verdict` has them all."""

_HEADS: Final[dict[Outcome, str]] = {
    "whole": "whole: every frame is there",
    "losses": "sound, with losses that the ledger accounts for",
    "damaged": "DAMAGED",
    "unfinished": "UNFINISHED: it was interrupted; `asmu repair` makes it whole",
    "recording": "being recorded; right so far",
}


def verdict_text(verdict: Verdict) -> str:
    """Several lines, without the end of the last."""
    return "\n".join(_lines(verdict))


def frames_text(frames: int, samplerate: float) -> str:
    """A number of frames, with the time that they take.

    >>> frames_text(4_380_000, 48_000)
    '4380000 frames (0:01:31.250)'
    """
    if not samplerate:
        return f"{frames} frames"
    seconds = frames / samplerate
    text = str(timedelta(seconds=int(seconds)))
    return f"{frames} frames ({text}.{int(seconds * 1000) % 1000:03d})"


def _lines(verdict: Verdict) -> Iterator[str]:
    head = _HEADS[verdict.outcome]
    if verdict.outcome == "losses" and not verdict.lost_frames and not verdict.dropped:
        mended = any(problem.code == "ledger_mended" for problem in verdict.problems)
        head = "sound, but its ledger was mended, and may not know of every loss" if mended else "sound, but it ended early"
    yield f"{verdict.path}: {head}"
    if verdict.state == "failed":
        yield _row("ended", verdict.reason)
    yield _row("recorded", frames_text(verdict.frames, verdict.samplerate) + _when(verdict))
    if verdict.samplerate:
        channels = "1 channel" if verdict.channels == 1 else f"{verdict.channels} channels"
        sums = "checksums are right" if verdict.hashed else "checksums were not checked"
        if any(problem.code in ("checksum", "checksum_list") for problem in verdict.problems):
            sums = "checksums are NOT right"
        segments = "1 segment" if len(verdict.segments) == 1 else f"{len(verdict.segments)} segments"
        yield _row("files", f"{segments}, {verdict.bytes} bytes, {channels} at {verdict.samplerate:g} Hz; {sums}")
    yield _row("delivered", frames_text(verdict.delivered, verdict.samplerate))
    if verdict.lost:
        sure = f" ± {verdict.uncertainty}" if verdict.uncertainty else ""
        causes = ", ".join(f"{cause} {frames}" for cause, frames in sorted(verdict.lost.items()))
        yield _row("lost", f"{frames_text(verdict.lost_frames, verdict.samplerate)}{sure}, accounted for: {causes}")
        yield from _gaps(verdict.losses)
    if verdict.dropped:
        yield _row("dropped", f"{frames_text(verdict.dropped, verdict.samplerate)}, with segments that made room for newer ones")
    if verdict.missing:
        yield _row("MISSING", f"{frames_text(verdict.missing, verdict.samplerate)}, which nothing accounts for")
    if verdict.uncounted:
        yield _row(
            "uncertain",
            f"of {verdict.xruns} xruns the device did not count all: up to {verdict.uncounted} frames more are missing",
        )
    yield from _clock(verdict)
    yield from _problems(verdict)


def _when(verdict: Verdict) -> str:
    where = "" if verdict.first is None else f", frames {verdict.first} to {verdict.position}"
    return where + (f", {verdict.begin_utc} to {verdict.end_utc}" if verdict.begin_utc else "")


def _gaps(losses: tuple[Loss, ...]) -> Iterator[str]:
    for loss in losses[:_SHOWN]:
        sure = f" ± {loss.uncertainty}" if loss.uncertainty else ""
        how = "zeros" if loss.filled else "between segments"
        yield f"  frames {loss.position} to {loss.position + loss.frames}: {loss.frames}{sure}, {loss.cause}, {how}"
    if len(losses) > _SHOWN:
        yield f"  … and {len(losses) - _SHOWN} more gaps"


def _clock(verdict: Verdict) -> Iterator[str]:
    clock = verdict.clock
    if clock is None:
        return
    fits = (
        "1 fit" if clock.fits == 1 else f"{clock.fits} fits from {signed(clock.ppm_least, 2)} to {signed(clock.ppm_most, 2)} ppm"
    )
    end = f"{signed(clock.ppm, 2)} ± {clock.ppm_uncertainty:.2f} ppm at the end"
    yield _row("clock", f"{end}, {fits}, residual ≤ {clock.residual_ns / 1000:.1f} µs")
    for position, seconds in clock.steps[:_SHOWN]:
        yield f"  UTC was set by {signed(seconds, 6)} s before frame {position}"
    if len(clock.steps) > _SHOWN:
        yield f"  … and {len(clock.steps) - _SHOWN} more steps"


def _problems(verdict: Verdict) -> Iterator[str]:
    for problem in verdict.problems[:_SHOWN]:
        yield f"{problem.severity}: {problem.text}"
    if len(verdict.problems) > _SHOWN:
        yield f"… and {len(verdict.problems) - _SHOWN} more; --json names them all"


def _row(name: str, text: str) -> str:
    return f"  {name:<10} {text}"
