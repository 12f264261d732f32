"""What the system says about a process."""

from __future__ import annotations

import os
from pathlib import Path

from asmu_engine.host.child import Child


def resident_bytes(pid: int) -> int | None:
    """Resident size of a process, bytes; None where the system has no ``/proc`` or the process is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def child_facts(child: Child | None, restarts: int) -> dict[str, int | None] | None:
    """What status shows of a child; None when there is none."""
    if child is None or child.ended:
        return None
    return {"pid": child.pid, "rss": resident_bytes(child.pid), "restarts": restarts}
