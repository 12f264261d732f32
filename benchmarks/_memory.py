"""Memory of a process as the system counts it (Linux), and when the books that a host keeps are full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asmu_engine.host.once import MAX_KEYS
from asmu_engine.protocol.version import MAX_HISTORY

BOOKS = max(MAX_KEYS, MAX_HISTORY)
"""Transactions after which a host forgets one for each that comes: until then it grows, by some 500 bytes each."""


@dataclass(frozen=True)
class Size:
    """Kilobytes of 1024 bytes: `resident`, all of a process's pages that are in memory; `rings`, those of them in shared
    segments; `own`, those in neither a segment nor a file."""

    resident: float
    rings: float
    own: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The memory of a process now."""
        status = _fields(Path(f"/proc/{pid}/status"))
        return cls(status["VmRSS"], status["RssShmem"], status["RssAnon"])

    @property
    def apart(self) -> float:
        """Resident, without the rings."""
        return self.resident - self.rings


def share(pid: int) -> float:
    """Kilobytes without segments, where of a page that several processes map, as of a library, each has its part.

    The system walks through all pages for it: not to be asked for while the process's times are taken.
    """
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return rollup["Pss"] - rollup["Pss_Shmem"]


def _fields(path: Path) -> dict[str, float]:
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
    return {key: float(value.split()[0]) for key, _, value in lines if value.endswith("kB")}
