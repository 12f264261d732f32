"""Cores of plugins whose code makes the audio process die: after three times they are left out."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

from asmu_engine.host.graph import Graph
from asmu_engine.shm.status import core_mark

MAX_CRASHES: Final = 3
_SIGNALS: Final = frozenset(
    int(getattr(signal, name)) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE") if hasattr(signal, name)
)


def is_crash(status: int) -> bool:
    """Whether a process with this exit status (negative: signal) died over its own code.

    >>> is_crash(-11), is_crash(-9), is_crash(3)
    (True, False, False)
    """
    return -status in _SIGNALS


def blame(graph: Graph, marks: set[int], publish: Callable[[dict[str, Any]], None], position: int) -> None:
    """Count a crash against the nodes of these marks; those that have crashed too often are left out, which is told."""
    for node in graph.nodes.values():
        if node.reserved or node.left_out or core_mark(node.name) not in marks:
            continue
        node.crashes += 1
        if node.crashes >= MAX_CRASHES:
            node.left_out = True
            publish({"event": "left_out", "node": node.name, "crashes": node.crashes, "position": position})
