"""What all processors that run once promise, for a link that says what the engine would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asmu_control as asmu


def live_interface(client: Any) -> asmu.Interface:
    """An interface whose every edit goes to the fake link, its node names without prefix."""
    interface = asmu.Interface(engine=client)
    interface._session.prefix = ""
    interface.open()
    return interface


def tell(link: Any, node: str, position: int | None = None, **said: int) -> None:
    """Have the engine say so of a node, and where it stands."""
    link.answers["status"]["said"] = {node: said}
    link.answers["reset"] = {"at": position or 0}
    if position is not None:
        link.answers["status"]["counters"]["frame_position"] = position


def check_finished(processor: Any, link: Any, restart: Callable[[], None]) -> None:
    """The life of two runs, with news that come late and in any order."""
    name = processor.name
    assert not processor.finished(block=False)
    tell(link, name, 1000, started=0)
    assert not processor.finished(timeout=0.02)
    tell(link, name, started=0, finished=512)
    assert processor.finished()
    tell(link, name, 5000, started=0, finished=512)
    restart()
    assert not processor.finished(block=False)  # that was the run before
    tell(link, name, started=5120, finished=512)
    assert not processor.finished(block=False)
    # It is restarted again, and the end of the run before arrives only now.
    link.answers["status"]["counters"]["frame_position"] = 6000
    restart()
    tell(link, name, started=5120, finished=6100)
    assert not processor.finished(block=False)
    tell(link, name, started=6144, finished=6144)
    assert processor.finished(block=False)
    # A reset begins another run.
    tell(link, name, 7000, started=6144, finished=6144)
    processor.interface.acore.reset()
    assert not processor.finished(block=False)
    tell(link, name, started=7168, finished=8192)
    assert processor.finished(block=False)
    processor.interface.close()
    assert processor.finished(block=False)  # known for ever
