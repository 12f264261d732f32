"""What is known of a recording at one moment: made anew by each refresh, never changed, so that threads may share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from asmu_control.recording.segments import Segment, find_segment
from asmu_control.recording.spans import Extent, Gap, Timeline
from asmu_control.recording.times import Anchor, Times, to_utc_ns
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.account import Account, LedgerFollower
from asmu_engine.recording.lock import is_written
from asmu_engine.recording.manifest import Manifest, read_manifest
from asmu_engine.recording.names import segment_utc_ns

State = Literal["recording", "interrupted", "finished", "failed"]

_NAME_UNCERTAINTY_NS: Final = 1e8
_CREATED_UNCERTAINTY_NS: Final = 1e10
_NOMINAL_PPM: Final = 100.0
"""Of the samplerate of a device, where nobody measured it."""


@dataclass(frozen=True, slots=True)
class View:
    """A recording at one moment; the attributes are those of `Recording`. Only `account` grows with later ones."""

    manifest: Manifest
    account: Account
    segments: dict[int, Segment]
    timeline: Timeline
    times: Times
    state: State


def home_of(folder: Path) -> Path:
    """The folder that has all of a recording: its second one where the first took no more, and it went on there.

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording folder, or its manifest is damaged.
    """
    manifest = read_manifest(folder)
    second = Path(manifest.settings.second_folder)
    if manifest.state != "recording" or not manifest.settings.second_folder or second == folder:
        return folder
    try:
        return second if read_manifest(second).id == manifest.id else folder
    except DiskError:
        return folder


def look(folder: Path, follower: LedgerFollower, former: View | None) -> View:
    """Read what is new in a folder.

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording folder, or damaged.
    """
    follower.refresh()
    account = follower.account
    known = {} if former is None or former.account is not account else former.segments
    segments = _find_segments(folder, follower, known)
    account = follower.account
    writer = next((entry.pid for entry in reversed(account.entries) if isinstance(entry, ledger.Begun)), 0)
    written = is_written(folder, writer)  # asked before the manifest is read: who lets go has written it
    manifest = read_manifest(folder)
    ended = account.ended.position if account.ended is not None else None
    extents = [
        Extent(one.index, one.first, one.stop, one.rows, one.state == "dropped") for one in segments.values() if one.frames
    ]
    gaps = [Gap(gap.position, gap.frames, gap.cause, gap.uncertainty, gap.filled) for gap in account.gaps]
    timeline = Timeline(manifest.first, extents, gaps, ended)
    times = _times(manifest, account, segments.values(), timeline)
    state: State = manifest.state if manifest.state != "recording" or written else "interrupted"
    return View(manifest, account, segments, timeline, times, state)


def _find_segments(folder: Path, follower: LedgerFollower, known: Mapping[int, Segment]) -> dict[int, Segment]:
    """The segments of which the ledger tells now, each as its line says that was the latest when its file was looked at.

    Only while the ledger calls a segment growing do the bytes of its file say how many rows it has: behind the rows of one that
    ended stand texts. So its line is looked for again after its size. Segments that begin meanwhile are for the next look, or
    a fast writer would never let this one end.
    """
    first = follower.account
    while True:
        account, ended = follower.account, follower.account.ended
        known = known if account is first else {}
        entries = dict(account.segments)
        found = {index: find_segment(folder, entry, known.get(index)) for index, entry in entries.items()}
        while follower.refresh():
            if follower.account is not account or account.ended is not ended or not entries:
                break  # repaired, ended or begun meanwhile: all anew
            newer = {index: account.segments[index] for index, entry in entries.items() if account.segments[index] is not entry}
            found.update({index: find_segment(folder, entry, None) for index, entry in newer.items()})
            entries.update(newer)
        else:
            return found


def _times(manifest: Manifest, account: Account, segments: Iterable[Segment], timeline: Timeline) -> Times:
    anchors, source = _anchors(manifest, account, segments, timeline)
    return Times(anchors, [(gap.stop, gap.uncertainty) for gap in timeline.gaps], source)


def _anchors(
    manifest: Manifest, account: Account, segments: Iterable[Segment], timeline: Timeline
) -> tuple[Sequence[Anchor], str]:
    """The best that there is: fits of the clocks, else the times in the names of the segments, else when it was begun."""
    fits = [(entry.fit, entry.step_ns) for entry in account.clocks]
    if not fits and manifest.clock is not None:
        fits = [(manifest.clock, 0)]
    if fits:
        stepped = sorted(event.position for event in account.events if event.what == "clock_step" and event.position is not None)
        anchors = []
        former = -1
        for fit, step_ns in fits:
            at = next((position for position in stepped if former < position <= fit.position), None) if step_ns else None
            anchors.append(Anchor(fit.position, fit.utc_ns, fit.samplerate, fit.uncertainty_ns, fit.ppm_uncertainty, step_ns, at))
            former = fit.position
        return anchors, "fits of the clocks"
    named = [(segment.first, utc) for segment in segments if (utc := segment_utc_ns(segment.file)) is not None]
    if named:
        return [
            Anchor(first, utc, manifest.samplerate, _NAME_UNCERTAINTY_NS, _NOMINAL_PPM) for first, utc in named
        ], "the names of the segments"
    created = _created_ns(manifest)
    return [
        Anchor(timeline.first, created, manifest.samplerate, _CREATED_UNCERTAINTY_NS, _NOMINAL_PPM)
    ], "when the recording was begun"


def _created_ns(manifest: Manifest) -> int:
    try:
        return to_utc_ns(manifest.created)
    except ValueError:
        return 0
