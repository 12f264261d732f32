"""One engine a name: what dead engines left is removed, then the name is taken."""

from __future__ import annotations

import time
from typing import Final

from filelock import FileLock, Timeout

from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.runtime import EngineClaim, dead_engines, read_info, runtime_root
from asmu_engine.shm.segment import remove_segments

PATIENCE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.02
_LOCK: Final = ".claim.lock"


def claim_engine(name: str) -> EngineClaim:
    """Take the name of an engine; EngineError engine_exists when a live engine has it.

    Engines that start at the same moment do this one after another, so that none takes the folder of another, not
    yet locked, for that of a dead engine. A lock that someone holds just to look whether it is held is waited out.
    """
    claim = EngineClaim(name)
    try:
        with FileLock(runtime_root() / _LOCK).acquire(timeout=10):
            reap()
            _take(claim)
            remove_segments(name)
    except Timeout:
        raise EngineError(
            "other engines are starting or ending and do not get on", code="engine_failed", where=name, retry=True
        ) from None
    return claim


def release_engine(claim: EngineClaim) -> None:
    """Remove the engine's segments and folder, and give its name back."""
    remove_segments(claim.name)
    try:
        with FileLock(runtime_root() / _LOCK).acquire(timeout=2):
            claim.release()
    except Timeout:
        claim.release()


def reap() -> list[str]:
    """Remove folder and segments of every engine that is dead; their names."""
    reaped = []
    for name in dead_engines():
        dead = EngineClaim(name)
        try:
            dead.take()
        except EngineError:
            continue  # not dead after all
        remove_segments(name)
        dead.release()
        reaped.append(name)
    return reaped


def _take(claim: EngineClaim) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            claim.take()
        except EngineError:
            # An engine that is up has published itself; without that, the holder only looks, or ends just now.
            if read_info(claim.name) is not None or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return
