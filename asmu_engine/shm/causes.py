"""Why frames are missing, as a ring's table of gaps says it: a number there, a name everywhere else."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = 0
"""The writer did not say."""
DEVICE: Final = 1
"""The device lost them, as it says itself or its clock shows."""
STOPPED: Final = 2
"""Nothing was to be processed: the device was stopped and started again by request, or blocks were dropped by request."""
DEVICE_LOST: Final = 3
"""The device was gone."""
RESTART: Final = 4
"""The audio process died and was replaced."""

CAUSES: Final[dict[int, str]] = {
    UNKNOWN: "unknown",
    DEVICE: "device",
    STOPPED: "stopped",
    DEVICE_LOST: "device_lost",
    RESTART: "restart",
}
"""Names by number; those of `asmu_engine.recording.ledger.Cause`."""

_CODES: Final = {name: code for code, name in CAUSES.items()} | {"": UNKNOWN}


def cause_code(name: str) -> int:
    """The number of a cause; of an empty name that of `UNKNOWN`.

    Raises
    ------
    ValueError
        There is no such cause.

    >>> cause_code("restart"), cause_code("")
    (4, 0)
    """
    code = _CODES.get(name)
    if code is None:
        raise ValueError(f"{name!r} is no cause of a gap in a ring; use {', '.join(CAUSES.values())}")
    return code


def cause_name(code: int) -> str:
    """The name of a cause; ``unknown`` for a number that a later version wrote.

    >>> cause_name(1), cause_name(99)
    ('device', 'unknown')
    """
    return CAUSES.get(code, CAUSES[UNKNOWN])
