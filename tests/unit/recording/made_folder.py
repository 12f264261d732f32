"""A recording folder made by hand, line by line: what its writer would have written, or what a crash would have left."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile

from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.recording import ledger
from asmu_engine.recording.checksums import write_checksums
from asmu_engine.recording.manifest import Manifest, Segment, Source
from asmu_engine.recording.names import LEDGER, segment_name
from asmu_engine.recording.verdict import Problem, Verdict

UTC_NS = 1_767_225_600_000_000_000
"""When frame 0 was: 2026-01-01."""

FORMATS = ["WAV", "RF64", "W64", "CAF", "AU", "AIFF", "FLAC", "HDF5"]

GapFacts = tuple[int, int, str]
"""Position, frames, cause."""


def exact_sound(first: int, frames: int, channels: int = 2) -> np.ndarray:
    """What the frames from `first` on hold: none zero, neighbours differ, and in steps of 2^-15, so that 16 bits hold it."""
    numbers = np.arange(first * channels, (first + frames) * channels) % (2**14) + 1
    return (numbers / 2**15).astype(np.float32).reshape(frames, channels)


class MadeFolder:
    """Writes a folder.

    Parameters
    ----------
    path
        Of the folder, which is made.
    first
        Frame position where it begins.
    settings
        Fields of `AcquisitionSettings`; ``format`` WAV, RF64, W64, CAF, AU, FLAC, HDF5 …
    """

    def __init__(
        self,
        path: Path,
        *,
        first: int = 0,
        channels: int = 2,
        samplerate: int = 48_000,
        audio: Callable[[int, int, int], np.ndarray] = exact_sound,
        **settings: object,
    ) -> None:
        path.mkdir(parents=True)
        self.path = path
        self.channels = channels
        self.samplerate = samplerate
        self.audio = audio
        self.settings = AcquisitionSettings(**{"format": "WAV", "subtype": "FLOAT", **settings})  # type: ignore[arg-type]
        if self.settings.format == "FLAC":
            self.settings = self.settings.model_copy(update={"subtype": "PCM_24"})
        self.first = first
        self.position = first
        self.segments: dict[int, Segment] = {}
        self.clock_fit: ClockFit | None = None
        self.state = "recording"
        self.reason = ""
        self._noted = UTC_NS
        self.note(ledger.Begun(position=first, why="new", pid=2**22 + 1, boot="boot-1"))

    # -- lines ---------------------------------------------------------------------------------------------------

    def note(self, *entries: ledger.Entry) -> None:
        """Append lines to the ledger."""
        with (self.path / LEDGER).open("ab") as file:
            for entry in entries:
                self._noted += 1
                file.write(ledger.entry_line(entry.model_copy(update={"noted_ns": self._noted})))

    def gap(self, frames: int, cause: str = "device", uncertainty: int = 0) -> None:
        """Frames between two segments that are missing, from where the recording is."""
        self._note_gap((self.position, frames, cause), filled=False, uncertainty=uncertainty)
        self.position += frames

    def clock(
        self, position: int, /, *, ppm: float = 37.0, step_ns: int = 0, utc_ns: int | None = None, **fields: object
    ) -> None:
        """A fit of the clocks, as if the device had run at that rate since frame 0."""
        rate = self.samplerate * (1 + ppm / 1e6)
        elapsed = round(position / rate * 1e9)
        facts: dict[str, object] = {
            "position": position,
            "monotonic_ns": 5_000_000_000 + elapsed,
            "utc_ns": (UTC_NS if utc_ns is None else utc_ns) + elapsed,
            "samplerate": rate,
            "ppm": ppm,
            "residual_ns": 900.0,
            "uncertainty_ns": 200.0,
            "ppm_uncertainty": 0.1,
            "seconds": 60.0,
            **fields,
        }
        self.clock_fit = ClockFit(**facts)  # type: ignore[arg-type]
        self.note(ledger.Clock(fit=self.clock_fit, step_ns=step_ns))

    # -- segments ------------------------------------------------------------------------------------------------

    def segment(self, frames: int, *gaps: GapFacts, folder: Path | None = None) -> Path:
        """A whole segment from where the recording is; `gaps` in it are zeros. In another `folder` it has an absolute name."""
        index, first, name = self._begin(folder)
        for gap in gaps:
            self._note_gap(gap, filled=True)
        self.note(ledger.SegmentEnded(index=index, file=name, first=first, frames=frames))
        path = self.path / name
        write_sound(path, self._rows(first, frames, gaps), self.settings, self.samplerate, first=first)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        self.note(ledger.SegmentWhole(index=index, file=name, first=first, frames=frames, bytes=size, sha256=digest))
        self._keep(Segment(index=index, file=name, first=first, frames=frames, bytes=size, sha256=digest, state="whole"))
        self.position = first + frames
        self.write_checksums()
        return path

    def drop(self, index: int) -> None:
        """A whole segment makes room."""
        segment = self.segments[index]
        facts = {"index": index, "file": segment.file, "first": segment.first, "frames": segment.frames}
        (self.path / segment.file).unlink()
        self.note(ledger.SegmentDropped(**facts, reason="it was deleted to make room"))  # type: ignore[arg-type]
        self._keep(segment.model_copy(update={"state": "dropped", "sha256": ""}))
        self.write_checksums()

    def growing(self, rows: int, *gaps: GapFacts, lying_header: bool = False, extra: bytes = b"") -> Path:
        """A segment whose writer died with `rows` in it, the last of which is followed by the bytes `extra`.

        With `lying_header` its header says 0 frames, as libsndfile leaves it that was not told to keep it right.
        """
        index, first, name = self._begin(None)
        for gap in gaps:
            self._note_gap(gap, filled=True)
        part = self.grown_path(name)
        write_growing(part, self._rows(first, rows, gaps), self.settings, self.samplerate, lying_header=lying_header)
        with part.open("ab") as file:
            file.write(extra)
        self._keep(Segment(index=index, file=name, first=first, frames=rows, state="growing"))
        self.position = first + rows
        return part

    def ended(self, frames: int, *gaps: GapFacts, rows: int | None = None) -> Path:
        """A segment of which the ledger says that it ended after `frames`, with `rows` of them (all) under its temporary name."""
        part = self.growing(frames if rows is None else rows, *gaps)
        segment = self.segments[max(self.segments)].model_copy(update={"frames": frames, "state": "ended"})
        self.note(ledger.SegmentEnded(index=segment.index, file=segment.file, first=segment.first, frames=frames))
        self._keep(segment)
        self.position = segment.first + frames
        return part

    def grown_path(self, name: str) -> Path:
        """Where a segment grows, as the disk process names it."""
        path = self.path / name
        part = path.with_name(f"{path.stem}.part{path.suffix}")
        direct = self.settings.format in {"WAV", "RF64", "W64", "CAF", "AU"}
        return part if direct else part.with_name(f"{part.name}.rf64")

    # -- the whole -----------------------------------------------------------------------------------------------

    def finish(self, state: str = "finished", reason: str = "stopped") -> Path:
        """End it in order; the folder."""
        self.note(ledger.Ended(position=self.position, reason=reason))
        self.state, self.reason = state, "" if state == "finished" else reason
        return self.write()

    def write(self) -> Path:
        """Write the manifest as it is now; the folder."""
        self.manifest().write(self.path)
        return self.path

    def manifest(self) -> Manifest:
        """What the manifest says."""
        return Manifest(
            id="0123456789abcdef" * 2,
            created="2026-01-01T00:00:00.000+00:00",
            state=self.state,  # type: ignore[arg-type]
            reason=self.reason,
            samplerate=self.samplerate,
            channels=[
                ChannelFacts(name=f"microphone {number}", device_channel=number, unit="Pa", factor=12.5)
                for number in range(1, self.channels + 1)
            ],
            source=Source(engine={"name": "lab"}, device={"name": "virtual", "paced": True, "speed": 1.0}, blocksize=256),
            software={"asmu_engine": "0"},
            settings=self.settings,
            first=self.first,
            position=self.position,
            clock=self.clock_fit,
            segments=list(self.segments.values()),
        )

    def write_checksums(self) -> None:
        """Write the list of each folder that holds segments."""
        whole = {self.path / one.file: one.sha256 for one in self.segments.values() if one.state == "whole"}
        for folder in {self.path, *(path.parent for path in whole)}:
            if folder.is_dir():
                write_checksums(folder, {path.name: digest for path, digest in whole.items() if path.parent == folder})

    def expected(self, first: int, frames: int, *gaps: GapFacts) -> np.ndarray:
        """What `frames` frames from `first` on hold, with zeros in the gaps."""
        return self._rows(first, frames, gaps)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _begin(self, folder: Path | None) -> tuple[int, int, str]:
        index = len(self.segments) + 1
        utc_ns = UTC_NS + self.position * 1_000_000_000 // self.samplerate
        name = segment_name(index, utc_ns, self.settings.format)
        if folder is not None:
            folder.mkdir(exist_ok=True)
            name = str(folder / name)
        self.note(ledger.SegmentBegun(index=index, file=name, first=self.position))
        return index, self.position, name

    def _note_gap(self, gap: GapFacts, *, filled: bool, uncertainty: int = 0) -> None:
        position, frames, cause = gap
        self.note(
            ledger.Gap(position=position, frames=frames, cause=cause, filled=filled, uncertainty=uncertainty)  # type: ignore[arg-type]
        )

    def _rows(self, first: int, frames: int, gaps: Iterable[GapFacts]) -> np.ndarray:
        rows = self.audio(first, frames, self.channels)
        for position, length, _ in gaps:
            rows[max(0, position - first) : max(0, position + length - first)] = 0
        return rows

    def _keep(self, segment: Segment) -> None:
        self.segments[segment.index] = segment


def write_sound(path: Path, rows: np.ndarray, settings: AcquisitionSettings, samplerate: int, *, first: int = 0) -> None:
    """A whole sound file, or HDF5."""
    if settings.format != "HDF5":
        soundfile.write(path, rows, samplerate, settings.subtype, format=settings.format)
        return
    import h5py

    with h5py.File(path, "w") as file:
        audio = file.create_dataset("audio", data=rows, chunks=(max(1, min(1024, len(rows))), rows.shape[1]))
        audio.attrs["samplerate"] = samplerate
        audio.attrs["first"] = first


def write_growing(
    path: Path, rows: np.ndarray, settings: AcquisitionSettings, samplerate: int, *, lying_header: bool = False
) -> None:
    """What a writer that was killed leaves: libsndfile's file as it was before it was closed."""
    direct = settings.format in {"WAV", "RF64", "W64", "CAF", "AU"}
    form = "RF64" if not direct or settings.format == "WAV" else settings.format
    subtype = settings.subtype if direct else "FLOAT"
    scratch = path.with_name("scratch")
    with soundfile.SoundFile(scratch, "w", samplerate, rows.shape[1], subtype, format=form) as file:
        if not lying_header:
            soundfile._snd.sf_command(file._file, 0x1061, soundfile._ffi.NULL, 1)  # SFC_SET_UPDATE_HEADER_AUTO
        file.write(rows)
        shutil.copyfile(scratch, path)
    scratch.unlink()


def three_segments(path: Path) -> MadeFolder:
    """Three segments of 1000 frames, with a filled gap and one between segments, beginning at frame 48 000 000 000."""
    folder = MadeFolder(path, first=48_000_000_000)
    folder.segment(1000, (folder.first + 100, 50, "device"))
    folder.segment(1000)
    folder.gap(5000, "restart", 12)
    folder.clock(folder.position)
    folder.segment(1000)
    folder.finish()
    return folder


def codes(verdict: Verdict, severity: str = "damaged") -> list[str]:
    """Of all problems of that severity."""
    return [problem.code for problem in verdict.problems if problem.severity == severity]


def only(verdict: Verdict, code: str) -> Problem:
    """The one thing that is wrong."""
    (problem,) = [problem for problem in verdict.problems if problem.severity != "note"]
    assert problem.code == code, verdict
    return problem


def reconciles(verdict: Verdict) -> bool:
    """Every frame counts once."""
    return verdict.frames == verdict.delivered + verdict.lost_frames + verdict.dropped + verdict.missing
