"""What wrote a recording, and which run of the machine it was. Asks the installed packages and imports none of them."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from asmu_engine import __version__

_LIBRARIES: Final = ("numpy", "soundfile", "h5py")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def software() -> dict[str, str]:
    """Versions of the engine, of Python, of the libraries that write the files, and of the system."""
    found = {"asmu_engine": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def boot_id() -> str:
    """Which run of this machine it is; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
