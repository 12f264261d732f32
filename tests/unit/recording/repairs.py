"""What the tests of repairs ask of a repaired folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asmu_engine.recording.manifest import read_manifest
from asmu_engine.recording.reading import open_segment
from asmu_engine.recording.repair import Repaired, repair_recording
from asmu_engine.recording.verdict import Verdict
from asmu_engine.recording.verify import verify_recording


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows_of(folder: Path) -> dict[int, np.ndarray]:
    """The rows of each whole segment, by its first frame."""
    found = {}
    for segment in read_manifest(folder).segments:
        if segment.state == "whole":
            reader = open_segment(folder / segment.file)
            found[segment.first] = np.empty((reader.frames, reader.channels), "f4")
            reader.read_into(found[segment.first], 0)
            reader.close()
    return found


def clean(result: Repaired) -> Verdict:
    """The verdict with all checksums; a second repair changes nothing."""
    verdict = verify_recording(result.path)
    assert verdict.outcome in ("whole", "losses"), verdict
    assert verdict.missing == 0
    assert [problem for problem in verdict.problems if problem.severity != "note"] == []
    before = contents(result.path)
    again = repair_recording(result.path)
    assert (again.actions, again.path) == ((), result.path)
    assert contents(result.path) == before
    return verdict
