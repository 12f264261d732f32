"""Bringing to the disk what the system still holds in memory."""

from __future__ import annotations

import os
from pathlib import Path


def sync_data(descriptor: int) -> None:
    """Wait until a file's data, and as much about it as it takes to find them, are on the disk; OSError from the system."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can; OSError from the system."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
