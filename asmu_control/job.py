"""Recordings and players as the disk process tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asmu_engine.protocol.errors import AsmuError, DiskError, from_wire


def job_error(status: Mapping[str, Any], path: Path) -> AsmuError:
    """Why a job failed, from its status."""
    error = status.get("error")
    if isinstance(error, Mapping):
        return from_wire(dict(error))
    return DiskError(f"{path}: the disk process gave up and gave no reason", code="disk_failed", where=str(path))
