"""Recording folders, read back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from failing_recording import Recording

from asmu_engine.recording import ledger
from asmu_engine.recording.checksums import read_checksums
from asmu_engine.recording.manifest import Manifest, read_manifest
from asmu_engine.shm.writer import RingWriter


class Take:
    """What a recording folder holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.path)

    @property
    def entries(self) -> list[ledger.Entry]:
        return list(ledger.read_ledger(self.path / "ledger.jsonl"))

    def gaps(self) -> list[tuple[int, int, str, bool]]:
        return [(e.position, e.frames, e.cause, e.filled) for e in self.entries if isinstance(e, ledger.Gap)]

    def spans(self) -> list[tuple[int, int]]:
        """First and frames of each segment."""
        return [(segment.first, segment.frames) for segment in self.manifest.segments]

    def rows(self, index: int) -> np.ndarray:
        """Of the segment with this number."""
        return soundfile.read(self.path / self.manifest.segments[index - 1].file, dtype="float32", always_2d=True)[0]

    def audio(self) -> np.ndarray:
        """All rows one after the other."""
        return np.concatenate([self.rows(segment.index) for segment in self.manifest.segments if segment.state == "whole"])

    def check(self) -> None:
        """Manifest, ledger, files and checksums say the same, and every frame is in a segment or a gap, once."""
        manifest = self.manifest
        noted = {e.index: e for e in self.entries if isinstance(e, ledger.SegmentWhole | ledger.SegmentDropped)}
        sums = read_checksums(self.path)
        ranges = []
        for segment in manifest.segments:
            entry = noted[segment.index]
            assert (segment.file, segment.first, segment.frames) == (entry.file, entry.first, entry.frames)
            if segment.state == "dropped":
                assert not (self.path / segment.file).exists()
            else:
                assert segment.state == "whole"
                content = (self.path / segment.file).read_bytes()
                assert segment.bytes == len(content)
                assert segment.sha256 == hashlib.sha256(content).hexdigest() == sums[segment.file]
                if not segment.file.endswith(".h5"):
                    assert soundfile.info(self.path / segment.file).frames == segment.frames
            ranges.append((segment.first, segment.first + segment.frames))
        ranges += [(position, position + frames) for position, frames, _, filled in self.gaps() if not filled]
        position = manifest.first
        for begin, end in sorted(ranges):
            assert begin == position
            position = end
        assert position == manifest.position
        kept = {segment.file for segment in manifest.segments if segment.state == "whole"}
        assert set(sums) == kept
        names = {"manifest.json", "ledger.jsonl"} | ({"SHA256SUMS"} if manifest.segments else set())
        assert {path.name for path in self.path.iterdir()} == kept | names


@pytest.fixture
def ring(make_ring: Callable[..., str]) -> str:
    return make_ring()


@pytest.fixture
def writer(ring: str):
    with RingWriter(ring) as end:
        yield end


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "friday"


@pytest.fixture
def take(folder: Path) -> Take:
    return Take(folder)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[..., Recording]]:
    made: list[Recording] = []

    def make(**settings: object) -> Recording:
        made.append(Recording(tmp_path / "take", **settings))
        return made[-1]

    yield make
    for recording in made:
        recording.keeper.close()


@pytest.fixture
def second(tmp_path: Path) -> dict[str, object]:
    return {"on_full": "second_folder", "second_folder": str(tmp_path / "second")}
