"""What a check of a recording came to: plain facts, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from asmu_engine.protocol import exits

Outcome = Literal["whole", "losses", "damaged", "unfinished", "recording"]
"""``whole``: every frame is there. ``losses``: sound, but frames are missing, or it ended early, and the ledger says so.
``damaged``: something is missing that no entry accounts for, or was changed. ``unfinished``: its writer died; ``asmu repair``
makes it whole. ``recording``: it is being written, and was right so far, but for what `problems` say."""

Severity = Literal["damaged", "unfinished", "note"]
"""What a problem makes of the recording; a ``note`` makes nothing of it."""

STATUSES: Final[dict[Outcome, int]] = {
    "whole": exits.OK,
    "losses": exits.LOSSES,
    "damaged": exits.DAMAGED,
    "unfinished": exits.UNFINISHED,
    "recording": exits.UNFINISHED,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes
    ----------
    severity
        What it makes of the recording.
    code
        The single cause, for programs: ``checksum``, ``file_missing``, ``overlap`` …
    text
        What is wrong, where, and what to do about it.
    file, segment
        The file and the number of the segment concerned, if any.
    position, frames
        The first frame concerned and how many; None where it is about no frames.
    """

    severity: Severity
    code: str
    text: str
    file: str = ""
    segment: int | None = None
    position: int | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """A stretch of missing frames that the ledger accounts for; `uncertainty` (frames) of how many they are."""

    position: int
    frames: int
    cause: str
    uncertainty: int = 0
    filled: bool = False


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """What the clocks said.

    Attributes
    ----------
    fits
        How many there are.
    ppm, ppm_uncertainty
        By how much the device's clock is fast, as last measured, parts per million.
    ppm_least, ppm_most
        Its range in the course of the recording.
    residual_ns
        The largest of the fits, ns.
    steps
        Where UTC was set: frame position, and by how many seconds.
    course
        Of each fit the frame position, ppm and residual, ns.
    """

    fits: int
    ppm: float
    ppm_uncertainty: float
    ppm_least: float
    ppm_most: float
    residual_ns: float
    steps: tuple[tuple[int, float], ...] = ()
    course: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """One segment: the state by the ledger, and `rows`, what of its `frames` is in the file that was found."""

    index: int
    file: str
    first: int
    frames: int
    rows: int
    state: str
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify_recording` found.

    ``frames == delivered + lost + dropped + missing``, always.

    Attributes
    ----------
    path
        The folder.
    outcome
        In one word, see `Outcome`.
    state, reason
        Of the manifest: ``recording``, ``finished`` or ``failed`` with a reason; ``missing`` where there is no manifest.
    samplerate, channels
        Nominal, Hz.
    first, position
        Frame positions of the first frame and behind the last; None where there is none.
    frames
        From the first to the last.
    delivered
        Frames that are in the files as they were recorded.
    lost, lost_frames
        Missing frames that the ledger accounts for, by cause, and in sum.
    uncertainty
        Standard uncertainty of that sum, frames.
    xruns, uncounted
        How often the device said that something went wrong, and how many frames may be lost of which nobody could say that they
        are: at most so many, where it did not say how many.
    dropped
        Frames of segments that made room for newer ones.
    missing
        Frames that no entry of the ledger accounts for.
    segments, losses, problems
        In detail.
    begin_utc, end_utc
        ISO 8601, of the first frame and behind the last; empty where nothing says when that was.
    clock
        None where no clock was noted.
    bytes
        Size of the finished segments that were found.
    hashed
        True where every checksum was computed and compared.
    """

    path: str
    outcome: Outcome
    state: str
    reason: str
    samplerate: float
    channels: int
    first: int | None
    position: int | None
    frames: int
    delivered: int
    lost: dict[str, int]
    uncertainty: int
    xruns: int
    uncounted: int
    dropped: int
    missing: int
    segments: tuple[SegmentFacts, ...]
    losses: tuple[Loss, ...]
    problems: tuple[Problem, ...]
    begin_utc: str
    end_utc: str
    clock: ClockFacts | None
    bytes: int
    hashed: bool

    @property
    def exit_status(self) -> int:
        """0 whole, 4 losses that are accounted for, 5 damaged, 6 unfinished or still being recorded."""
        return STATUSES[self.outcome]

    @property
    def lost_frames(self) -> int:
        """Missing frames that the ledger accounts for."""
        return sum(self.lost.values())

    def __str__(self) -> str:
        from asmu_engine.recording.verdict_text import verdict_text

        return verdict_text(self)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data, with `exit_status` and `lost_frames`, but for the course of the clock."""
        data = asdict(self)
        if self.clock is not None:
            del data["clock"]["course"]
        return {**data, "lost_frames": self.lost_frames, "exit_status": self.exit_status}
