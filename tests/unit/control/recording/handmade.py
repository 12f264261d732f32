"""A recording folder made by hand, with soundfile and the classes of its manifest and ledger, every sample known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import Manifest, Source
from asmu_engine.recording.names import LEDGER, segment_name

RATE = 48000
START_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z, of frame 0."""

FIRST = 2**32 + 1000  # past what 32 bits count
STOP = FIRST + 9000
"""The recording of the fixture `folder`."""


def signal(first: int, stop: int, channels: int = 2) -> npt.NDArray[np.float32]:
    """What is recorded: each sample tells its frame and channel, and fits into 16 bits."""
    positions = np.arange(first, stop, dtype=np.int64)[:, None]
    values = (positions * 7 + np.arange(channels) * 1001) % 65536 - 32768
    return (values / 32768).astype(np.float32)


def expected(start: int, stop: int, fill: float = np.nan) -> npt.NDArray[np.float32]:
    """What is read of the recording of the fixture `folder`."""
    data = signal(start, stop)
    for begin, end in ((100, 200), (2900, 3050), (6000, 7000)):
        data[max(0, FIRST + begin - start) : max(0, FIRST + end - start)] = fill
    return data


def fit(position: int, utc_ns: int, **more: Any) -> ClockFit:
    facts: dict[str, Any] = {
        "samplerate": float(RATE), "ppm": 0.0, "residual_ns": 0.0, "uncertainty_ns": 100.0, "ppm_uncertainty": 0.0,
        "seconds": 60.0,
    }  # fmt: skip
    return ClockFit(position=position, monotonic_ns=0, utc_ns=utc_ns, **(facts | more))


class HandMade:
    """Grows by segments, gaps and fits, each told to the ledger as a writer would."""

    def __init__(self, path: Path, channels: int = 2, form: tuple[str, str] = ("WAV", "FLOAT"), first: int | None = None) -> None:
        self.path = path
        self.channels = channels
        self.form = form
        path.mkdir()
        names = ["microphone 1", "accelerometer"] + [""] * channels
        units = [("Pa", 20.0), ("m/s²", 0.5)] + [("", 1.0)] * channels
        self.manifest = Manifest(
            id="0" * 32,
            created="2026-01-01T00:00:00Z",
            state="recording",
            samplerate=RATE,
            channels=[ChannelFacts(name=n, unit=u[0], factor=u[1]) for n, u in list(zip(names, units, strict=True))[:channels]],
            source=Source(),
            software={},
            settings=AcquisitionSettings(format=form[0], subtype=form[1]),
            first=first,
        )
        self.count = 0
        self.note(ledger.Begun(position=first, why="new", pid=0))
        self.save()

    def save(self, **changes: Any) -> None:
        self.manifest = self.manifest.model_copy(update=changes)
        self.manifest.write(self.path)

    def note(self, *entries: ledger.Entry) -> None:
        with (self.path / LEDGER).open("ab") as file:
            file.write(b"".join(map(ledger.entry_line, entries)))

    def name(self, index: int, first: int) -> str:
        return segment_name(index, START_NS + first * 1_000_000_000 // RATE, self.form[0])

    def data(self, first: int, stop: int, holes: tuple[tuple[int, int], ...] = ()) -> npt.NDArray[np.float32]:
        data = signal(first, stop, self.channels)
        for begin, end in holes:
            data[begin - first : end - first] = 0
        return data

    def segment(
        self, first: int, stop: int, holes: tuple[tuple[int, int], ...] = (), state: str = "whole", gaps: bool = True
    ) -> Path:
        """Frames `first` to `stop` in a file; `holes` are zeros in it, and gaps of the device in the ledger."""
        self.count += 1
        name = self.name(self.count, first)
        path = self.path / name
        facts: dict[str, Any] = {"index": self.count, "file": name, "first": first}
        self.note(ledger.SegmentBegun(**facts))
        for begin, end in holes:
            self.gap(begin, end, "device", filled=True)
        if state == "growing":
            path = path.with_name(f"{path.stem}.part{path.suffix}")
        form, subtype = self.form if state != "growing" or self.form[0] != "WAV" else ("RF64", "FLOAT")
        soundfile.write(path, self.data(first, stop, holes), RATE, subtype, format=form)
        facts["frames"] = stop - first
        if state in ("ended", "whole"):
            self.note(ledger.SegmentEnded(**facts))
        if state == "whole":
            self.note(ledger.SegmentWhole(**facts, bytes=path.stat().st_size, sha256="0" * 64))
        return path

    def gap(self, begin: int, end: int, cause: Any, uncertainty: int = 0, filled: bool = False) -> None:
        self.note(ledger.Gap(position=begin, frames=end - begin, cause=cause, uncertainty=uncertainty, filled=filled))

    def clock(self, position: int, utc_ns: int | None = None, step_ns: int = 0, **more: Any) -> None:
        """A fit at `position`; by default of a clock that is exact."""
        exact = START_NS + round(position * 1e9 / RATE)
        self.note(ledger.Clock(fit=fit(position, exact if utc_ns is None else utc_ns, **more), step_ns=step_ns))

    def end(self, position: int | None = None) -> None:
        self.note(ledger.Ended(position=position, reason="stopped"))
        self.save(state="finished")
