"""The manifest of a folder in which anything may be wrong."""

from __future__ import annotations

import json
from pathlib import Path

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.manifest import VERSION, Manifest, read_manifest
from asmu_engine.recording.names import LEDGER, MANIFEST
from asmu_engine.recording.verdict import Problem


def load_manifest(folder: Path) -> tuple[Manifest | None, Problem | None]:
    """The manifest of a folder, or None and what is wrong with it.

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording folder, or of another version, or the recording went on in its second folder.
    """
    if not folder.is_dir():
        raise DiskError(f"{folder} is no folder: name that of a recording", code="file_unreadable", where=str(folder))
    path = folder / MANIFEST
    if not path.exists():
        if not (folder / LEDGER).exists():
            raise DiskError(
                f"{folder} is no recording: it has neither {MANIFEST} nor {LEDGER}", code="file_unreadable", where=str(folder)
            )
        return None, Problem(
            "damaged",
            "manifest_missing",
            f"{path} is missing: channels, calibration and settings are not known; `asmu repair` rebuilds what the ledger tells",
            file=MANIFEST,
        )
    _refuse_other_version(path)
    try:
        manifest = read_manifest(folder)
    except DiskError as error:
        return None, Problem(
            "damaged", "manifest_damaged", f"{error.message}; `asmu repair` rebuilds what the ledger tells", file=MANIFEST
        )
    if (second := _went_on(folder, manifest)) is not None:
        raise DiskError(
            f"{folder} took no more, and the recording went on in {second}, with all that is here: name that folder",
            code="file_unreadable",
            where=str(folder),
        )
    return manifest, None


def _refuse_other_version(path: Path) -> None:
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, OSError):
        return
    if isinstance(data, dict) and isinstance(data.get("version"), int) and data["version"] != VERSION:
        raise DiskError(
            f"{path} is of version {data['version']}, this program knows version {VERSION}: use the one that wrote it",
            code="file_unreadable",
            where=str(path),
        )


def _went_on(folder: Path, manifest: Manifest) -> Path | None:
    second = Path(manifest.settings.second_folder)
    if manifest.settings.second_folder and second.absolute() != folder.absolute() and manifest.state == "recording":
        try:
            return second if read_manifest(second).id == manifest.id else None
        except DiskError:
            return None
    return None
