"""A recording in this process, whose disk fails when a test says so."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np

from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.keeper import Keeper
from asmu_engine.disk.acquisition.space import Warning
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.disk.formats import file_form
from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import Source

RATE = 48_000
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Recording:
    """A recording whose disk fails when told so."""

    def __init__(self, path: Path, **settings: object) -> None:
        chosen = AcquisitionSettings(**{"minimum_free": 0, "warn_seconds": 0, "sync_seconds": 3600, **settings})
        form = file_form(chosen.format, chosen.subtype, RATE, 2, {})
        self.folder = Folder.create(path, chosen, [], Source(), form)
        self.warnings: list[Warning] = []
        self.keeper = Keeper(self.folder, Times(RATE), self.warnings.append, "new", 0, [])
        self.writer, self.finisher, self.guard = self.keeper._writer, self.keeper._finisher, self.keeper._guard

    def segment(self, data: np.ndarray) -> None:
        """Record a segment of these rows."""
        position = self.keeper.position
        assert position is not None
        self.keeper.write(data, position)
        self.writer.end_segment()

    def entries(self) -> list[ledger.Entry]:
        return list(ledger.read_ledger(self.folder.path / "ledger.jsonl"))

    def whole(self) -> list[tuple[int, int]]:
        """First and frames of the segments that are whole."""
        return [(segment.first, segment.frames) for segment in self.folder.segments("whole")]
