"""Where the ledger of a recording is to be found that may have had to leave its folder."""

from __future__ import annotations

from pathlib import Path

from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.manifest import Manifest, read_manifest
from asmu_engine.recording.names import LEDGER


def ledger_folder(path: Path, settings: AcquisitionSettings | None = None) -> Path:
    """The folder in which a recording to `path` goes on: its second one, where ledger and manifest had to move there.

    Parameters
    ----------
    path
        The folder that it was begun in; it may be gone.
    settings
        With which it was begun; None: as its manifest there says.
    """
    first = _manifest(path)
    settings = settings if first is None else first.settings
    if settings is None or settings.on_full != "second_folder":
        return path
    second = Path(settings.second_folder)
    moved = _manifest(second)
    # Where the first folder is to be had again, it holds what was true before the move; both are of one recording.
    if moved is None or not (second / LEDGER).exists() or (first is not None and first.id != moved.id):
        return path
    return second


def _manifest(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except DiskError:
        return None
